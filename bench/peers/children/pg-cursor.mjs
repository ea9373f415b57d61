/** pg-cursor, rows to objects: pg-cursor.mjs TABLE; connection from the PG* environment. Prints the number of rows. */
import process from 'node:process'
import { loadPeer } from './load-peer.mjs'

const pg = await loadPeer('pg')
const Cursor = await loadPeer('pg-cursor')
// Its documentation leaves the number to the user: large enough that round trips do not count.
const BATCH = 10_000

const client = new pg.Client()
await client.connect()
const cursor = client.query(new Cursor(`SELECT * FROM ${process.argv[2]}`))
let count = 0
for (;;) {
  const rows = await cursor.read(BATCH)
  if (rows.length === 0) break
  count += rows.length
}
await cursor.close()
await client.end()
process.stdout.write(`${count}\n`)
