/** Settings that differ between reads of one transaction, in force while one of them runs. */
import type { Connection } from '../postgres/connection.js'
import { quoteIdent } from '../postgres/quote.js'

export interface ReadSettings {
  /** Row security filters instead of refusing. */
  readonly rowSecurity: boolean
  /** Where the unqualified names of a query are looked for, after pg_catalog. */
  readonly searchPath?: readonly string[]
}

/** What the session's preamble set comes back afterwards; after a failure the savepoint around it brings it back. */
export async function withReadSettings<Result>(
  connection: Connection,
  settings: ReadSettings,
  work: () => Promise<Result>,
): Promise<Result> {
  const { rowSecurity, searchPath = [] } = settings
  if (!rowSecurity && searchPath.length === 0) return work()
  await connection.execute(
    `SET LOCAL row_security = ${rowSecurity ? 'on' : 'off'}; ${searchPathSql(searchPath)}`,
  )
  const result = await work()
  await connection.execute(`SET LOCAL row_security = off; ${searchPathSql([])}`)
  return result
}

/** pg_catalog stays first, so that nobody can put a function of their own before a built-in one. */
export function searchPathSql(searchPath: readonly string[]): string {
  return `SET LOCAL search_path = ${['pg_catalog', ...searchPath].map(quoteIdent).join(', ')}`
}
