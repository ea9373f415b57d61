/** The columns of a destination table: the stream's fields, and those that Trunkline adds of its own. */
import type { DuckDBConnection } from '@duckdb/node-api'
import type { Field } from '../../model/column-type.js'
import { TrunklineError } from '../../model/error.js'
import type { StreamLanding, TableName } from '../contract.js'
import { formatDuckDbType } from './column-types.js'
import { queryRows } from './database.js'
import { foldName, formatTable, quoteName, quoteTable } from './quote.js'

/** When a row was found missing at the source, for soft deletes; null while it is there. */
export const DELETED_AT = '_trunkline_deleted_at'
/** Which run a row of a dated copy belongs to. */
export const RUN_AT = '_trunkline_run_at'

/** A column that is not in the batches: the same instant in every row. */
export interface ConstantColumn {
  readonly name: string
  /** Microseconds since 1970, or null. */
  readonly micros: bigint | null
}

/** The columns that a landing adds, with what every row it writes has in them. */
export function ownColumnsOf(landing: StreamLanding): readonly ConstantColumn[] {
  return [
    ...(landing.runAt === null ? [] : [{ name: RUN_AT, micros: BigInt(landing.runAt.getTime()) * 1000n }]),
    ...(landing.deletes === 'soft' ? [{ name: DELETED_AT, micros: null }] : []),
  ]
}

export function formatColumns(fields: readonly Field[], own: readonly ConstantColumn[]): string {
  return [
    ...fields.map((field) => `${quoteName(field.name)} ${formatDuckDbType(field.type)}`),
    ...own.map((column) => `${quoteName(column.name)} TIMESTAMPTZ`),
  ].join(', ')
}

/** @throws NAME_COLLISION when DuckDB could not tell two of the columns apart; STREAM_UNSUPPORTED without any column. */
export function assertDistinctNames(landing: StreamLanding): void {
  const { stream } = landing
  if (landing.fields.length === 0) {
    throw new TrunklineError(
      'STREAM_UNSUPPORTED',
      `${stream} has no columns, and a DuckDB table needs one.`,
      {
        hint: `Leave it out: --exclude '${stream}'`,
        context: { stream },
      },
    )
  }
  const seen = new Map<string, string>([
    [DELETED_AT, `${DELETED_AT}, which Trunkline adds`],
    [RUN_AT, `${RUN_AT}, which Trunkline adds`],
  ])
  for (const { name } of landing.fields) {
    const other = seen.get(foldName(name))
    if (other !== undefined) {
      throw new TrunklineError(
        'NAME_COLLISION',
        `${stream}: the columns ${name} and ${other} have one name in DuckDB, which does not distinguish case.`,
        {
          hint: 'Leave one out with --exclude-columns, or rename it in a query.',
          context: { stream, field: name },
        },
      )
    }
    seen.set(foldName(name), name)
  }
}

/** Name as it is in the table → type as DuckDB writes it, by folded name. */
export type PresentColumns = ReadonlyMap<string, { readonly name: string; readonly type: string }>

export async function readPresentColumns(
  connection: DuckDBConnection,
  table: TableName,
): Promise<PresentColumns> {
  const rows = await queryRows(
    connection,
    // Not duckdb_columns(): it builds a row for each column of every table, 45 ms with two thousand tables.
    `SELECT column_name AS name, column_type AS type FROM (DESCRIBE ${quoteTable(table)})`,
  )
  return new Map(
    rows.map((row) => {
      const name = String(row['name'])
      return [foldName(name), { name, type: String(row['type']) }]
    }),
  )
}

/**
 * Checks that rows of these fields can go into the present table as they are.
 * @throws DESTINATION_FAILED naming the first column that differs.
 */
export function assertSameTypes(landing: StreamLanding, present: PresentColumns): void {
  for (const field of landing.fields) {
    const column = present.get(foldName(field.name))
    const type = formatDuckDbType(field.type)
    if (!column || column.type === type) continue
    throw differs(
      landing,
      field.name,
      `is ${column.type} in ${formatTable(landing.table)} and comes as ${type}`,
    )
  }
}

/** @throws DESTINATION_FAILED naming the first field that the table has no column for. */
export function assertAllPresent(
  landing: StreamLanding,
  fields: readonly Field[],
  present: PresentColumns,
): void {
  const missing = fields.find((field) => !present.has(foldName(field.name)))
  if (missing) throw differs(landing, missing.name, `is not in ${formatTable(landing.table)}`)
}

function differs(landing: StreamLanding, field: string, how: string): TrunklineError {
  return new TrunklineError('DESTINATION_FAILED', `${landing.stream}: the column ${field} ${how}.`, {
    hint: `Load the table anew: trunkline state resync ${landing.stream}`,
    context: { stream: landing.stream, field },
  })
}
