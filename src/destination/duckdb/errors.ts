/** What DuckDB and the file system throw, as Trunkline's errors. */
import { TrunklineError } from '../../model/error.js'

/** Wraps whatever is not already ours. */
export function toDestinationError(
  cause: unknown,
  context: { readonly doing: string; readonly path: string; readonly stream?: string },
): TrunklineError {
  if (cause instanceof TrunklineError) return cause
  const words = cause instanceof Error ? cause.message : String(cause)
  return new TrunklineError('DESTINATION_FAILED', `${context.path}: ${context.doing} failed: ${words}`, {
    hint: 'Nothing of this stream was committed; what was there before is unchanged.',
    context: { path: context.path, ...(context.stream === undefined ? {} : { stream: context.stream }) },
    cause,
  })
}
