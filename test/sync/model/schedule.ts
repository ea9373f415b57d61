/** Random histories of the model: writers of every kind, leaves that come and go, crashes of the server, and runs between. */
import fc from 'fast-check'
import type { ModelDatabase, ModelLeaf, ModelTransaction } from './database.js'

export type Action =
  | {
      readonly kind: 'insert' | 'update' | 'delete'
      readonly table: TableName
      readonly writer: number
      readonly id: number
      readonly v: number
    }
  | {
      readonly kind: 'rekey'
      readonly table: TableName
      readonly writer: number
      readonly id: number
      readonly to: number
    }
  | {
      readonly kind:
        'savepoint' | 'release' | 'rollbackTo' | 'prepare' | 'commit' | 'lazyCommit' | 'rollback' | 'idle'
      readonly writer: number
    }
  | { readonly kind: 'attach' | 'detach' }
  | { readonly kind: 'rewrite' }

export interface Round {
  /** Between the runs. */
  readonly before: readonly Action[]
  /** During the run: the n-th step of the run does the n-th, once around. */
  readonly during: readonly Action[]
  /** The server crashes before the run. */
  readonly crash: boolean
  /** Readers of the run, and parts that each read is divided into. */
  readonly readers: number
  readonly splits: number
  /** Says which of those that could go on at a step of the run goes on first. */
  readonly seed: number
}

const WRITERS = 4
const IDS = 14
/** Of several leaves; the only one whose shape changes. */
export const TABLE = 't'
/** Small, and read and landed beside the other. */
export const SMALL_TABLE = 'small'
type TableName = typeof TABLE | typeof SMALL_TABLE

const writer = fc.integer({ min: 0, max: WRITERS - 1 })
const id = fc.integer({ min: 1, max: IDS })
const v = fc.integer({ min: 0, max: 9 })
const table = fc.constantFrom<TableName>(TABLE, TABLE, SMALL_TABLE)

const action: fc.Arbitrary<Action> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('insert' as const), table, writer, id, v }) },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('update' as const), table, writer, id, v }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('delete' as const), table, writer, id, v }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('rekey' as const), table, writer, id, to: id }) },
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constantFrom(
        'savepoint' as const,
        'release' as const,
        'rollbackTo' as const,
        'prepare' as const,
        'commit' as const,
        'commit' as const,
        'lazyCommit' as const,
        'rollback' as const,
        'idle' as const,
        'idle' as const,
      ),
      writer,
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('attach' as const, 'detach' as const) }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'rewrite' as const }) },
)

const round: fc.Arbitrary<Round> = fc.record({
  before: fc.array(action, { maxLength: 14 }),
  during: fc.array(action, { maxLength: 10 }),
  crash: fc.integer({ min: 0, max: 7 }).map((value) => value === 7),
  readers: fc.integer({ min: 0, max: 4 }),
  splits: fc.integer({ min: 1, max: 5 }),
  seed: fc.integer({ min: 1, max: 2 ** 31 - 2 }),
})

export const schedule: fc.Arbitrary<readonly Round[]> = fc.array(round, { minLength: 2, maxLength: 6 })

/** Plays actions; keeps the transactions that are open and the leaves that are detached. */
export class Player {
  readonly #db: ModelDatabase
  readonly #writers: (ModelTransaction | null)[] = Array.from({ length: WRITERS }, () => null)
  readonly #detached: ModelLeaf[] = []
  /** Transactions that were open at the last snapshot and had begun to write or taken their time; and ended by commit since. */
  lateCommits = 0
  #openAtSnapshot = new Set<ModelTransaction>()

  constructor(db: ModelDatabase) {
    this.#db = db
  }

  /** Call it when a run takes its snapshot. */
  markSnapshot(): void {
    this.#openAtSnapshot = new Set(
      this.#writers.filter((transaction): transaction is ModelTransaction => transaction !== null),
    )
  }

  crash(): void {
    this.#db.crash()
    this.#writers.forEach((transaction, index) => {
      if (transaction !== null && transaction.ended) this.#writers[index] = null
    })
  }

  /** `locked`: a run holds its locks, so the table's shape does not change except that a leaf may join. */
  play(action: Action, locked: boolean): void {
    switch (action.kind) {
      case 'attach':
        this.#attach()
        return
      case 'detach':
        if (!locked && this.#idle()) this.#detach()
        return
      case 'rewrite':
        if (!locked) for (const leaf of this.#db.table(TABLE).leaves) this.#db.rewrite(leaf)
        return
      default:
        this.#write(action)
    }
  }

  #write(action: Exclude<Action, { readonly kind: 'attach' | 'detach' | 'rewrite' }>): void {
    let transaction = this.#writers[action.writer] ?? null
    if (transaction?.prepared === true) {
      if (action.kind !== 'commit' && action.kind !== 'rollback') return
    } else if (transaction === null) {
      transaction = this.#db.begin()
      this.#writers[action.writer] = transaction
    }
    switch (action.kind) {
      case 'insert':
        transaction.insert(action.table, { id: BigInt(action.id), v: BigInt(action.v) })
        return
      case 'update':
        transaction.update(action.table, BigInt(action.id), { v: BigInt(action.v) })
        return
      case 'delete':
        transaction.delete(action.table, BigInt(action.id))
        return
      case 'rekey':
        // Leaves hold disjoint keys, so a key is only ever given to a row of the same leaf, and never twice.
        transaction.rekey(action.table, BigInt(action.id), BigInt(action.to))
        return
      case 'savepoint':
        transaction.savepoint()
        return
      case 'release':
        transaction.release()
        return
      case 'rollbackTo':
        transaction.rollbackToSavepoint()
        return
      case 'prepare':
        transaction.prepare()
        return
      case 'idle':
        return
      case 'commit':
      case 'lazyCommit':
        if (this.#openAtSnapshot.has(transaction)) this.lateCommits++
        transaction.commit({ flush: action.kind === 'commit' })
        this.#writers[action.writer] = null
        return
      case 'rollback':
        transaction.rollback()
        this.#writers[action.writer] = null
    }
  }

  /** Attaching takes a lock that a reader's does not stop. */
  #attach(): void {
    const leaf = this.#detached.pop()
    if (leaf !== undefined) this.#db.table(TABLE).leaves.push(leaf)
  }

  #detach(): void {
    const { leaves } = this.#db.table(TABLE)
    if (leaves.length < 2) return
    const leaf = leaves.pop()
    if (leaf !== undefined) this.#detached.push(leaf)
  }

  #idle(): boolean {
    return this.#writers.every((transaction) => transaction === null)
  }
}

/** Lets others go first a number of times that follows from the seed, so that streams meet in every order. */
export function makeShuffle(seed: number): () => Promise<void> {
  let state = seed
  return async () => {
    state = (state * 48_271) % 2_147_483_647
    for (let turn = state % 6; turn > 0; turn--) await Promise.resolve()
  }
}
