/** Reads the checksum of what landed, per format, and compares it with the source's. */
import { DuckDBInstance } from '@duckdb/node-api'
import { checksumQuery, compareChecksums } from './check.js'
import { type DataSet, relationOf } from './data-sets.js'

/** What is wrong with the table `public.<set>` of a DuckDB file, or the tables of the schema `<set>`; null: nothing. */
export async function checkDuckDb(
  set: DataSet,
  path: string,
  sourceChecksum: string,
): Promise<string | null> {
  const instance = await DuckDBInstance.create(path, { access_mode: 'READ_ONLY' })
  try {
    const connection = await instance.connect()
    const reader = await connection.runAndReadAll(checksumQuery(set, 'duckdb', relationOf(set)))
    const landed = reader.getRows()[0]?.[0]
    connection.closeSync()
    return compareChecksums(set, sourceChecksum, typeof landed === 'string' ? landed : '')
  } finally {
    instance.closeSync()
  }
}
