/**
 * `<file>.trunkline-run.json`: who is writing the file just now, for everybody whom DuckDB's lock keeps out.
 *
 * It informs and never decides: the lock is DuckDB's. A crashed run leaves it behind, and the next one replaces it.
 */
import { readFile, rename, rm, writeFile } from 'node:fs/promises'
import { thisProcess } from '../process-identity.js'
import { formatRunNote, parseRunNote, type RunNote } from '../run-note.js'

const REWRITE_AFTER_MS = 1000

export function runFilePath(file: string): string {
  return `${file}.trunkline-run.json`
}

/** Null where there is none, or none that can be read. */
export async function readRunNote(file: string): Promise<RunNote | null> {
  try {
    return parseRunNote(await readFile(runFilePath(file), 'utf8'))
  } catch {
    return null
  }
}

/** Keeps the note of a run up to date. Never rejects: a run does not fail because it cannot be talked about. */
export class RunFile {
  readonly #file: string
  #note: RunNote
  #writtenAt = 0
  #writing: Promise<void> = Promise.resolve()

  constructor(
    file: string,
    run: { readonly sync: string; readonly runId: string; readonly startedAt: Date },
  ) {
    this.#file = file
    const startedAt = run.startedAt.toISOString()
    this.#note = {
      v: 1,
      ...thisProcess(),
      sync: run.sync,
      runId: run.runId,
      startedAt,
      updatedAt: startedAt,
      rows: 0,
      committedStreams: 0,
    }
  }

  async start(): Promise<void> {
    await this.#write()
  }

  addRows(rows: number): void {
    this.#note = { ...this.#note, rows: this.#note.rows + rows }
    this.#writeSometimes()
  }

  addCommit(): void {
    this.#note = { ...this.#note, committedStreams: this.#note.committedStreams + 1 }
    this.#writeSometimes()
  }

  async remove(): Promise<void> {
    await this.#writing
    await rm(runFilePath(this.#file), { force: true }).catch(() => undefined)
  }

  #writeSometimes(): void {
    const now = Date.now()
    if (now - this.#writtenAt < REWRITE_AFTER_MS) return
    this.#writtenAt = now
    this.#writing = this.#writing.then(() => this.#write())
  }

  async #write(): Promise<void> {
    this.#note = { ...this.#note, updatedAt: new Date().toISOString() }
    const target = runFilePath(this.#file)
    const draft = `${target}.new`
    try {
      await writeFile(draft, formatRunNote(this.#note), { mode: 0o600 })
      await rename(draft, target)
    } catch {
      await rm(draft, { force: true }).catch(() => undefined)
    }
  }
}
