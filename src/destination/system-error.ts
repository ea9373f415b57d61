/** What the file system refuses, as codes of ours. */

type SystemErrorCode = 'DESTINATION_FULL' | 'DESTINATION_READ_ONLY' | 'DESTINATION_INVALID'

/** Codes of the file system that mean something else than a defect. */
const CODES: Readonly<Record<string, SystemErrorCode>> = {
  ENOSPC: 'DESTINATION_FULL',
  EDQUOT: 'DESTINATION_FULL',
  EROFS: 'DESTINATION_READ_ONLY',
  EACCES: 'DESTINATION_READ_ONLY',
  EPERM: 'DESTINATION_READ_ONLY',
  ENOENT: 'DESTINATION_INVALID',
  ENOTDIR: 'DESTINATION_INVALID',
  EISDIR: 'DESTINATION_INVALID',
  ELOOP: 'DESTINATION_INVALID',
  ENAMETOOLONG: 'DESTINATION_INVALID',
}

/** Undefined for every other failure. */
export function systemErrorCode(cause: unknown): SystemErrorCode | undefined {
  return CODES[(cause as NodeJS.ErrnoException | null)?.code ?? '']
}
