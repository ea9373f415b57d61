/**
 * `_trunkline/runs/<token>.json`: a note of each opening of a store for a run, written before the lease is taken, rewritten again and
 * again, and removed at the end. It decides whether a lease that somebody has may be taken: what keeps two runs from committing on
 * the same state is the chain of manifests alone.
 */
import { randomUUID } from 'node:crypto'
import { isAlive, type ProcessIdentity } from '../process-identity.js'
import { formatRunNote, parseRunNote, type RunNote } from '../run-note.js'
import type { Store, StoredFile } from '../stores/store.js'
import type { SyncEntry } from './manifest.js'

const FOLDER = '_trunkline/runs/'
const REWRITE_EVERY_MS = 15_000
/** A note that was not rewritten for so long is one of a run that is gone, or was stopped in its tracks. */
const STALE_AFTER_MS = 120_000

export interface FoundNote {
  readonly token: string
  /** Null where it cannot be read, or is no note. */
  readonly note: RunNote | null
  readonly path: string
  readonly ageMs: number
}

/** Keeps the note of a run up to date. A run does not fail because it cannot be talked about: only `start` rejects. */
export class RunNoteKeeper {
  readonly token: string
  readonly #store: Store
  #note: RunNote
  #timer: NodeJS.Timeout | null = null
  #writing: Promise<void> = Promise.resolve()
  #isWriting = false

  constructor(
    store: Store,
    run: ProcessIdentity & {
      readonly token: string
      readonly sync: string
      readonly runId: string
      readonly startedAt: Date
    },
  ) {
    this.#store = store
    this.token = run.token
    const startedAt = run.startedAt.toISOString()
    const { pid, host, processStartedAt, sync, runId } = run
    this.#note = {
      v: 1,
      pid,
      host,
      processStartedAt,
      sync,
      runId,
      startedAt,
      updatedAt: startedAt,
      rows: 0,
      committedStreams: 0,
    }
  }

  async start(): Promise<void> {
    await this.#put()
    this.#timer = setInterval(() => {
      // A store that does not answer is not asked again and again, to be waited for at the end.
      if (this.#isWriting) return
      this.#isWriting = true
      this.#writing = this.#put()
        .catch(() => undefined)
        .finally(() => {
          this.#isWriting = false
        })
    }, REWRITE_EVERY_MS)
    this.#timer.unref()
  }

  addRows(rows: number): void {
    this.#note = { ...this.#note, rows: this.#note.rows + rows }
  }

  addCommit(): void {
    this.#note = { ...this.#note, committedStreams: this.#note.committedStreams + 1 }
  }

  async remove(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer)
    await this.#writing
    await this.#store.remove([pathOf(this.token)]).catch(() => undefined)
  }

  async #put(): Promise<void> {
    this.#note = { ...this.#note, updatedAt: new Date().toISOString() }
    await this.#store.put(pathOf(this.token), new TextEncoder().encode(formatRunNote(this.#note)))
  }
}

/** What time it is by the clock of the store, told by a file made for that. Milliseconds since 1970. */
export async function tellTime(store: Store): Promise<number> {
  const probe = pathOf(randomUUID())
  await store.put(probe, new Uint8Array())
  try {
    for await (const { modifiedAt } of store.list(probe)) return modifiedAt.getTime()
    return Date.now()
  } finally {
    await store.remove([probe])
  }
}

/** @param clock by which their age is told: the time, or a note that was just written, by its token; null: this machine's clock */
export async function findNotes(
  store: Store,
  clock: { readonly token: string } | number | null,
): Promise<readonly FoundNote[]> {
  const files: StoredFile[] = []
  for await (const file of store.list(FOLDER)) files.push(file)
  const written = typeof clock === 'object' && clock !== null ? pathOf(clock.token) : null
  const toldMs =
    typeof clock === 'number' ? clock : files.find(({ path }) => path === written)?.modifiedAt.getTime()
  const nowMs = toldMs ?? Date.now()
  const notes: FoundNote[] = []
  for (const { path, modifiedAt } of files) {
    const content = await store.read(path)
    if (content === null) continue
    const note = parseRunNote(new TextDecoder().decode(content))
    const token = path.slice(FOLDER.length).replace(/\.json$/, '')
    notes.push({ token, note, path, ageMs: nowMs - modifiedAt.getTime() })
  }
  return notes
}

/** Whether the run still goes on, as far as that can be known from here. */
export function isRunning({ note, ageMs }: FoundNote): boolean {
  return note !== null && ageMs < STALE_AFTER_MS && isAlive(note)
}

/** The run that has the lease of the sync, if it still goes on. */
export function findHolder(notes: readonly FoundNote[], lease: SyncEntry | undefined): RunNote | null {
  if (lease === undefined || lease.token === null) return null
  const found = notes.find(({ token }) => token === lease.token)
  return found !== undefined && isRunning(found) ? found.note : null
}

function pathOf(token: string): string {
  return `${FOLDER}${token}.json`
}
