/** What is at the path of a destination, looked at before DuckDB is: its own errors do not tell these cases apart. */
import { access, constants, open, realpath, stat } from 'node:fs/promises'
import path from 'node:path'
import { TrunklineError } from '../../model/error.js'

/** A DuckDB file starts with an 8-byte checksum, `DUCK`, and the storage version as a 64-bit number. */
const MAGIC = 'DUCK'
const MAGIC_OFFSET = 8
const VERSION_OFFSET = 12
const HEADER_BYTES = 20
/** The newest storage version that the DuckDB we depend on reads; a test holds the two together. */
export const NEWEST_STORAGE_VERSION = 68n

export interface DestinationFile {
  /** Absolute, links resolved; the file itself need not exist. */
  readonly path: string
  readonly exists: boolean
}

/**
 * Opens nothing: see {@link assertDuckDb}.
 * @throws DESTINATION_INVALID for a missing folder or a directory; DESTINATION_READ_ONLY when `write` is asked for and not
 *   possible.
 */
export async function inspectFile(file: string, write: boolean): Promise<DestinationFile> {
  const folder = path.dirname(path.resolve(file))
  const realFolder = await realpath(folder).catch((cause: unknown) => {
    throw new TrunklineError('DESTINATION_INVALID', `${file}: the folder ${folder} does not exist.`, {
      hint: `Create it first: mkdir -p ${folder}`,
      context: { path: file },
      cause,
    })
  })
  if (!(await stat(realFolder)).isDirectory()) throw invalid(file, `${folder} is not a folder`)
  if (write) await assertWritable(file, realFolder)
  const found = await stat(file).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  })
  if (!found) return { path: path.join(realFolder, path.basename(file)), exists: false }
  if (found.isDirectory())
    throw invalid(file, 'it is a directory', `Name a file in it: ${path.join(file, 'copy.duckdb')}`)
  if (!found.isFile()) throw invalid(file, 'it is not a regular file')
  const real = await realpath(file)
  if (write) {
    await assertWritable(file, path.dirname(real))
  }
  return { path: real, exists: true }
}

async function assertWritable(file: string, place: string): Promise<void> {
  try {
    await access(place, constants.W_OK | constants.R_OK)
  } catch (cause) {
    throw unwritable(file, place, cause)
  }
}

function unwritable(file: string, place: string, cause: unknown): TrunklineError {
  return new TrunklineError('DESTINATION_READ_ONLY', `${file}: ${place} cannot be opened for it.`, {
    hint: 'Make the file and its folder readable and writable for this user, or choose another place: the folder is needed for the log of the file.',
    context: { path: file },
    cause,
  })
}

/**
 * Only for who holds the {@link FileClaim} of the file, and alone: closing any handle of a file gives up the locks that this
 * process has on it, so that a run that has it attached would no longer keep other processes out.
 * @throws DESTINATION_INVALID for something that is not a DuckDB file, or a newer one
 */
export async function assertDuckDb(
  { path: file, exists }: DestinationFile,
  use: 'read' | 'write',
): Promise<void> {
  if (!exists) return
  const header = Buffer.alloc(HEADER_BYTES)
  const handle = await open(file, use === 'write' ? 'r+' : 'r').catch((cause: unknown) => {
    throw unwritable(file, file, cause)
  })
  try {
    await handle.read(header, 0, HEADER_BYTES, 0)
  } finally {
    await handle.close()
  }
  if (header.toString('latin1', MAGIC_OFFSET, MAGIC_OFFSET + MAGIC.length) !== MAGIC) {
    throw invalid(
      file,
      'it is not a DuckDB file',
      'Choose another name; Trunkline overwrites nothing that it did not make.',
    )
  }
  const version = header.readBigUInt64LE(VERSION_OFFSET)
  if (version > NEWEST_STORAGE_VERSION) {
    throw invalid(
      file,
      `it was written by a newer DuckDB (storage version ${version}, the newest known here is ${NEWEST_STORAGE_VERSION})`,
      'Upgrade Trunkline, or choose another file.',
    )
  }
}

function invalid(file: string, reason: string, hint = 'Choose another place.'): TrunklineError {
  return new TrunklineError('DESTINATION_INVALID', `${file}: ${reason}.`, { hint, context: { path: file } })
}
