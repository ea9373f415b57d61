/** The adaptive configuration, seen from the server's log: by which cursor each table is read. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { makeFolder, runCli } from '../cli/run-cli.js'
import { startServer, type SpecialServer, type TestDatabase } from '../server/servers.js'

let server: SpecialServer
let database: TestDatabase

beforeAll(async () => {
  server = await startServer({ major: 18, conf: { log_statement: 'all' } })
  database = await server.createDatabase()
  const tables = { few: 1000, many: 2_000_000, most: 60_000_000 }
  for (const [name, estimate] of Object.entries(tables)) {
    await database.sql(
      `CREATE TABLE ${name} (id int PRIMARY KEY) WITH (autovacuum_enabled = false);
       INSERT INTO ${name} SELECT generate_series(1, 6000); ANALYZE ${name};
       -- As if the planner had found so many.
       UPDATE pg_class SET reltuples = ${estimate} WHERE relname = '${name}'`,
    )
  }
})
afterAll(() => server.close())

test('each table is read through a cursor at the server, by as many rows a time as its size is given', async () => {
  const cwd = makeFolder()
  const configuration = {
    host: database.host,
    port: String(database.port),
    database: database.name,
    username: database.user,
    password: 'not asked for',
    region: '',
  }
  writeFileSync(join(cwd, 'configuration.json'), JSON.stringify(configuration))
  const { code } = await runCli(['sync', '-c', 'configuration.json'], { cwd })
  expect(code).toBe(0)
  const log = readFileSync(server.logFile, 'utf8')
  const declared = new Map<string, string>()
  const fetched = new Map<string, Set<number>>()
  for (const line of log.split('\n')) {
    const session = /\[(\d+)\]/.exec(line)?.[1]
    if (session === undefined) continue
    const table = /DECLARE .* FROM "public"\."(\w+)"/.exec(line)?.[1]
    if (table !== undefined) declared.set(session, table)
    const rows = /FETCH FORWARD (\d+) /.exec(line)?.[1]
    const from = declared.get(session)
    if (rows === undefined || from === undefined) continue
    fetched.set(from, (fetched.get(from) ?? new Set()).add(Number(rows)))
  }
  // Where memory is short on this machine, three quarters or half of it: that is what adapting means.
  const allowed = (rows: number) => [rows, (rows * 3) / 4, rows / 2]
  const figures = { few: allowed(5000), many: allowed(2500), most: allowed(1000) }
  expect([...fetched.keys()].sort()).toEqual(Object.keys(figures))
  for (const [table, sizes] of Object.entries(figures)) {
    expect(sizes, table).toEqual(expect.arrayContaining([...(fetched.get(table) ?? [])]))
  }
})
