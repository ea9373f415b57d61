/**
 * Receives the bytes of a COPY and drops them: the baseline where psql is not installed, and the size of a data set.
 * The connection comes from PGHOST, PGPORT, PGUSER and PGDATABASE; prints the number of bytes.
 */
import process from 'node:process'
import pg from 'pg'

const [table] = process.argv.slice(2)
const client = new pg.Client()
await client.connect()
let bytes = 0
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
await client.end()
process.stdout.write(`${bytes}\n`)
