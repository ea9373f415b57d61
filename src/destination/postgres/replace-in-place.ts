/** How rows of a new generation become those of the present table, which stays what it is, with all that hangs on it. */
import type { Connection } from '../../postgres/connection.js'
import { quoteIdent } from '../../postgres/quote.js'
import type { StreamLanding, TableName } from '../contract.js'
import { DELETED_AT, RUN_AT, addColumn, formatInsert, formatUpsert } from './landing-sql.js'
import { quoteOnly, quoteTable } from './state-layout.js'
import { executeWithShortWaits } from './table-lock.js'
import type { PresentTable } from './target-table.js'
import type { TargetColumn } from './target-types.js'

export interface Generation {
  readonly landing: StreamLanding
  /** Where its rows are. */
  readonly table: TableName
  readonly columns: readonly TargetColumn[]
  /** Beside those. */
  readonly ownColumns: readonly string[]
  /** Unique in it, as its primary key. */
  readonly primaryKey: readonly string[] | null
}

/** The rows of the present table become those of the generation; the table stays what it is. */
export async function replaceInPlace(
  connection: Connection,
  generation: Generation,
  present: PresentTable,
): Promise<void> {
  const { landing, table, columns, ownColumns, primaryKey } = generation
  const target = quoteTable(landing.table)
  const rows = quoteOnly(landing.table, present.kind)
  const from = quoteTable(table)
  await alignColumns(connection, generation, present)
  const names = [...columns.map(({ field }) => field.name), ...ownColumns]
  const hasKey = primaryKey !== null && present.uniqueKeys.some((unique) => sameNames(unique, primaryKey))
  if (hasKey) {
    const match = primaryKey.map((name) => `s.${quoteIdent(name)} = t.${quoteIdent(name)}`).join(' AND ')
    await connection.execute(
      `DELETE FROM ${rows} AS t WHERE NOT EXISTS (SELECT FROM ${from} AS s WHERE ${match})`,
    )
    await connection.execute(formatUpsert({ into: target, from, columns: names, own: [], key: primaryKey }))
  } else {
    await connection.execute(`DELETE FROM ${rows}`)
    await connection.execute(formatInsert({ into: target, from, columns: names, own: [] }))
  }
  const stale = [DELETED_AT, RUN_AT].filter((name) => present.columns.has(name) && !ownColumns.includes(name))
  for (const name of stale.map(quoteIdent)) {
    await connection.execute(`UPDATE ${rows} SET ${name} = NULL WHERE ${name} IS NOT NULL`)
  }
  const strict = columns.filter(
    ({ field, sqlType }) => !field.nullable && !isKept(present, field.name, sqlType, true),
  )
  if (strict.length > 0) {
    const set = strict.map(({ field }) => `ALTER COLUMN ${quoteIdent(field.name)} SET NOT NULL`).join(', ')
    await executeWithShortWaits(connection, `ALTER TABLE ${target} ${set}`)
  }
  if (!hasKey && primaryKey !== null && present.kind === 'r') {
    await executeWithShortWaits(
      connection,
      `ALTER TABLE ${target} ADD PRIMARY KEY (${primaryKey.map(quoteIdent).join(', ')})`,
    )
  }
  await connection.execute(`DROP TABLE ${from}`)
}

function isKept(present: PresentTable, name: string, sqlType: string, notNull: boolean): boolean {
  const column = present.columns.get(name)
  return column?.sqlType === sqlType && (!notNull || column.notNull)
}

function sameNames(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((name) => other.includes(name))
}

/** Columns that are gone or of another type are dropped, but for our own, missing ones added; what depends on a dropped one is told by the server. */
async function alignColumns(
  connection: Connection,
  { landing, columns, ownColumns }: Generation,
  present: PresentTable,
): Promise<void> {
  const wanted = new Map(columns.map(({ field, sqlType }) => [field.name, { field, sqlType }]))
  const changes: string[] = []
  for (const [name, { sqlType, notNull }] of present.columns) {
    if (ownColumns.includes(name) || name === DELETED_AT || name === RUN_AT) continue
    const column = wanted.get(name)
    if (column?.sqlType !== sqlType) changes.push(`DROP COLUMN ${quoteIdent(name)}`)
    else if (notNull && column.field.nullable) changes.push(`ALTER COLUMN ${quoteIdent(name)} DROP NOT NULL`)
  }
  const target = quoteTable(landing.table)
  const added = columns.filter(({ field, sqlType }) => !isKept(present, field.name, sqlType, false))
  const statements = [
    ...(changes.length === 0 ? [] : [`ALTER TABLE ${target} ${changes.join(', ')}`]),
    ...added.map(({ field, sqlType }) => addColumn(target, field.name, sqlType)),
    ...ownColumns.filter((name) => !present.columns.has(name)).map((name) => addColumn(target, name)),
  ]
  if (statements.length > 0) await executeWithShortWaits(connection, statements.join('; '))
}
