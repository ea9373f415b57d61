/** Rows that are wanted of every stream that has a column: `region = 'eu'`. Pure. */
import type { CatalogStream } from '../model/catalog.js'
import type { StreamOptions } from '../model/sync-spec.js'

/** Types that an untyped literal takes on without ado. */
const TEXT_TYPES: ReadonlySet<string> = new Set(['text', 'varchar', 'bpchar', 'name'])

/** The stream's options with the filters of the columns that it has added to its own condition. */
export function addRowFilter(
  stream: Pick<CatalogStream, 'columns'>,
  options: StreamOptions,
  rowFilter: Readonly<Record<string, string>>,
): StreamOptions {
  const conditions = Object.entries(rowFilter).flatMap(([name, value]) => {
    const column = stream.columns.find((candidate) => candidate.name === name)
    if (column === undefined) return []
    const isText = column.typeSchema === 'pg_catalog' && TEXT_TYPES.has(column.typeName)
    return [`${quoteName(name)}${isText ? '' : '::text'} = ${quoteText(value)}`]
  })
  if (conditions.length === 0) return options
  const own = options.where === undefined ? [] : [`(${options.where})`]
  return { ...options, where: [...own, ...conditions].join(' AND ') }
}

function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

/** As an escape string where it holds a backslash: then a server's setting does not matter. */
function quoteText(value: string): string {
  const quoted = `'${value.replaceAll("'", "''").replaceAll('\\', '\\\\')}'`
  return value.includes('\\') ? `E${quoted}` : quoted
}
