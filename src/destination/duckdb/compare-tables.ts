/** SQL that tells how the rows of two tables differ, to the last bit and with their multiplicity. */
import type { ElementType, Field } from '../../model/column-type.js'
import { quoteName } from './quote.js'

/**
 * One row (missing, unexpected): rows of `expected` that `actual` lacks, and the other way round; a row that is there twice and
 * expected once counts once. One pass of aggregation, which spills to disk, where EXCEPT ALL would be run twice.
 */
export function formatComparison(options: {
  readonly fields: readonly Field[]
  readonly expected: string
  readonly actual: string
  /** Condition over `actual`. */
  readonly actualWhere: string
}): string {
  const columns = options.fields.flatMap(exactly).map((expression, index) => `${expression} AS c${index}`)
  const select = (side: number, from: string, where: string): string =>
    `SELECT ${columns.join(', ')}, ${side} AS side FROM ${from} WHERE ${where}`
  const groups = columns.map((_, index) => `c${index}`).join(', ')
  return `
    SELECT coalesce(sum(surplus) FILTER (surplus > 0), 0)::BIGINT AS missing,
           coalesce(-sum(surplus) FILTER (surplus < 0), 0)::BIGINT AS unexpected
    FROM (SELECT sum(side) AS surplus
          FROM (${select(1, options.expected, 'true')} UNION ALL ${select(-1, options.actual, options.actualWhere)})
          GROUP BY ${groups})`
}

function elementsExactly(element: ElementType, name: string): readonly string[] {
  switch (element.kind) {
    case 'float':
      return [name, `list_transform(${name}, lambda x: CASE WHEN isnan(x) THEN false ELSE signbit(x) END)`]
    case 'interval':
    case 'json':
      return [`${name}::VARCHAR[]`]
    default:
      return [name]
  }
}

/** What DuckDB must compare for two values to be equal only if they are the same value. */
function exactly(field: Field): readonly string[] {
  const name = quoteName(field.name)
  switch (field.type.kind) {
    case 'float':
      // −0 = 0 to DuckDB. All NaNs are one value in PostgreSQL.
      return [name, `CASE WHEN isnan(${name}) THEN false ELSE signbit(${name}) END`]
    case 'interval':
      // '1 month' = '30 days' to DuckDB; its text tells months, days and microseconds apart.
      return [`${name}::VARCHAR`]
    case 'json':
      return [`${name}::VARCHAR`]
    case 'list':
      return elementsExactly(field.type.element, name)
    default:
      return [name]
  }
}
