/**
 * Removes what no table needs any more: data files that no manifest in force names, manifests that are not in force, notes of runs that
 * are gone, and what was begun and never finished. Nothing that Trunkline did not make is touched.
 *
 * Files that a table had a short while ago stay, however old they are: readers may be at them. The manifests of the last day say which
 * those are; for longer, the files and states that are there say when a generation was replaced at the latest.
 *
 * What a run that goes on has written is kept, whatever its age. A run that seems gone may still wake up and commit, so that before
 * its files are removed it loses its lease.
 */
import type { Store } from '../stores/store.js'
import { escapeName, findDataPaths, readDataPath, tableFolder, type DataPath } from './data-path.js'
import type { Ledger, StreamEntry, SyncEntry } from './manifest.js'
import { KEPT_MS, ManifestLog } from './manifest-log.js'
import { findNotes, isRunning, tellTime, type FoundNote } from './run-notes.js'
import { LISTING_FILE, VIEWS_FILE } from './table-listing.js'

/** Paths that are removed by one call. */
const REMOVED_AT_ONCE = 1000
/** By how much the clocks of a run and of the store may differ. */
const CLOCKS_APART_MS = 60 * 60 * 1000

export interface GarbageOptions {
  /** Files that are younger, or were replaced less long ago, stay: readers may be at them. */
  readonly olderThanMs: number
  /** Only says what there is. */
  readonly dryRun: boolean
  readonly signal?: AbortSignal
}

export interface Garbage {
  readonly files: number
  readonly bytes: number
  readonly manifests: number
  /** Notes of runs that are gone, and files that were never finished. */
  readonly leftovers: number
}

interface Candidate extends DataPath {
  readonly path: string
  readonly bytes: number
}

export async function collectGarbage(store: Store, options: GarbageOptions): Promise<Garbage> {
  const { olderThanMs, dryRun, signal } = options
  const log = new ManifestLog(store)
  const before = await log.refresh()
  if (before.seq === 0) return { files: 0, bytes: 0, manifests: 0, leftovers: 0 }
  const nowMs = dryRun ? Date.now() : await tellTime(store)
  const candidates: Candidate[] = []
  const begun = new FirstFiles()
  for await (const { path, bytes, modifiedAt } of store.list('')) {
    signal?.throwIfAborted()
    const data = readDataPath(path)
    if (data === null) continue
    begun.add(data, modifiedAt.getTime())
    if (nowMs - modifiedAt.getTime() >= olderThanMs) candidates.push({ ...data, path, bytes })
  }
  const notes = await findNotes(store, dryRun ? null : nowMs)
  const running = new Set(notes.filter(isRunning).map(({ token }) => token))
  // A note is written before its run takes the lease: who had it before the notes were read, and has none, does not go on.
  const dead = new Set([...before.syncs.values()].flatMap(({ token }) => token ?? []))
  for (const token of running) dead.delete(token)
  // What was committed up to the notes is named from here on, and what was replaced meanwhile is by a manifest of this time.
  const now = await log.refresh()
  const ended = findGarbage(now, candidates, { running, dead })
  const mayBeRead = await findReaders(store, { log, begun, nowMs, olderThanMs })
  const garbage = ended.filter((candidate) => !mayBeRead(candidate))
  if (garbage.length > 0 && !dryRun) {
    await endRuns(log, dead)
    // One of them may have committed just before.
    const paths = findGarbage(log.ledger, garbage, { running, dead }).map(({ path }) => path)
    for (let at = 0; at < paths.length; at += REMOVED_AT_ONCE) {
      signal?.throwIfAborted()
      await store.remove(paths.slice(at, at + REMOVED_AT_ONCE))
    }
  }
  const manifests = await log.prune({ dryRun })
  const left = notes.filter((note) => !isRunning(note) && note.ageMs >= olderThanMs)
  if (!dryRun) await store.remove(left.map(({ path }) => path))
  const runs = new Set([...running].map(escapeName))
  const isAbandoned = (path: string): boolean => {
    const data = readDataPath(path)
    return data !== null && !runs.has(data.run)
  }
  const unfinished = dryRun
    ? 0
    : ((await store.removeAbandoned?.(beforeRuns(nowMs - olderThanMs, notes), isAbandoned)) ?? 0)
  return {
    files: garbage.length,
    bytes: garbage.reduce((sum, { bytes }) => sum + bytes, 0),
    manifests: manifests.length,
    leftovers: left.length + unfinished,
  }
}

/** When the first file of each generation was written, by folders of tables. */
class FirstFiles {
  readonly #byTable = new Map<string, Map<number, number>>()

  add({ table, generation }: DataPath, ms: number): void {
    const known = this.of(table)
    known.set(generation, Math.min(ms, known.get(generation) ?? Infinity))
    this.#byTable.set(table.toLowerCase(), known)
  }

  of(table: string): Map<number, number> {
    return this.#byTable.get(table.toLowerCase()) ?? new Map<number, number>()
  }
}

/** Whether somebody may still read a file that no table has any more, as those do who began before it was replaced. */
async function findReaders(
  store: Store,
  {
    log,
    begun,
    nowMs,
    olderThanMs,
  }: {
    readonly log: ManifestLog
    readonly begun: FirstFiles
    readonly nowMs: number
    readonly olderThanMs: number
  },
): Promise<(candidate: Candidate) => boolean> {
  const named = new Set<string>()
  // They are one commit behind where a run died between the two.
  for (const listing of [LISTING_FILE, VIEWS_FILE]) {
    const content = await store.read(listing)
    const text = content === null ? '' : new TextDecoder().decode(content)
    for (const path of findDataPaths(text)) named.add(path.toLowerCase())
  }
  if (olderThanMs > 0) {
    for (const path of await log.namedSince(nowMs - olderThanMs)) named.add(path.toLowerCase())
  }
  const present = new Map<string, StreamEntry>()
  for (const entry of log.ledger.owners.values()) present.set(tableFolder(entry.table).toLowerCase(), entry)
  return (candidate) => {
    if (named.has(candidate.path.toLowerCase())) return true
    if (olderThanMs <= KEPT_MS) return false
    const { table, generation } = candidate
    const replacedAtMs = replacedAt(generation, present.get(table.toLowerCase()), begun.of(table))
    return replacedAtMs !== null && nowMs - replacedAtMs < olderThanMs
  }
}

/**
 * When another generation took the place of this one, at the latest: before anything of the one after that was written. Null where
 * that cannot be told, as of a table that another sync has taken over.
 */
function replacedAt(
  generation: number,
  present: StreamEntry | undefined,
  begun: ReadonlyMap<number, number>,
): number | null {
  if (present === undefined || present.generation <= generation) return null
  const loadedAtMs = Date.parse(present.loadedAt ?? present.committedAt)
  // The clock of the run may have been behind that of the store.
  let atMs = Math.max(loadedAtMs, begun.get(present.generation) ?? loadedAtMs)
  for (const [later, ms] of begun) if (later >= generation + 2) atMs = Math.min(atMs, ms)
  return atMs
}

/** What was begun before then is not of a run that goes on. */
function beforeRuns(ms: number, notes: readonly FoundNote[]): Date {
  const starts = notes.flatMap((found) =>
    isRunning(found) && found.note !== null ? [Date.parse(found.note.startedAt) - CLOCKS_APART_MS] : [],
  )
  return new Date(Math.min(ms, ...starts))
}

/** Of files that no table has, those whose runs can not commit them any more. */
function findGarbage(
  ledger: Ledger,
  candidates: readonly Candidate[],
  { running, dead }: { readonly running: ReadonlySet<string>; readonly dead: ReadonlySet<string> },
): readonly Candidate[] {
  const named = namedFiles(ledger)
  const holders = [...ledger.syncs.values()].flatMap(({ token }) => token ?? [])
  const mayCommit = new Set([...running, ...holders.filter((token) => !dead.has(token))].map(escapeName))
  return candidates.filter(({ path, run }) => !named.has(path.toLowerCase()) && !mayCommit.has(run))
}

/** Takes the lease from them, as far as they have it. */
async function endRuns(log: ManifestLog, dead: ReadonlySet<string>): Promise<void> {
  const deadOf = ({ syncs }: Ledger): readonly SyncEntry[] =>
    [...syncs.values()].filter(({ token }) => token !== null && dead.has(token))
  const { files } = log.ledger
  const [first] = deadOf(log.ledger)
  if (files === null || first === undefined) return
  const run = { sync: first.sync, epoch: first.epoch + 1, runId: 'gc', at: new Date().toISOString() }
  await log.append(files, (ledger) => ({
    run,
    syncs: deadOf(ledger).map((entry) => ({ ...entry, epoch: entry.epoch + 1, token: null })),
  }))
}

/** In lower case: where the file system folds case a folder may be called otherwise than by the manifest. */
function namedFiles({ streams }: Ledger): ReadonlySet<string> {
  const paths = new Set<string>()
  for (const { files } of streams.values()) for (const { path } of files) paths.add(path.toLowerCase())
  return paths
}
