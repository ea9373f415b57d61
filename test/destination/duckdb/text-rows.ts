import type { DuckDBConnection } from '@duckdb/node-api'

/** What a query finds, by names of columns; every value as DuckDB's text. */
export async function textRows(
  connection: DuckDBConnection,
  sql: string,
  values: string[] = [],
): Promise<Record<string, string | null>[]> {
  const reader = await connection.runAndReadAll(sql, values)
  const names = reader.columnNames()
  return reader
    .getRows()
    .map((row) =>
      Object.fromEntries(names.map((name, index) => [name, row[index] === null ? null : String(row[index])])),
    )
}
