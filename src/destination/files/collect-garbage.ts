/**
 * Removes what no table needs any more: data files that no manifest in force names, manifests that are not in force, notes of runs that
 * are gone, and what was begun and never finished. Nothing that Trunkline did not make is touched.
 *
 * What a run that goes on has written is kept, whatever its age. A run that seems gone may still wake up and commit, so that before
 * its files are removed it loses its lease.
 */
import type { Store } from '../stores/store.js'
import { escapeName, runOfDataPath } from './data-path.js'
import type { Ledger, SyncEntry } from './manifest.js'
import { ManifestLog } from './manifest-log.js'
import { findNotes, isRunning, type FoundNote } from './run-notes.js'

/** Paths that are removed by one call. */
const REMOVED_AT_ONCE = 1000
/** By how much the clocks of a run and of the store may differ. */
const CLOCKS_APART_MS = 60 * 60 * 1000

export interface GarbageOptions {
  /** Younger files stay: readers may be at those of a generation that was replaced just now. */
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

interface Candidate {
  readonly path: string
  readonly bytes: number
  /** As the path names it. */
  readonly run: string
}

export async function collectGarbage(store: Store, options: GarbageOptions): Promise<Garbage> {
  const { olderThanMs, dryRun, signal } = options
  const nowMs = Date.now()
  const log = new ManifestLog(store)
  const before = await log.refresh()
  if (before.seq === 0) return { files: 0, bytes: 0, manifests: 0, leftovers: 0 }
  const candidates: Candidate[] = []
  for await (const { path, bytes, modifiedAt } of store.list('')) {
    signal?.throwIfAborted()
    const run = runOfDataPath(path)
    if (run !== null && nowMs - modifiedAt.getTime() >= olderThanMs) candidates.push({ path, bytes, run })
  }
  const notes = await findNotes(store, dryRun ? null : 'exactly')
  const running = new Set(notes.filter(isRunning).map(({ token }) => token))
  // A note is written before its run takes the lease: who had it before the notes were read, and has none, does not go on.
  const dead = new Set([...before.syncs.values()].flatMap(({ token }) => token ?? []))
  for (const token of running) dead.delete(token)
  // What was committed up to the notes is named from here on.
  const garbage = findGarbage(await log.refresh(), candidates, { running, dead })
  if (garbage.length > 0 && !dryRun) {
    await endRuns(log, dead)
    // One of them may have committed just before.
    const paths = findGarbage(log.ledger, garbage, { running, dead }).map(({ path }) => path)
    for (let at = 0; at < paths.length; at += REMOVED_AT_ONCE) {
      signal?.throwIfAborted()
      await store.remove(paths.slice(at, at + REMOVED_AT_ONCE))
    }
  }
  const manifests = await log.prune(nowMs, { dryRun })
  const left = notes.filter((note) => !isRunning(note) && note.ageMs >= olderThanMs)
  if (!dryRun) await store.remove(left.map(({ path }) => path))
  const abandonedBefore = beforeRuns(nowMs - olderThanMs, notes)
  const unfinished = dryRun
    ? 0
    : ((await store.removeAbandoned?.(abandonedBefore, (path) => runOfDataPath(path) !== null)) ?? 0)
  return {
    files: garbage.length,
    bytes: garbage.reduce((sum, { bytes }) => sum + bytes, 0),
    manifests: manifests.length,
    leftovers: left.length + unfinished,
  }
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
