/** What rows that land in a present table find there, and what has to change about it first. Pure. */
import { quoteIdent } from '../../postgres/quote.js'
import type { StreamLanding } from '../contract.js'
import { DELETED_AT, addColumn, type OwnColumn } from './landing-sql.js'
import { columnDiffers } from './refusals.js'
import { formatTable, quoteOnly, quoteTable } from './state-layout.js'
import type { PresentTable } from './target-table.js'
import type { TargetColumn } from './target-types.js'
import { AFTER_TRIGGERS, BEFORE_TRIGGERS } from './write-session.js'

/** Statements by which the present table becomes what this landing needs beside the stream's own columns. */
export function changesForLanding(
  landing: StreamLanding,
  columns: readonly TargetColumn[],
  own: readonly OwnColumn[],
  present: PresentTable,
): readonly string[] {
  const table = quoteTable(landing.table)
  const loosened = columns.filter(({ field }) => {
    const isKey = landing.key?.includes(field.name) === true
    return field.nullable && !isKey && present.columns.get(field.name)?.notNull === true
  })
  // Marked while deletes were soft; now they are hard.
  const marked = landing.deletes === 'hard' && present.columns.has(DELETED_AT)
  return [
    ...own.filter(({ name }) => !present.columns.has(name)).map(({ name }) => addColumn(table, name)),
    ...loosened.map(
      ({ field }) => `ALTER TABLE ${table} ALTER COLUMN ${quoteIdent(field.name)} DROP NOT NULL`,
    ),
    ...(marked
      ? [
          BEFORE_TRIGGERS,
          `DELETE FROM ${quoteOnly(landing.table, present.kind)} WHERE ${quoteIdent(DELETED_AT)} IS NOT NULL`,
          AFTER_TRIGGERS,
        ]
      : []),
  ]
}

/** Checks that rows can go into the present table as they are. @throws DESTINATION_FAILED naming the column that differs */
export function asPresent(
  landing: StreamLanding,
  column: TargetColumn,
  { columns }: PresentTable,
): TargetColumn {
  const { field, sqlType, instead } = column
  const present = columns.get(field.name)
  if (present === undefined || present.sqlType === sqlType) return column
  if (instead?.sqlType === present.sqlType) return { ...column, ...instead }
  throw columnDiffers(
    landing,
    field.name,
    `is ${present.sqlType} in ${formatTable(landing.table)} and comes as ${sqlType}`,
  )
}
