/** A relation as it would stand in SQL: `people`, `sales.people`, `"People"`. */
import { formatStreamName } from '../../model/catalog.js'

const DEFAULT_SCHEMA = 'public'
const NAME = /^\s*(?:(?<schema>"(?:[^"]|"")+"|[^".\s]+)\s*\.\s*)?(?<table>"(?:[^"]|"")+"|[^".]+?)\s*$/

export interface RelationName {
  readonly schema: string
  readonly table: string
  readonly stream: string
}

/** As the server would read it: without quotes in lower case. Null where it is not a name. */
export function parseUnquotedName(text: string): RelationName | null {
  const groups = NAME.exec(text)?.groups
  const table = groups?.['table']
  if (table === undefined) return null
  const schema = groups?.['schema'] === undefined ? DEFAULT_SCHEMA : fold(groups['schema'])
  return { schema, table: fold(table), stream: formatStreamName(schema, fold(table)) }
}

function fold(part: string): string {
  return part.startsWith('"') ? part.slice(1, -1).replaceAll('""', '"') : part.toLowerCase()
}
