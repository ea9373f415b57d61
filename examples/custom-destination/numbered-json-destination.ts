/**
 * A destination in one file: a folder of numbered JSON documents. Each holds everything, tables and checkpoints; the one with the highest
 * number is what is there. A commit creates the next number, which only one run can do.
 *
 * Small by being for small tables: it keeps all rows in memory and writes all of them with each commit.
 */
import { link, mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { TrunklineError, rows, type Value } from 'trunkline'
import type {
  Destination,
  DestinationCapabilities,
  OpenOptions,
  StateEdit,
  StreamLanding,
  StreamState,
  StreamWriter,
  SyncState,
  TableName,
} from 'trunkline/destination'

/** Every value as text or as a list of texts, so that no number of 64 bits and no NaN gets lost in JSON. */
type Stored = string | null | readonly (string | null)[]

interface Table {
  readonly sync: string
  readonly stream: string
  /** By name, the column's type as JSON. */
  readonly columns: Readonly<Record<string, string>>
  readonly rows: readonly (readonly Stored[])[]
}

interface Document {
  /** Epochs of syncs. */
  readonly syncs: Readonly<Record<string, number>>
  /** By sync and stream. */
  readonly streams: Readonly<Record<string, StreamState & { readonly sync: string }>>
  /** By schema and name. */
  readonly tables: Readonly<Record<string, Table>>
}

interface Numbered {
  readonly number: number
  readonly document: Document
}

const EMPTY: Document = { syncs: {}, streams: {}, tables: {} }

const CAPABILITIES: DestinationCapabilities = {
  landings: new Set(['replace', 'append'] as const),
  deletes: false,
  verify: false,
  resume: false,
  foldName: (name) => name,
  maxNameBytes: 1000,
}

export function createNumberedJsonDestination(folder: string): Destination {
  return new NumberedJsonDestination(folder)
}

/** What readers do: the newest document, and its table; null where there is none. */
export async function readTable(folder: string, table: TableName): Promise<Table | null> {
  const { document } = await readNewest(folder)
  return Object.hasOwn(document.tables, keyOf(table)) ? (document.tables[keyOf(table)] ?? null) : null
}

class NumberedJsonDestination implements Destination {
  readonly capabilities = CAPABILITIES
  readonly description: string
  readonly folder: string
  #run: { readonly options: OpenOptions; readonly epoch: number } | null = null
  /** Commits of this run, one after the other. */
  #queue: Promise<unknown> = Promise.resolve()

  constructor(folder: string) {
    this.folder = folder
    this.description = `json:${folder}`
  }

  async open(options: OpenOptions): Promise<SyncState> {
    options.signal?.throwIfAborted()
    await mkdir(this.folder, { recursive: true })
    const { sync } = options
    // Whoever raised the epoch last may commit: an earlier run of the sync that is still there may not any more.
    const document = await this.#change((present) => ({
      ...present,
      syncs: { ...present.syncs, [sync]: (present.syncs[sync] ?? 0) + 1 },
    }))
    this.#run = { options, epoch: document.syncs[sync] ?? 0 }
    return stateOf(document, sync)
  }

  async begin(landing: StreamLanding): Promise<StreamWriter> {
    const { options } = this.#requireRun(landing)
    if (!CAPABILITIES.landings.has(landing.landing)) throw unsupported(`landing by ${landing.landing}`)
    if (landing.resume === true) throw unsupported('going on in a load')
    assertColumns(landing)
    const { document } = await readNewest(this.folder)
    const present = document.tables[keyOf(landing.table)]
    const ours = present?.sync === options.sync && present.stream === landing.stream
    if (present !== undefined && !ours && !options.adopt) {
      throw new TrunklineError(
        'TABLE_OWNED',
        `${keyOf(landing.table)} belongs to the sync ${present.sync}.`,
        {
          hint: 'Land elsewhere with --name-template, or take the table over with --adopt.',
        },
      )
    }
    const saved = document.streams[streamKey(options.sync, landing.stream)]
    const fresh = landing.landing === 'replace' || saved?.generation !== landing.generation
    return this.#createWriter(landing, fresh ? undefined : present)
  }

  /** @param before what is added to */
  #createWriter(landing: StreamLanding, before: Table | undefined): StreamWriter {
    let columns: Record<string, string> = { ...before?.columns }
    if (before === undefined) {
      columns = Object.fromEntries(landing.fields.map(({ name, type }) => [name, JSON.stringify(type)]))
    }
    if (landing.runAt !== null)
      columns['_trunkline_run_at'] = JSON.stringify({ kind: 'timestamp', utc: true })
    const runAt = landing.runAt?.toISOString() ?? null
    const written: (readonly Stored[])[] = []
    let over = false
    const assertOpen = (): void => {
      if (over) throw fenced(`The writer of ${landing.stream} is closed.`)
      this.#requireRun(landing)
    }
    const asNow = (row: readonly Stored[], names: readonly string[]): readonly Stored[] =>
      Object.keys(columns).map((name) => row[names.indexOf(name)] ?? null)

    return {
      write: async (batch) => {
        assertOpen()
        for (const { name, type } of batch.fields) {
          if (columns[name] === JSON.stringify(type)) continue
          throw new TrunklineError(
            'DESTINATION_FAILED',
            `${landing.stream}: the column ${name} is another.`,
            {
              hint: `Load the stream anew: trunkline state resync ${landing.stream}`,
            },
          )
        }
        for (const row of rows(batch)) {
          const stored = Object.keys(columns).map((name) =>
            name === '_trunkline_run_at'
              ? runAt
              : Object.hasOwn(row, name)
                ? toStored(row[name] ?? null)
                : null,
          )
          written.push(stored)
        }
      },
      liveCount: async () => {
        assertOpen()
        // Of dated copies, this run's alone counts.
        return written.length + (runAt === null ? (before?.rows.length ?? 0) : 0)
      },
      alter: async ({ add }) => {
        assertOpen()
        for (const { name, type } of add) columns[name] = JSON.stringify(type)
      },
      commit: async (checkpoint) => {
        assertOpen()
        const { options, epoch } = this.#requireRun(landing)
        const { sync, runId } = options
        const { stream, table, generation, expectedRunSeq } = landing
        try {
          await this.#change((present) => {
            const saved = present.streams[streamKey(sync, stream)]
            if (present.syncs[sync] !== epoch) throw fenced(`Another run has taken over the sync ${sync}.`)
            if ((saved?.runSeq ?? 0) !== expectedRunSeq) throw fenced(`Another run has committed ${stream}.`)
            const earlier = (before?.rows ?? []).map((row) => asNow(row, Object.keys(before?.columns ?? {})))
            const state = {
              sync,
              stream,
              table,
              generation,
              runSeq: expectedRunSeq + 1,
              runId,
              committedAt: new Date(),
              paused: saved?.paused ?? false,
              skipped: saved?.skipped ?? false,
              checkpoint,
              partial: null,
            }
            // Rows and checkpoint are one document, so they are there together or not at all.
            return {
              ...present,
              streams: { ...present.streams, [streamKey(sync, stream)]: state },
              tables: {
                ...present.tables,
                [keyOf(table)]: { sync, stream, columns, rows: [...earlier, ...written] },
              },
            }
          })
        } finally {
          over = true
        }
      },
      abort: async () => {
        over = true
      },
      save: async () => {
        throw unsupported('saving a load')
      },
      replaceByKey: async () => {
        throw unsupported('replacing by key')
      },
      reconcileKeys: async () => {
        throw unsupported('deleting by key')
      },
      verify: async () => {
        throw unsupported('comparing rows')
      },
    }
  }

  exampleQuery(table: TableName): string {
    return `jq '.tables[${JSON.stringify(keyOf(table))}].rows' ${this.folder}/*.json`
  }

  async readState(sync: string | null): Promise<readonly SyncState[]> {
    const { document } = await readNewest(this.folder)
    const syncs = sync === null ? Object.keys(document.syncs) : [sync]
    return syncs.map((name) => stateOf(document, name))
  }

  async editState(sync: string, stream: string, edit: StateEdit): Promise<void> {
    await this.#change((present) => {
      const key = streamKey(sync, stream)
      const saved = present.streams[key]
      if (saved === undefined) {
        throw new TrunklineError('STREAM_MISSING', `Nothing is saved for the stream ${stream} of ${sync}.`, {
          hint: '`trunkline state show` lists what there is.',
        })
      }
      return { ...present, streams: { ...present.streams, [key]: { ...saved, ...changedBy(edit) } } }
    })
  }

  async close(): Promise<void> {
    await this.#queue
    this.#run = null
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** The only way in which anything is written: the next number, made of the present one. */
  #change(next: (present: Document) => Document): Promise<Document> {
    const result = this.#queue.then(async () => {
      for (;;) {
        const { number, document } = await readNewest(this.folder)
        const changed = next(document)
        if (await createNew(this.folder, number + 1, changed)) return changed
        // Another one was faster: what it wrote is looked at first.
      }
    })
    this.#queue = result.catch(() => undefined)
    return result
  }

  #requireRun({ stream }: StreamLanding): { readonly options: OpenOptions; readonly epoch: number } {
    if (this.#run === null) throw fenced(`The run that landed ${stream} is over.`)
    return this.#run
  }
}

function changedBy(edit: StateEdit): Partial<StreamState> {
  if (edit.kind === 'resync') return { checkpoint: null }
  if (edit.kind === 'skip') return { skipped: true }
  return edit.paused ? { paused: true } : { paused: false, skipped: false }
}

function stateOf(document: Document, sync: string): SyncState {
  const streams = Object.values(document.streams).filter((saved) => saved.sync === sync)
  return {
    sync,
    epoch: document.syncs[sync] ?? 0,
    streams: new Map(streams.map(({ sync: _, ...saved }) => [saved.stream, saved])),
  }
}

async function readNewest(folder: string): Promise<Numbered> {
  const names = await readdir(folder).catch(() => [])
  const number = Math.max(0, ...names.map((name) => Number(/^(\d+)\.json$/.exec(name)?.[1] ?? 0)))
  if (number === 0) return { number, document: EMPTY }
  const text = await readFile(path.join(folder, `${number}.json`), 'utf8')
  const document = JSON.parse(text, (key, value: unknown) =>
    key === 'committedAt' ? new Date(String(value)) : value,
  ) as Document
  return { number, document }
}

/** Whole or not at all, and only where there is none. False: there is one. */
async function createNew(folder: string, number: number, document: Document): Promise<boolean> {
  const draft = path.join(folder, `.draft-${crypto.randomUUID()}`)
  await writeFile(draft, JSON.stringify(document), { mode: 0o600, flush: true })
  try {
    await link(draft, path.join(folder, `${number}.json`))
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  } finally {
    await rm(draft)
  }
}

function assertColumns({ stream, fields }: StreamLanding): void {
  const own = fields.find(({ name }) => name.startsWith('_trunkline_'))
  if (own !== undefined) {
    throw new TrunklineError('NAME_COLLISION', `${stream} has a column called ${own.name}, as ours are.`, {
      hint: 'Rename it: rename in the stream’s options.',
    })
  }
  if (fields.length > 0) return
  throw new TrunklineError('STREAM_UNSUPPORTED', `${stream} has no columns.`, { hint: 'Select some.' })
}

function toStored(value: Value): Stored {
  return Array.isArray(value) ? value.map((element) => toText(element as Value)) : toText(value)
}

function toText(value: Value): string | null {
  if (value === null) return null
  if (value instanceof Uint8Array) return `\\x${Buffer.from(value).toString('hex')}`
  return Object.is(value, -0) ? '-0' : String(value)
}

const keyOf = ({ schema, name }: TableName): string => JSON.stringify([schema, name])
const streamKey = (sync: string, stream: string): string => JSON.stringify([sync, stream])

function fenced(message: string): TrunklineError {
  return new TrunklineError('FENCED', message, { hint: 'Let one run finish before the next one starts.' })
}

function unsupported(what: string): TrunklineError {
  return new TrunklineError('CONFIG_UNSUPPORTED', `A folder of JSON documents cannot do this: ${what}.`, {
    hint: 'Use `mode: full_refresh`.',
  })
}
