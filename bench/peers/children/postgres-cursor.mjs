/** postgres (porsager's) with its cursor, rows to objects: postgres-cursor.mjs TABLE; connection from the PG* environment. Prints the number of rows. */
import process from 'node:process'
import { loadPeer } from './load-peer.mjs'

const postgres = await loadPeer('postgres')
// Its documentation's way to read more than fits into memory; the number is left to the user.
const BATCH = 10_000

const sql = postgres({ max: 1 })
let count = 0
for await (const rows of sql`SELECT * FROM ${sql(process.argv[2])}`.cursor(BATCH)) count += rows.length
await sql.end()
process.stdout.write(`${count}\n`)
