/**
 * A manifest: `_trunkline/manifest/<seq, 20 digits>.json`, made once and never changed. Making the next one is the commit, and as
 * only one can make it, it is also what keeps two commits from being made on the same state.
 *
 *   {"format":1, "seq":n, "files":"parquet", "over":[…], "run":{…}, "syncs":[…], "streams":[…]}
 *
 * `syncs` are all syncs. `streams` are those whose state is not as in the manifests that this one lies `over`, oldest first: the
 * state of a stream is in the last of them, or in this one, that has it. So that a commit costs little however many streams there
 * are, a manifest takes over those of the last manifest below it while they are less than twice as many as its own: of 2,000
 * streams that are committed one by one each is written eleven times, and a reader reads eleven manifests at most.
 */
import type { Field } from '../../model/column-type.js'
import { TrunklineError } from '../../model/error.js'
import {
  boolean,
  list,
  literal,
  nullable,
  number,
  object,
  pair,
  ShapeError,
  text,
  type Shape,
  type ShapeOf,
} from '../../model/shape.js'
import type { TableName } from '../contract.js'
import { formatDuckDbType } from '../duckdb/column-types.js'
import { foldName } from './landed-fields.js'

export const MANIFEST_FOLDER = '_trunkline/manifest/'
const MANIFEST_FORMAT = 1
const SEQ_DIGITS = 20

const savedFile = object(
  { path: text, bytes: number, rows: number, sha256: text },
  /** Milliseconds since 1970: the dated copy that the rows belong to. */
  { runAt: number },
)

const field: Shape<Field> = (value, path) => {
  const {
    name,
    type,
    nullable: isNullable,
  } = object({ name: text, type: anything, nullable: boolean })(value, path)
  const candidate = { name, type, nullable: isNullable } as Field
  try {
    formatDuckDbType(candidate.type)
    return candidate
  } catch {
    throw new ShapeError(`${path}.type`, 'a type of a column')
  }
}

const streamEntry = object(
  {
    sync: text,
    stream: text,
    table: object({ schema: text, name: text }),
    /** Another sync has taken the table over: the stream has no rows here any more. */
    lost: boolean,
    generation: number,
    runSeq: number,
    runId: text,
    committedAt: text,
    paused: boolean,
    skipped: boolean,
    /** As `model/checkpoint` writes it. */
    checkpoint: nullable(text),
    fields: list(field),
    comments: object({ table: nullable(text), columns: list(pair(text, text)) }),
    files: list(savedFile),
  },
  /** When the generation was committed for the first time; absent in what earlier versions wrote. */
  { loadedAt: text },
)

const syncEntry = object({
  sync: text,
  /** Raised by each run. */
  epoch: number,
  /** Which opening of a destination has the lease; its note is called so. Null: nobody. */
  token: nullable(text),
  pid: number,
  host: text,
  processStartedAt: number,
})

const manifest = object({
  format: literal(MANIFEST_FORMAT),
  seq: number,
  files: text,
  over: list(number),
  run: object({ sync: text, epoch: number, runId: text, at: text }),
  syncs: list(syncEntry),
  streams: list(streamEntry),
})

export type SavedFile = ShapeOf<typeof savedFile>
export type StreamEntry = ShapeOf<typeof streamEntry>
export type SyncEntry = ShapeOf<typeof syncEntry>
export type Manifest = ShapeOf<typeof manifest>

/** What the newest manifest and those below it come to. */
export interface Ledger {
  /** 0 where there is no manifest. */
  readonly seq: number
  /** Of which form the root's files are; null where there is no manifest. */
  readonly files: string | null
  readonly syncs: ReadonlyMap<string, SyncEntry>
  /** By {@link streamKey}. */
  readonly streams: ReadonlyMap<string, StreamEntry>
  /** Who has the rows of a table, by {@link tableKey}. */
  readonly owners: ReadonlyMap<string, StreamEntry>
  /** The manifests in force that have streams, oldest first. */
  readonly layers: readonly Manifest[]
}

export interface LedgerChange {
  readonly run: Manifest['run']
  readonly syncs?: readonly SyncEntry[]
  readonly streams?: readonly StreamEntry[]
}

export const EMPTY_LEDGER: Ledger = {
  seq: 0,
  files: null,
  syncs: new Map(),
  streams: new Map(),
  owners: new Map(),
  layers: [],
}

export function streamKey({ sync, stream }: Pick<StreamEntry, 'sync' | 'stream'>): string {
  return JSON.stringify([sync, stream])
}

export function manifestPath(seq: number): string {
  return `${MANIFEST_FOLDER}${String(seq).padStart(SEQ_DIGITS, '0')}.json`
}

/** Null where the path is not one of a manifest. */
export function seqOfPath(path: string): number | null {
  const digits = /^_trunkline\/manifest\/(\d{20})\.json$/.exec(path)?.[1]
  return digits === undefined ? null : Number(digits)
}

/** @throws STATE_TOO_NEW, STATE_MALFORMED */
export function parseManifest(content: Uint8Array, path: string): Manifest {
  try {
    const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(content))
    const format = (value as { format?: unknown } | null)?.format
    if (typeof format === 'number' && format > MANIFEST_FORMAT) {
      throw new TrunklineError(
        'STATE_TOO_NEW',
        `${path} has format ${format}; this Trunkline reads ${MANIFEST_FORMAT}.`,
        {
          hint: 'Upgrade Trunkline.',
          context: { path },
        },
      )
    }
    return manifest(value, '')
  } catch (cause) {
    if (cause instanceof TrunklineError) throw cause
    throw new TrunklineError('STATE_MALFORMED', `${path} is not a manifest.`, {
      hint: 'Put the file back from a copy; without it nobody knows which files make up the tables.',
      context: { path },
      cause,
    })
  }
}

export function formatManifest(made: Manifest): Uint8Array {
  return new TextEncoder().encode(`${JSON.stringify(made)}\n`)
}

/** @param below those that the newest one lies over, oldest first */
export function assembleLedger(newest: Manifest, below: readonly Manifest[]): Ledger {
  return overlay(EMPTY_LEDGER, newest, below, [...below, newest])
}

/** What `nextManifest` made of it is in force. */
export function advanceLedger(ledger: Ledger, made: Manifest, below: readonly Manifest[]): Ledger {
  return overlay(ledger, made, below, [made])
}

/** @param taken the manifests whose streams are not yet among those of `base` as they should be, oldest first */
function overlay(
  base: Ledger,
  newest: Manifest,
  below: readonly Manifest[],
  taken: readonly Manifest[],
): Ledger {
  const streams = new Map(base.streams)
  for (const { streams: entries } of taken) for (const entry of entries) streams.set(streamKey(entry), entry)
  const owners = new Map(base.owners)
  const changed = new Set(taken.flatMap(({ streams: entries }) => entries.map(streamKey)))
  for (const key of changed) {
    const before = base.streams.get(key)
    if (before !== undefined && owners.get(tableKey(before.table)) === before)
      owners.delete(tableKey(before.table))
  }
  for (const key of changed) {
    const entry = streams.get(key)
    if (entry !== undefined && !entry.lost) owners.set(tableKey(entry.table), entry)
  }
  const syncs = new Map(newest.syncs.map((entry) => [entry.sync, entry]))
  const layers = [...below, newest].filter((layer) => layer.streams.length > 0)
  return { seq: newest.seq, files: newest.files, syncs, streams, owners, layers }
}

/** The manifest that makes the change, with those that it will lie over. */
export function nextManifest(
  ledger: Ledger,
  files: string,
  { run, syncs = [], streams = [] }: LedgerChange,
): { readonly made: Manifest; readonly below: readonly Manifest[] } {
  const own = new Map(streams.map((entry) => [streamKey(entry), entry]))
  const below = [...ledger.layers]
  if (own.size > 0) {
    for (let top = below.at(-1); top !== undefined && top.streams.length < 2 * own.size; top = below.at(-1)) {
      for (const entry of top.streams) {
        const key = streamKey(entry)
        if (!own.has(key)) own.set(key, entry)
      }
      below.pop()
    }
  }
  const made: Manifest = {
    format: MANIFEST_FORMAT,
    seq: ledger.seq + 1,
    files,
    over: below.map(({ seq }) => seq),
    run,
    syncs: [...new Map([...ledger.syncs, ...syncs.map((entry) => [entry.sync, entry] as const)]).values()],
    streams: [...own.values()],
  }
  return { made, below }
}

/** The same for names that the destination cannot tell apart. */
export function tableKey({ schema, name }: TableName): string {
  return JSON.stringify([foldName(schema), foldName(name)])
}

function anything(value: unknown): unknown {
  return value
}
