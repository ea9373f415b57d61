/**
 * Receives the bytes of a COPY and drops them: the baseline where psql is not installed, and the size of a data set. Takes
 * `schema.table`, or `schema.*` for all tables of it, one after the other.
 * The connection comes from PGHOST, PGPORT, PGUSER and PGDATABASE; prints the number of bytes.
 */
import process from 'node:process'
import pg from 'pg'

const [pattern = ''] = process.argv.slice(2)
const client = new pg.Client()
await client.connect()
let bytes = 0
for (const table of await tablesOf(pattern)) await drainTable(table)
await client.end()
process.stdout.write(`${bytes}\n`)

/** @param {string} name */
async function tablesOf(name) {
  if (!name.endsWith('.*')) return [name]
  const schema = name.slice(0, -2)
  /** @type {pg.QueryResult<{ table_name: string }>} */
  const { rows } = await client.query(
    `SELECT relname AS table_name FROM pg_class WHERE relnamespace = $1::regnamespace AND relkind = 'r' ORDER BY 1`,
    [schema],
  )
  return rows.map((row) => `${schema}.${row.table_name}`)
}

/** @param {string} table */
async function drainTable(table) {
  await new Promise((resolve, reject) => {
    // What pg's `query` takes beside its own queries: an object that is told of every message of the exchange.
    const drain = {
      /** @param {pg.Connection} connection */
      submit(connection) {
        connection.query(`COPY (SELECT * FROM ${table}) TO STDOUT (FORMAT binary)`)
      },
      /** @param {{ chunk: Uint8Array }} message */
      handleCopyData(message) {
        bytes += message.chunk.length
      },
      handleCommandComplete() {
        return undefined
      },
      handleReadyForQuery: resolve,
      handleError: reject,
    }
    client.query(drain)
  })
}
