/** pgwire, rows to arrays as it gives them: pgwire-stream.mjs URL TABLE. Prints the number of rows. */
import process from 'node:process'
import { loadPeer } from './load-peer.mjs'

const { pgconnect } = await loadPeer('pgwire')

const connection = await pgconnect(process.argv[2])
let count = 0
for await (const chunk of connection.stream(`SELECT * FROM ${process.argv[3]}`)) count += chunk.rows.length
await connection.end()
process.stdout.write(`${count}\n`)
