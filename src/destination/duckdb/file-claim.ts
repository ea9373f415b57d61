/**
 * Which files this process has open. DuckDB keeps other processes out with a lock of the operating system, but such a lock does
 * not see a second opening by the same process: two instances on one file overwrite each other's blocks.
 */
import { TrunklineError } from '../../model/error.js'
import { isThisProcess } from '../process-identity.js'
import { describeRun } from '../run-note.js'
import { readRunNote } from './run-file.js'

/** On globalThis, because a bundle and an installed copy of this package are two modules in one process. */
const REGISTRY = Symbol.for('trunkline.duckdb.open-files')
const WRITER = -1

/** Readers of a file, or {@link WRITER}. */
function openFiles(): Map<string, number> {
  const holder = globalThis as { [REGISTRY]?: Map<string, number> | undefined }
  const known = holder[REGISTRY]
  if (known) return known
  return (holder[REGISTRY] = new Map<string, number>())
}

export interface FileClaim {
  /** Nothing else in this process has the file open. */
  readonly alone: boolean
  release(): void
}

/**
 * One writer or many readers in this process, be they in several threads.
 * @param runNoteOf the file beside which a run that writes `file` keeps its note; null where a note says nothing about `file`.
 * @throws DESTINATION_LOCKED
 */
export async function claimFile(
  file: string,
  use: 'read' | 'write',
  runNoteOf: string | null,
): Promise<FileClaim> {
  const files = openFiles()
  const users = files.get(file) ?? 0
  if (users === WRITER || (use === 'write' && users > 0)) throw alreadyOpen(file, '')
  files.set(file, use === 'write' ? WRITER : users + 1)
  const release = (): void => {
    const left = (files.get(file) ?? 0) - 1
    if (use === 'write' || left <= 0) files.delete(file)
    else files.set(file, left)
  }
  try {
    // Threads share no memory; what another one is doing is seen by the note it keeps.
    const note = runNoteOf === null ? null : await readRunNote(runNoteOf)
    if (note && isThisProcess(note)) throw alreadyOpen(file, `: ${describeRun(note)}`)
  } catch (error) {
    release()
    throw error
  }
  return { alone: users === 0, release }
}

function alreadyOpen(file: string, by: string): TrunklineError {
  return new TrunklineError('DESTINATION_LOCKED', `${file} is already open in this process${by}.`, {
    hint: 'Let the run that has it open finish first.',
    context: { path: file },
  })
}
