/** Assertions that say what was expected of a destination, over node:assert. */
import assert from 'node:assert/strict'

/** The promise rejects with a TrunklineError of this code (one of these), which says what to do. */
export async function rejectsWith(
  code: string | readonly string[],
  promise: Promise<unknown>,
): Promise<{ readonly message: string; readonly hint: string }> {
  const codes = typeof code === 'string' ? [code] : code
  const outcome = await promise.then(
    () => null,
    (error: unknown) => ({ error }),
  )
  if (outcome === null) assert.fail(`expected ${codes.join(' or ')}, and nothing was refused`)
  const { error } = outcome
  const found = error as { readonly code?: unknown; readonly message?: unknown; readonly hint?: unknown }
  const matches = error instanceof Error && codes.includes(String(found.code))
  // With the error as its cause, so that its stack is printed, too.
  if (!matches) {
    throw new assert.AssertionError({
      message: `expected ${codes.join(' or ')}, got ${String(found.code)}: ${String(found.message)}\n${error instanceof Error ? (error.stack ?? '') : ''}`,
      actual: found.code,
      expected: codes,
    })
  }
  assert.ok(
    typeof found.hint === 'string' && found.hint !== '',
    `${String(found.code)} says nothing of what to do: ${error.message}`,
  )
  return { message: error.message, hint: found.hint }
}

/** What `expected` has, `actual` has, too; it may have more. */
export function hasParts<T>(actual: T | undefined, expected: { readonly [K in keyof T]?: unknown }): void {
  assert.ok(actual !== undefined && actual !== null, 'expected something to be there')
  const parts = Object.fromEntries(Object.keys(expected).map((key) => [key, actual[key as keyof T]]))
  assert.deepStrictEqual(parts, expected)
}
