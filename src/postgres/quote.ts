/** The only way names and values enter SQL text. */
import { TrunklineError } from '../model/error.js'

/** `my "table"` → `"my ""table"""`. @throws CONFIG_INVALID for the empty name and for NUL, which no name can be. */
export function quoteIdent(name: string): string {
  if (name === '') throw unquotable('An empty string is not the name of anything in PostgreSQL.')
  if (name.includes('\0')) throw unquotable('A name in PostgreSQL cannot hold a NUL character.')
  return `"${name.replaceAll('"', '""')}"`
}

/**
 * A text literal that means the same whatever standard_conforming_strings says: with a backslash inside it is an E'' string.
 *
 * @throws CONFIG_INVALID for NUL, which no text in PostgreSQL holds.
 */
export function quoteLiteral(text: string): string {
  if (text.includes('\0')) throw unquotable('A text in PostgreSQL cannot hold a NUL character.')
  const quoted = text.replaceAll("'", "''")
  return quoted.includes('\\') ? ` E'${quoted.replaceAll('\\', '\\\\')}'` : `'${quoted}'`
}

export function quoteQualified(schema: string, name: string): string {
  return `${quoteIdent(schema)}.${quoteIdent(name)}`
}

function unquotable(message: string): TrunklineError {
  return new TrunklineError('CONFIG_INVALID', message, {
    hint: 'Check the names and values in the configuration.',
  })
}
