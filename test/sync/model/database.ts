/**
 * A small PostgreSQL: transaction ids, subtransactions, prepared transactions, row versions, snapshots, a write-ahead log
 * that is flushed late, crashes that give lost transaction ids to others, and tables of several leaves.
 *
 * It knows nothing of how rows are read; `model-source.ts` reads it the way the real source reads a server.
 */

export interface Row {
  readonly id: bigint
  readonly v: bigint
  readonly note: string | null
  /** Set from the clock at the start of the writing transaction, as `now()` would. */
  readonly stamp: bigint
}

export interface Version {
  readonly xmin: bigint
  xmax: bigint | null
  readonly row: Row
}

export interface ModelLeaf {
  readonly oid: number
  /** Holds the keys that are this many above a multiple of the number of slots. */
  readonly slot: number
  filenode: number
  readonly versions: Version[]
}

export interface ModelColumn {
  readonly name: keyof Row
  readonly number: number
  readonly typeName: 'int8' | 'text'
  readonly sqlType: string
  readonly nullable: boolean
}

export interface ModelTable {
  readonly name: string
  oid: number
  columns: ModelColumn[]
  key: readonly (keyof Row)[] | null
  readonly leaves: ModelLeaf[]
  /** Leaves it was made with. */
  readonly slots: number
}

export interface ModelSnapshot {
  readonly xmin: bigint
  readonly xmax: bigint
  readonly running: ReadonlySet<bigint>
  readonly lsn: bigint
}

type Fate = 'running' | 'committed' | 'aborted'

/** Never given out, and never committed. */
const NOBODY = 0n

interface LogRecord {
  readonly lsn: bigint
  readonly xid: bigint
  readonly kind: 'write' | 'commit' | 'abort' | 'prepare'
}

export const DEFAULT_COLUMNS: ModelColumn[] = [
  { name: 'id', number: 1, typeName: 'int8', sqlType: 'bigint', nullable: false },
  { name: 'v', number: 2, typeName: 'int8', sqlType: 'bigint', nullable: false },
  { name: 'note', number: 3, typeName: 'text', sqlType: 'text', nullable: true },
]

export class ModelDatabase {
  systemIdentifier = '7000000000000000001'
  timeline = 1
  standby = false
  nextXid: bigint
  insertLsn = 1000n
  flushedLsn = 1000n
  clock = 1_000n
  readonly tables = new Map<string, ModelTable>()
  readonly #fates = new Map<bigint, Fate>()
  readonly #log: LogRecord[] = []
  readonly #prepared = new Set<ModelTransaction>()
  readonly #open = new Set<ModelTransaction>()
  #nextOid = 16_384

  constructor(options: { readonly nextXid?: bigint } = {}) {
    this.nextXid = options.nextXid ?? 700n
  }

  createTable(name: string, leaves = 1): ModelTable {
    const table: ModelTable = {
      name,
      oid: this.#nextOid++,
      columns: DEFAULT_COLUMNS,
      key: ['id'],
      leaves: [],
      slots: leaves,
    }
    for (let slot = 0; slot < leaves; slot++) table.leaves.push(this.makeLeaf(slot))
    this.tables.set(name, table)
    return table
  }

  /** VACUUM FULL: other files, the same rows with the same ids in other places. */
  rewrite(leaf: ModelLeaf): void {
    leaf.filenode = this.#nextOid++
    leaf.versions.reverse()
  }

  /** TRUNCATE. */
  truncate(leaf: ModelLeaf): void {
    leaf.filenode = this.#nextOid++
    leaf.versions.length = 0
  }

  makeLeaf(slot = -1): ModelLeaf {
    const oid = this.#nextOid++
    return { oid, slot, filenode: oid, versions: [] }
  }

  table(name: string): ModelTable {
    const table = this.tables.get(name)
    if (table === undefined) throw new Error(`no table ${name}`)
    return table
  }

  begin(): ModelTransaction {
    this.clock += 1n
    const transaction = new ModelTransaction(this, this.clock)
    this.#open.add(transaction)
    return transaction
  }

  /** One statement in a transaction of its own. */
  auto(work: (transaction: ModelTransaction) => void): void {
    const transaction = this.begin()
    work(transaction)
    transaction.commit()
  }

  snapshot(): ModelSnapshot {
    const running = new Set([...this.#fates].flatMap(([xid, fate]) => (fate === 'running' ? [xid] : [])))
    let xmin = this.nextXid
    for (const xid of running) if (xid < xmin) xmin = xid
    return { xmin, xmax: this.nextXid, running, lsn: this.insertLsn }
  }

  /** Rows of a table that a snapshot sees. */
  visibleRows(
    name: string,
    snapshot: ModelSnapshot,
    leaves: readonly ModelLeaf[] = this.table(name).leaves,
  ): Row[] {
    return leaves.flatMap((leaf) => this.visible(leaf, snapshot).map(({ row }) => row))
  }

  visible(leaf: ModelLeaf, snapshot: ModelSnapshot): Version[] {
    const committed = (xid: bigint): boolean =>
      xid < snapshot.xmax && !snapshot.running.has(xid) && this.#fates.get(xid) === 'committed'
    return leaf.versions.filter(
      (version) => committed(version.xmin) && (version.xmax === null || !committed(version.xmax)),
    )
  }

  flush(to = this.insertLsn): void {
    if (to > this.flushedLsn) this.flushedLsn = to
  }

  /**
   * What was not flushed never happened: its transactions end as aborted, and their ids are given out again if no flushed
   * record carries them.
   */
  crash(): void {
    const kept = this.#log.filter((record) => record.lsn <= this.flushedLsn)
    const ended = new Set(kept.flatMap((record) => (record.kind === 'commit' ? [record.xid] : [])))
    const prepared = new Set(kept.flatMap((record) => (record.kind === 'prepare' ? [record.xid] : [])))
    let highest = 0n
    for (const record of kept) if (record.xid > highest) highest = record.xid
    const next = highest + 1n > this.#floorXid ? highest + 1n : this.#floorXid
    for (const transaction of [...this.#prepared]) {
      if (transaction.xid === null || !prepared.has(transaction.xid)) this.#prepared.delete(transaction)
    }
    const held = new Set([...this.#prepared].flatMap((transaction) => transaction.allXids()))
    for (const [xid, fate] of this.#fates) {
      if (xid >= next) this.#fates.delete(xid)
      else if (fate === 'committed' && !ended.has(xid)) this.#fates.set(xid, 'aborted')
      else if (fate === 'running' && !held.has(xid)) this.#fates.set(xid, 'aborted')
    }
    for (const table of this.tables.values()) {
      for (const leaf of table.leaves) {
        for (let index = leaf.versions.length - 1; index >= 0; index--) {
          const version = leaf.versions[index]
          if (version === undefined) continue
          // Rows stay where they are: places are what an interrupted load remembers.
          if (version.xmin >= next) leaf.versions[index] = { ...version, xmin: NOBODY }
          else if (version.xmax !== null && this.#fates.get(version.xmax) !== 'committed') {
            if (!held.has(version.xmax)) version.xmax = null
          }
        }
      }
    }
    for (const transaction of this.#open) transaction.ended = true
    this.#open.clear()
    this.#log.splice(0, this.#log.length, ...kept)
    this.nextXid = next
    this.insertLsn = this.flushedLsn
  }

  /** Below it, ids were given out before the model began to watch. */
  #floorXid = 3n

  /** Forgets how the table came to be: everything so far is flushed and old. */
  settle(): void {
    this.flush()
    this.#floorXid = this.nextXid
  }

  assignXid(): bigint {
    // Ids 0 to 2 of each epoch are not given out.
    while (this.nextXid % 2n ** 32n < 3n) this.nextXid++
    const xid = this.nextXid++
    this.#fates.set(xid, 'running')
    return xid
  }

  isRunning(xid: bigint): boolean {
    return this.#fates.get(xid) === 'running'
  }

  /** For histories that begin before the model does. */
  markCommitted(xid: bigint): void {
    this.#fates.set(xid, 'committed')
  }

  isCommitted(xid: bigint): boolean {
    return this.#fates.get(xid) === 'committed'
  }

  record(kind: LogRecord['kind'], xid: bigint): void {
    this.insertLsn += 8n
    this.#log.push({ lsn: this.insertLsn, xid, kind })
  }

  /** The end of a transaction, or of a nested one whose id is given alone. */
  finish(transaction: ModelTransaction, fate: 'committed' | 'aborted', xids: readonly bigint[]): void {
    for (const xid of xids) {
      this.record(fate === 'committed' ? 'commit' : 'abort', xid)
      this.#fates.set(xid, fate)
    }
    if (!transaction.ended) return
    this.#open.delete(transaction)
    this.#prepared.delete(transaction)
  }

  prepare(transaction: ModelTransaction): void {
    for (const xid of transaction.allXids()) this.record('prepare', xid)
    this.flush()
    this.#open.delete(transaction)
    this.#prepared.add(transaction)
  }
}

/** Top-level and nested ids are handed out at the first write, as the server does. */
export class ModelTransaction {
  readonly #database: ModelDatabase
  readonly #now: bigint
  xid: bigint | null = null
  ended = false
  prepared = false
  /** Open savepoints, innermost last; each id is handed out at its first write. */
  readonly #savepoints: { xid: bigint | null }[] = []
  readonly #merged: bigint[] = []

  constructor(database: ModelDatabase, now: bigint) {
    this.#database = database
    this.#now = now
  }

  allXids(): bigint[] {
    const open = this.#savepoints.flatMap(({ xid }) => (xid === null ? [] : [xid]))
    return [...(this.xid === null ? [] : [this.xid]), ...this.#merged, ...open]
  }

  insert(table: string, row: Pick<Row, 'id' | 'v'> & { readonly note?: string | null }): void {
    this.#assertOpen()
    const leaf = this.#leafFor(table, row.id)
    if (leaf === undefined || this.#find(table, row.id) !== 'absent') return
    this.#write(leaf, { id: row.id, v: row.v, note: row.note ?? null, stamp: this.#now })
  }

  /** Moves a row to a key that nobody has, in the leaf of that key. */
  rekey(table: string, id: bigint, to: bigint): void {
    this.#assertOpen()
    const found = this.#find(table, id)
    const leaf = this.#leafFor(table, to)
    if (found === 'absent' || found === 'busy' || leaf === undefined || this.#find(table, to) !== 'absent')
      return
    found.version.xmax = this.#writer()
    this.#write(leaf, { ...found.version.row, id: to, stamp: this.#now })
  }

  #leafFor(table: string, id: bigint): ModelLeaf | undefined {
    const { leaves, slots } = this.#database.table(table)
    return leaves.find((leaf) => leaf.slot === Number(id % BigInt(slots)))
  }

  /** Does nothing where the row is absent or another transaction has it. */
  update(
    table: string,
    id: bigint,
    change: Partial<Row>,
    options: { readonly stamped?: boolean } = {},
  ): void {
    this.#assertOpen()
    const found = this.#find(table, id)
    if (found === 'absent' || found === 'busy') return
    const stamp = options.stamped === false ? found.version.row.stamp : this.#now
    found.version.xmax = this.#writer()
    this.#write(found.leaf, { ...found.version.row, ...change, stamp })
  }

  delete(table: string, id: bigint): void {
    this.#assertOpen()
    const found = this.#find(table, id)
    if (found === 'absent' || found === 'busy') return
    found.version.xmax = this.#writer()
    this.#database.record('write', found.version.xmax)
  }

  savepoint(): void {
    this.#assertOpen()
    this.#savepoints.push({ xid: null })
  }

  release(): void {
    const point = this.#savepoints.pop()
    if (point?.xid !== null && point?.xid !== undefined) this.#merged.push(point.xid)
  }

  rollbackToSavepoint(): void {
    const point = this.#savepoints.pop()
    if (point?.xid === null || point?.xid === undefined) return
    this.#undo([point.xid])
    this.#database.finish(this, 'aborted', [point.xid])
  }

  /** `flush`: whether the commit waits for the log, as synchronous_commit says. */
  commit(options: { readonly flush?: boolean } = {}): void {
    if (this.ended) return
    this.ended = true
    this.#database.finish(this, 'committed', this.allXids())
    if (options.flush !== false) this.#database.flush()
  }

  rollback(): void {
    if (this.ended) return
    this.ended = true
    this.#undo(this.allXids())
    this.#database.finish(this, 'aborted', this.allXids())
  }

  prepare(): void {
    this.#assertOpen()
    while (this.#savepoints.length > 0) this.release()
    this.prepared = true
    this.#database.prepare(this)
  }

  #assertOpen(): void {
    if (this.ended || this.prepared) throw new Error('the transaction is over')
  }

  #find(
    table: string,
    id: bigint,
  ): 'absent' | 'busy' | { readonly leaf: ModelLeaf; readonly version: Version } {
    for (const leaf of this.#database.table(table).leaves) {
      for (const version of leaf.versions) {
        if (version.row.id !== id) continue
        const mine = this.allXids()
        const gone =
          version.xmax !== null && (mine.includes(version.xmax) || this.#database.isCommitted(version.xmax))
        if (gone) continue
        if (mine.includes(version.xmin) || this.#database.isCommitted(version.xmin)) {
          return version.xmax === null ? { leaf, version } : 'busy'
        }
        if (this.#database.isRunning(version.xmin)) return 'busy'
      }
    }
    return 'absent'
  }

  #writer(): bigint {
    // A nested transaction's id is handed out after its parent's.
    this.xid ??= this.#database.assignXid()
    for (const point of this.#savepoints) point.xid ??= this.#database.assignXid()
    return this.#savepoints.at(-1)?.xid ?? this.xid
  }

  #write(leaf: ModelLeaf, row: Row): void {
    const xid = this.#writer()
    this.#database.record('write', xid)
    leaf.versions.push({ xmin: xid, xmax: null, row })
  }

  #undo(xids: readonly bigint[]): void {
    for (const table of this.#database.tables.values()) {
      for (const leaf of table.leaves) {
        for (const version of leaf.versions) {
          if (version.xmax !== null && xids.includes(version.xmax)) version.xmax = null
        }
      }
    }
  }
}
