/** `npx tsx scripts/servers/reopen.ts FOLDER`: starts the server that a failed test left there, until Ctrl-C. */
import { once } from 'node:events'
import { reopenServer } from './server.js'

const [folder] = process.argv.slice(2)
if (folder === undefined) {
  process.stderr.write('Usage: npx tsx scripts/servers/reopen.ts FOLDER, as printed when the test failed\n')
  process.exit(2)
}
const server = await reopenServer(folder)
const client = await server.connect()
const { rows } = await client.query<{ datname: string }>(
  "SELECT datname FROM pg_database WHERE datname LIKE 'test\\_%'",
)
await client.end()
for (const { datname } of rows) process.stdout.write(`${server.url(datname)}\n`)
process.stdout.write('Ctrl-C stops the server; its data stays.\n')
const waiting = setInterval(() => undefined, 60_000)
await once(process, 'SIGINT')
clearInterval(waiting)
await server.keep()
