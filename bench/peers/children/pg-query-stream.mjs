/** pg-query-stream, rows to objects: pg-query-stream.mjs TABLE; connection from the PG* environment. Prints the number of rows. */
import process from 'node:process'
import { loadPeer } from './load-peer.mjs'

const pg = await loadPeer('pg')
const QueryStream = await loadPeer('pg-query-stream')
// Its documentation: batchSize and highWaterMark, by default 100, are raised for speed.
const BATCH = 10_000

const client = new pg.Client()
await client.connect()
const options = { batchSize: BATCH, highWaterMark: BATCH }
const stream = client.query(new QueryStream(`SELECT * FROM ${process.argv[2]}`, [], options))
let count = 0
stream.on('data', () => (count += 1))
await new Promise((resolve, reject) => {
  stream.once('end', resolve)
  stream.once('error', reject)
})
await client.end()
process.stdout.write(`${count}\n`)
