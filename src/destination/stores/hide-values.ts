/**
 * Texts about files without the values of rows: a file of a divided table lies in a folder `region=eu`, and that value is a row's.
 */
export function hideValues(text: string): string {
  return text.replaceAll(/=[\w .%-]*(?=[/'"]|$)/g, '=…')
}

/** The error with its message so; the code that the system gave stays. */
export function withoutValues(cause: unknown): unknown {
  if (!(cause instanceof Error)) return cause
  const message = hideValues(cause.message)
  if (message === cause.message) return cause
  const { code } = cause as NodeJS.ErrnoException
  return Object.assign(new Error(message), code === undefined ? {} : { code })
}
