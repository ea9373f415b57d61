/** Statements by which rows that were loaded become those of a stream. Pure. */
import type { Field } from '../../model/column-type.js'
import type { StreamLanding, TableName } from '../contract.js'
import { formatDuckDbType } from './column-types.js'
import { foldName, quoteName, quoteTable, quoteText } from './quote.js'
import { DELETED_AT, RUN_AT, type PresentColumns } from './table-columns.js'

/** The key of `t` is the key of `s`. Key columns are never null. */
export function matchKeys(key: readonly string[]): string {
  return key.map((name) => `s.${quoteName(name)} = t.${quoteName(name)}`).join(' AND ')
}

/** Rows that are there as far as the source is concerned; of a dated copy, those of the run at `runAt`. */
export function formatLive(columns: PresentColumns, runAt: Date | null): string {
  const conditions = [
    ...(columns.has(DELETED_AT) ? [`${quoteName(DELETED_AT)} IS NULL`] : []),
    ...(runAt === null ? [] : [`${quoteName(RUN_AT)} = make_timestamptz(${runAt.getTime() * 1000})`]),
  ]
  return conditions.length === 0 ? 'true' : conditions.join(' AND ')
}

/**
 * Copies the rows that the earlier generation has and the new one lacks, marked with $1 where they were not before. Null where
 * the generations have no key in common.
 */
export function formatCarry(input: {
  readonly from: TableName
  readonly columns: PresentColumns
  readonly into: TableName
  readonly fields: readonly Field[]
  readonly key: readonly string[]
}): string | null {
  const { from, columns: earlier, into, fields, key } = input
  const kept = fields.filter(
    (field) => earlier.get(foldName(field.name))?.type === formatDuckDbType(field.type),
  )
  if (!key.every((name) => kept.some((field) => field.name === name))) return null
  const columns = kept.map((field) => quoteName(field.name))
  const mark = quoteName(DELETED_AT)
  const deletedAt = earlier.has(DELETED_AT) ? `coalesce(t.${mark}, $1)` : '$1'
  return `INSERT INTO ${quoteTable(into)} (${[...columns, mark].join(', ')})
    SELECT ${columns.map((column) => `t.${column}`).join(', ')}, ${deletedAt} FROM ${quoteTable(from)} AS t
    WHERE NOT EXISTS (SELECT 1 FROM ${quoteTable(into)} AS s WHERE ${matchKeys(key)})`
}

/** Of the table, and of those columns that are landed. */
export function formatComments(
  table: TableName,
  comments: StreamLanding['comments'],
  fields: readonly Field[],
): readonly string[] {
  const target = quoteTable(table)
  const landed = Object.entries(comments.columns).filter(([column]) =>
    fields.some((field) => field.name === column),
  )
  return [
    ...(comments.table === null ? [] : [`COMMENT ON TABLE ${target} IS ${quoteText(comments.table)}`]),
    ...landed.map(
      ([column, comment]) => `COMMENT ON COLUMN ${target}.${quoteName(column)} IS ${quoteText(comment)}`,
    ),
  ]
}

export function temporary(table: TableName): string {
  return `temp.${quoteName(table.schema)}.${quoteName(table.name)}`
}
