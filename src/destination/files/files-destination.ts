/** Files of one kind in a folder or a bucket, as a destination. `manifest.ts` has the layout, `data-path.ts` the names. */
import { randomUUID } from 'node:crypto'
import type { Checkpoint } from '../../model/checkpoint.js'
import { formatCheckpoint } from '../../model/checkpoint.js'
import type { Field } from '../../model/column-type.js'
import { TrunklineError } from '../../model/error.js'
import { silentLogger, type Logger } from '../../model/log.js'
import type {
  Destination,
  DestinationCapabilities,
  OpenOptions,
  StateEdit,
  StreamLanding,
  StreamWriter,
  SyncState,
  TableName,
  UnchangedStream,
} from '../contract.js'
import { thisProcess, type ProcessIdentity } from '../process-identity.js'
import type { RunNote } from '../run-note.js'
import type { Store } from '../stores/store.js'
import { readDataPath, runFolder, tableFolder } from './data-path.js'
import type { FileFormat } from './file-format.js'
import type { LandedFiles } from './files-writer.js'
import { FilesWriter } from './files-writer.js'
import { fenced, nothingSaved, notOpen } from '../refusals.js'
import { assertDistinctFields, assertSameTypes, foldName } from './landed-fields.js'
import type { Ledger, LedgerChange, StreamEntry, SyncEntry } from './manifest.js'
import { streamKey, tableKey } from './manifest.js'
import { ManifestLog } from './manifest-log.js'
import { begunMeanwhile, foreignRoot, heldBy, otherFiles, ownedByOther } from './refusals.js'
import { RunNoteKeeper, findHolder, findNotes, tellTime } from './run-notes.js'
import { applyEdit, isAsStated, toSavedComments, toSyncState } from './stream-states.js'
import { LISTING_FILE, VIEWS_FILE, scanFiles, writeListings } from './table-listing.js'
import { TableOutput, type FileLimits } from './table-output.js'
import { verifyFiles } from './verify-files.js'

export interface FilesDestinationOptions {
  readonly format: FileFormat
  readonly store: Store
  readonly layout?: FileLayout
  readonly logger?: Logger
  /** Who the run is for others; this process unless a test says otherwise. */
  readonly identity?: ProcessIdentity
}

/** How rows are divided into files. */
export interface FileLayout extends Partial<FileLimits> {
  /** Columns whose values divide rows into folders: of one table (`schema.name`), or (null) of every table that has it. */
  readonly partitionBy?: readonly { readonly table: string | null; readonly column: string }[]
}

const DEFAULT_LIMITS: FileLimits = {
  maxFileBytes: 256 * 1024 * 1024,
  maxFileRows: Number.MAX_SAFE_INTEGER,
  maxFiles: 200_000,
}
/** DuckDB takes longer names than any system of files does; folders of long ones end with a digest. */
const MAX_NAME_BYTES = 1000
/** The listings name all tables, so of many tables they are not written after each commit. */
const LISTED_AFTER_TABLES = 16

export function createFilesDestination(options: FilesDestinationOptions): Destination {
  return new FilesDestination(options)
}

interface OpenRun {
  readonly sync: string
  readonly runId: string
  readonly epoch: number
  readonly adopt: boolean
  readonly note: RunNoteKeeper
  /** Names of data files come after each other in all of a run. */
  nextPart: number
  /** Commits that the listings do not show yet. */
  unlisted: number
}

class FilesDestination implements Destination {
  readonly description: string
  readonly folder?: string
  readonly capabilities: DestinationCapabilities
  readonly #options: FilesDestinationOptions
  readonly #log: ManifestLog
  readonly #writers = new Set<StreamWriter>()
  #run: OpenRun | null = null
  #listing: Promise<void> = Promise.resolve()
  /** Columns to partition by that tables had; null before there was any table. */
  #partitionedBy: Set<string> | null = null

  constructor(options: FilesDestinationOptions) {
    const { format, store } = options
    this.#options = options
    this.#log = new ManifestLog(store)
    this.description = `${format.name}:${store.description}`
    if (store.folder !== undefined) this.folder = store.folder
    this.capabilities = {
      landings: new Set(['replace', 'append'] as const),
      deletes: false,
      verify: true,
      resume: false,
      foldName,
      maxNameBytes: MAX_NAME_BYTES,
      losses: (fields) => format.losses(fields),
    }
  }

  async open(options: OpenOptions): Promise<SyncState> {
    if (this.#run) throw new TrunklineError('INTERNAL', `${this.description} is already open.`)
    const { store } = this.#options
    const { signal } = options
    signal?.throwIfAborted()
    await store.open(signal === undefined ? {} : { signal })
    const ledger = await this.#log.refresh()
    if (ledger.files !== null && ledger.files !== this.#form())
      throw otherFiles(this.description, ledger.files)
    if (ledger.seq === 0 && !options.adopt) await this.#assertNobodyElses()
    signal?.throwIfAborted()

    const { sync, runId, adopt, startedAt } = options
    const identity = this.#options.identity ?? thisProcess()
    const token = randomUUID()
    const note = new RunNoteKeeper(store, { ...identity, token, sync, runId, startedAt })
    try {
      await note.start()
      const epoch = await this.#takeLease(options, { ...identity, token })
      this.#run = { sync, runId, epoch, adopt, note, nextPart: 0, unlisted: 0 }
    } catch (error) {
      await note.remove()
      throw error
    }
    if (ledger.seq > 0) await this.#list()
    return toSyncState(this.#log.ledger, sync)
  }

  /** @throws DESTINATION_LOCKED while the run that has it still goes on */
  async #takeLease(
    options: OpenOptions,
    holder: ProcessIdentity & { readonly token: string },
  ): Promise<number> {
    const { store } = this.#options
    const { sync, runId } = options
    for (;;) {
      const seen = this.#log.ledger.syncs.get(sync)
      if (seen?.token !== undefined && seen.token !== null) {
        const running = findHolder(await findNotes(store, holder), seen)
        if (running !== null) throw heldBy(this.description, running)
      }
      const epoch = (seen?.epoch ?? 0) + 1
      const entry: SyncEntry = { sync, epoch, ...holder }
      try {
        await this.#log.append(this.#form(), (ledger) => {
          if (ledger.syncs.get(sync)?.token !== seen?.token) throw new LeaseTaken()
          return { run: { sync, epoch, runId, at: new Date().toISOString() }, syncs: [entry] }
        })
        return epoch
      } catch (error) {
        // Somebody else was first: are they still at it?
        if (!(error instanceof LeaseTaken)) throw error
      }
    }
  }

  async begin(landing: StreamLanding): Promise<StreamWriter> {
    const run = this.#requireRun()
    const { stream, table, generation } = landing
    if (!this.capabilities.landings.has(landing.landing) || landing.resume === true) {
      throw new TrunklineError(
        'CONFIG_UNSUPPORTED',
        `${stream}: ${this.description} cannot ${landing.resume === true ? 'go on in an interrupted load' : 'change rows that are there'}.`,
        {
          hint: 'Use `mode: full_refresh`, or `mode: incremental` with `landing: append`.',
          context: { stream },
        },
      )
    }
    assertDistinctFields(landing)
    const { ledger } = this.#log
    const entry = ledger.streams.get(streamKey({ sync: run.sync, stream }))
    const owner = ledger.owners.get(tableKey(table)) ?? null
    const ours = owner !== null && owner === entry
    if (owner !== null && !ours && !run.adopt) throw ownedByOther(landing, owner)
    if (owner === null && !run.adopt) await this.#assertFolderOurs(landing)
    const fresh = entry?.generation !== generation
    if (!fresh && !ours) {
      throw new TrunklineError(
        'DESTINATION_FAILED',
        `The table ${table.schema}.${table.name} of ${stream} is gone.`,
        {
          hint: `Load it anew: trunkline state resync ${stream}`,
          context: { stream },
        },
      )
    }
    const { format, store, logger = silentLogger } = this.#options
    if (fresh) for (const loss of format.losses(landing.fields)) logger.info({ stream }, `${stream}: ${loss}`)
    const present = fresh ? null : entry
    if (present !== null) assertSameTypes(landing, present.fields)
    const writer = new FilesWriter(
      {
        present,
        isByPlace: format.isByPlace ?? (() => false),
        openOutput: (fields, count) => this.#openOutput(run, landing, { fields, present: count }),
        onRows: (rows) => {
          run.note.addRows(rows)
        },
        commit: (landed, checkpoint) => this.#commit(run, landing, landed, checkpoint),
        verify: (rows, actual) => verifyFiles({ format, store, rows, ...actual }),
        onEnd: (ended) => this.#writers.delete(ended),
      },
      landing,
    )
    this.#writers.add(writer)
    return writer
  }

  #openOutput(
    run: OpenRun,
    { stream, table, generation }: StreamLanding,
    { fields, present }: { readonly fields: readonly Field[]; readonly present: number },
  ): TableOutput {
    const { store, format, layout } = this.#options
    return new TableOutput({
      store,
      format,
      fields,
      ...DEFAULT_LIMITS,
      ...layout,
      present,
      stream,
      partitionBy: this.#partitionColumn(table, fields),
      folder: runFolder(table, generation, run.note.token),
      metadata: { 'trunkline.sync': run.sync, 'trunkline.stream': stream, 'trunkline.run_id': run.runId },
      nextPart: () => run.nextPart++,
    })
  }

  /** @throws DESTINATION_INVALID for a column that the table is said to have, and has not */
  #partitionColumn(table: TableName, fields: readonly Field[]): string | null {
    const stated = this.#options.layout?.partitionBy ?? []
    this.#partitionedBy ??= new Set()
    for (const { column } of stated) if (hasField(fields, column)) this.#partitionedBy.add(column)
    const own = stated.find((one) => one.table === `${table.schema}.${table.name}`)
    const wanted = own ?? stated.find((one) => one.table === null && hasField(fields, one.column))
    if (wanted === undefined || hasField(fields, wanted.column)) return wanted?.column ?? null
    throw new TrunklineError(
      'DESTINATION_INVALID',
      `${table.schema}.${table.name} has no column ${wanted.column} to partition by.`,
      { hint: 'Look at partition_by of the destination: it takes the names under which columns land.' },
    )
  }

  async #commit(
    run: OpenRun,
    landing: StreamLanding,
    landed: LandedFiles,
    checkpoint: Checkpoint,
  ): Promise<void> {
    const { stream, table, generation } = landing
    await this.#append(run, (ledger) => {
      const entry = ledger.streams.get(streamKey({ sync: run.sync, stream }))
      if ((entry?.runSeq ?? 0) !== landing.expectedRunSeq)
        throw fenced(`The stream ${stream} was committed by another run.`)
      const owner = ledger.owners.get(tableKey(table)) ?? null
      const other = owner === null || owner === entry ? null : owner
      if (other !== null && !run.adopt) throw ownedByOther(landing, other)
      const now = new Date().toISOString()
      const isPresent = entry?.generation === generation && !entry.lost
      const committed: StreamEntry = {
        sync: run.sync,
        stream,
        table: { schema: table.schema, name: table.name },
        lost: false,
        generation,
        loadedAt: isPresent ? (entry.loadedAt ?? entry.committedAt) : now,
        runSeq: landing.expectedRunSeq + 1,
        runId: run.runId,
        committedAt: now,
        paused: entry?.paused ?? false,
        skipped: entry?.skipped ?? false,
        checkpoint: formatCheckpoint(checkpoint),
        fields: [...landed.fields],
        comments: toSavedComments(landing.comments),
        files: [...landed.files],
      }
      return other === null ? [committed] : [{ ...other, lost: true, files: [] }, committed]
    })
    run.note.addCommit()
    await this.#listSometimes(run)
  }

  async confirmUnchanged(streams: readonly UnchangedStream[]): Promise<ReadonlySet<string>> {
    const run = this.#requireRun()
    const confirmed = new Set<string>()
    await this.#append(run, (ledger) => {
      confirmed.clear()
      const entries: StreamEntry[] = []
      for (const unchanged of streams) {
        const entry = ledger.streams.get(streamKey({ sync: run.sync, stream: unchanged.stream }))
        if (entry === undefined || !isAsStated(entry, unchanged)) continue
        confirmed.add(unchanged.stream)
        entries.push({
          ...entry,
          runSeq: entry.runSeq + 1,
          runId: run.runId,
          committedAt: new Date().toISOString(),
          checkpoint: formatCheckpoint(unchanged.checkpoint),
        })
      }
      return entries
    })
    for (const _ of confirmed) run.note.addCommit()
    return confirmed
  }

  exampleQuery(table: TableName): string {
    const { format, store } = this.#options
    const entry = this.#log.ledger.owners.get(tableKey(table)) ?? null
    const files = entry?.files.map((file) => file.path) ?? []
    const scan = entry === null ? null : scanFiles({ format, store }, entry.fields, files)
    // What is no SQL is a list of files for whoever reads such.
    if (scan === null) return `${store.locate(LISTING_FILE)}: ${table.schema}.${table.name}`
    // The shell of DuckDB reads commands from files of this machine only.
    if (store.folder === undefined) return `FROM ${scan}`
    const views = quoteArgument(store.locate(VIEWS_FILE))
    return `.read ${views}\nFROM ${formatName(table.schema)}.${formatName(table.name)}`
  }

  async readState(sync: string | null): Promise<readonly SyncState[]> {
    const ledger = await this.#log.refresh()
    const syncs = sync === null ? [...ledger.syncs.keys()].sort() : [sync]
    return syncs.map((name) => toSyncState(ledger, name))
  }

  async editState(sync: string, stream: string, edit: StateEdit): Promise<void> {
    const { store } = this.#options
    const ledger = await this.#log.refresh()
    if (!ledger.streams.has(streamKey({ sync, stream }))) throw nothingSaved(sync, stream)
    const lease = ledger.syncs.get(sync)
    const running =
      this.#run === null ? findHolder(await findNotes(store, await tellTime(store)), lease) : null
    if (running !== null) throw heldBy(this.description, running)
    await this.#log.append(this.#form(), (now) => {
      // A run that began meanwhile would put its own over this.
      if (now.syncs.get(sync)?.token !== lease?.token) throw begunMeanwhile(this.description)
      const entry = now.streams.get(streamKey({ sync, stream }))
      if (entry === undefined) throw nothingSaved(sync, stream)
      const { epoch, runId } = { epoch: now.syncs.get(sync)?.epoch ?? 0, runId: entry.runId }
      return { run: { sync, epoch, runId, at: new Date().toISOString() }, streams: [applyEdit(entry, edit)] }
    })
  }

  async close(): Promise<void> {
    const run = this.#run
    if (run === null) {
      // What only looked at it has connections, too.
      await this.#options.store.close()
      return
    }
    this.#run = null
    try {
      for (const writer of [...this.#writers]) await writer.abort()
      this.#warnOfNoPartitions()
      await this.#list()
      await this.#prune()
    } finally {
      await run.note.remove()
      await this.#options.store.close()
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** Makes the next manifest unless there is nothing to say in it. @throws FENCED */
  async #append(run: OpenRun, change: (ledger: Ledger) => readonly StreamEntry[]): Promise<void> {
    await this.#log.append(this.#form(), (ledger): LedgerChange => {
      const lease = ledger.syncs.get(run.sync)
      if (this.#run !== run || lease?.token !== run.note.token)
        throw fenced(`Another run has taken over the sync ${run.sync}.`)
      const { sync, epoch, runId } = run
      return { run: { sync, epoch, runId, at: new Date().toISOString() }, streams: change(ledger) }
    })
  }

  async #listSometimes(run: OpenRun): Promise<void> {
    run.unlisted++
    if (run.unlisted * LISTED_AFTER_TABLES < this.#log.ledger.streams.size) return
    run.unlisted = 0
    await this.#list()
  }

  /** What was committed stays so when it cannot be listed: the next run lists it. */
  #list(): Promise<void> {
    const { logger = silentLogger } = this.#options
    this.#listing = this.#listing
      .then(() => this.#listNewest())
      .catch((error: unknown) => {
        const words = error instanceof Error ? error.message : String(error)
        logger.warn({ path: this.description }, `${LISTING_FILE} is not up to date: ${words}`)
      })
    return this.#listing
  }

  /** What was committed stays so when old manifests cannot be removed: they cost a little room. */
  async #prune(): Promise<void> {
    const { logger = silentLogger } = this.#options
    try {
      await this.#log.prune()
    } catch (error) {
      const words = error instanceof Error ? error.message : String(error)
      logger.warn({ path: this.description }, `Old manifests were not removed: ${words}`)
    }
  }

  /** Of two syncs that list at a time the one that comes last looks whether it wrote what is newest. */
  async #listNewest(): Promise<void> {
    const { format, store } = this.#options
    for (let ledger = await this.#log.refresh(); ;) {
      await writeListings({ format, store }, ledger)
      const newest = await this.#log.refresh()
      if (newest.seq === ledger.seq) return
      ledger = newest
    }
  }

  /** A name that is not spelled right divides nothing, and nothing else shows it. */
  #warnOfNoPartitions(): void {
    const { layout, logger = silentLogger } = this.#options
    const had = this.#partitionedBy
    if (had === null) return
    const missing =
      layout?.partitionBy?.filter(({ table, column }) => table === null && !had.has(column)) ?? []
    for (const { column } of missing) {
      logger.warn(
        { path: this.description },
        `partition_by=${column}: no table of this run has such a column.`,
      )
    }
  }

  async #assertNobodyElses(): Promise<void> {
    for await (const { path: found } of this.#options.store.list('')) {
      if (!found.startsWith('_trunkline/')) throw foreignRoot(this.description)
    }
  }

  async #assertFolderOurs(landing: StreamLanding): Promise<void> {
    for await (const { path: found } of this.#options.store.list(`${tableFolder(landing.table)}/`)) {
      if (readDataPath(found) === null) throw ownedByOther(landing, null)
    }
  }

  #form(): string {
    const { format } = this.#options
    return format.form ?? format.name
  }

  #requireRun(): OpenRun {
    if (this.#run) return this.#run
    throw notOpen(this.description)
  }
}

/** The lease is not as it was when its holder was looked at. */
class LeaseTaken extends Error {}

/** A run that writes into the place just now. */
export async function findFilesRun(store: Store): Promise<RunNote | null> {
  const log = new ManifestLog(store)
  const { syncs } = await log.refresh()
  const notes = await findNotes(store, null)
  for (const lease of syncs.values()) {
    const running = findHolder(notes, lease)
    if (running !== null) return running
  }
  return null
}

function hasField(fields: readonly Field[], column: string): boolean {
  return fields.some(({ name }) => name === column)
}

function formatName(name: string): string {
  return /^[a-z_][a-z0-9_]*$/.test(name) ? name : `"${name.replaceAll('"', '""')}"`
}

/** For a command of DuckDB's shell. */
function quoteArgument(text: string): string {
  if (/^[\w./-]+$/.test(text)) return text
  return text.includes("'") ? `"${text.replaceAll(/["\\]/g, '\\$&')}"` : `'${text}'`
}
