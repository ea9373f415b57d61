import { DuckDBInstance } from '@duckdb/node-api'

/** Rows of a query over a DuckDB file, values as DuckDB writes them in JSON. */
export async function queryFile(path: string, sql: string): Promise<unknown[][]> {
  const instance = await DuckDBInstance.create(path, { access_mode: 'READ_ONLY' })
  const connection = await instance.connect()
  try {
    return (await connection.runAndReadAll(sql)).getRowsJson()
  } finally {
    // Either left open keeps the file's lock.
    connection.closeSync()
    instance.closeSync()
  }
}
