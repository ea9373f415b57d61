import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { eventSchema } from '../../src/cli/event-schema.js'
import { startServer } from '../server/servers.js'
import type { SpecialServer, TestDatabase } from '../server/servers.js'
import { queryFile } from './query-file.js'
import { makeFolder, parseLines, runCli } from './run-cli.js'
import { makeShop } from './shop.js'

let server: SpecialServer
let database: TestDatabase
let cwd: string

beforeAll(async () => {
  server = await startServer({ major: 18 })
  database = await server.createDatabase()
  await makeShop(database)
})
afterAll(() => server.close())

describe('trunkline sync', () => {
  beforeAll(() => {
    cwd = makeFolder()
  })

  test('copies every table, tells of it on stderr, and ends with a query that runs', async () => {
    const { code, stdout, stderr } = await runCli(['sync', database.url, 'shop.duckdb'], { cwd })
    expect(stderr).toContain('public.orders: 1,000 rows')
    expect(code).toBe(0)
    const lines = stdout.trimEnd().split('\n')
    expect(lines).toHaveLength(2)
    expect(lines[0]).toContain('3 streams, 1,103 rows landed')
    expect(lines[1]).toBe('FROM public.orders')
    expect(await queryFile(join(cwd, 'shop.duckdb'), lines[1] ?? '')).toHaveLength(1000)
  })

  test('brings what changed the next time, deletes included', async () => {
    // Transactions of other tests on this server hold the horizon back as long as they run.
    const settle = async (): Promise<string> =>
      (await runCli(['sync', database.url, 'duckdb:shop.duckdb'], { cwd })).stderr
    await expect.poll(settle, { timeout: 60_000 }).toContain('public.items: unchanged')
    await database.sql(`UPDATE orders SET note = 'changed' WHERE id = 7; DELETE FROM orders WHERE id > 990`)
    const { code, stdout, stderr } = await runCli(['sync', database.url, 'duckdb:shop.duckdb'], { cwd })
    expect(code).toBe(0)
    expect(stderr).toContain('public.items: unchanged')
    expect(stdout).toContain('10 deleted')
    const file = join(cwd, 'shop.duckdb')
    expect(
      await queryFile(file, "SELECT count(*), count(*) FILTER (note = 'changed') FROM public.orders"),
    ).toEqual([['990', '1']])
  })

  test('--json writes events that the published schema describes, and nothing else, to stdout', async () => {
    const { code, stdout, stderr } = await runCli(['sync', database.url, 'shop.duckdb', '--json'], { cwd })
    expect(code).toBe(0)
    const events = parseLines(stdout)
    for (const event of events) eventSchema.parse(event)
    // What the source warns of comes before the run.
    expect(events.find(({ kind }) => kind !== 'warning')).toMatchObject({
      v: 1,
      kind: 'run_started',
      streams: 3,
    })
    expect(events.at(-1)).toMatchObject({ v: 1, kind: 'run_finished', report: { outcome: 'done' } })
    expect(stderr).not.toContain('"kind"')
  })

  test('-q leaves stderr to warnings', async () => {
    const role = await database.createRole()
    await database.sql(`GRANT SELECT ON ALL TABLES IN SCHEMA public TO ${role.name}`)
    const { code, stdout, stderr } = await runCli(['sync', role.url, 'quiet.duckdb', '-q'], { cwd })
    expect(code).toBe(0)
    expect(stderr).toBe('')
    expect(stdout).toContain('FROM public.orders')
  })

  test('flags shape what is copied', async () => {
    const flags = [
      '-s',
      'public.o*',
      '--where',
      'public.orders=id <= 10',
      '--exclude-columns',
      'note',
      '--target-schema',
      'copy',
    ]
    const { code, stderr } = await runCli(['sync', database.url, 'flags.duckdb', ...flags, '--verify'], {
      cwd,
    })
    expect(stderr).not.toContain('error')
    expect(code).toBe(0)
    expect(
      await queryFile(join(cwd, 'flags.duckdb'), 'SELECT count(*), max(columns(*)) FROM copy.orders'),
    ).toHaveLength(1)
    expect(
      await queryFile(
        join(cwd, 'flags.duckdb'),
        "SELECT column_name FROM information_schema.columns WHERE table_schema = 'copy' ORDER BY ordinal_position",
      ),
    ).toEqual([['id'], ['total'], ['placed_at']])
  })

  test('one stream that cannot be read does not keep the others from arriving: exit 3', async () => {
    const role = await database.createRole()
    await database.sql(`GRANT SELECT ON orders, items TO ${role.name}`)
    const { code, stderr } = await runCli(['sync', role.url, 'some.duckdb'], { cwd })
    expect(stderr).toContain('✗ public.notes')
    expect(stderr).toContain('PERMISSION_DENIED')
    expect(stderr).toContain('✓ public.orders')
    expect(code).toBe(3)
    const quiet = await runCli(['sync', role.url, 'some.duckdb', '-q'], { cwd })
    expect(quiet.stderr).toMatch(/^✗ public\.notes: .*PERMISSION_DENIED/)
    expect(quiet.stderr).not.toContain('public.orders')
    expect(quiet.code).toBe(3)
  })

  test('reads trunkline.yaml of the working directory, with .env beside it', async () => {
    const folder = makeFolder()
    writeFileSync(join(folder, '.env'), `SHOP_URL='${database.url}'\n`)
    writeFileSync(
      join(folder, 'trunkline.yaml'),
      `version: 1
connections: { shop: { url: "\${SHOP_URL}" } }
syncs:
  daily:
    source: shop
    destination: duckdb:daily.duckdb
    streams:
      public.orders: { columns: [id, total] }
      big: { sql: "select id, total from public.orders where total > 1000", primary_key: [id], mode: full_refresh }
`,
    )
    const { code, stdout, stderr } = await runCli(['sync', '--allow-privileged-role'], { cwd: folder })
    expect(stderr).not.toContain('error')
    expect(code).toBe(0)
    expect(stdout).toContain('daily → duckdb:daily.duckdb: 2 streams')
    const again = await runCli(
      ['sync', 'daily', 'other.duckdb', '-c', 'trunkline.yaml', '--allow-privileged-role'],
      { cwd: folder },
    )
    expect(again.code).toBe(0)
    expect(again.stdout).toContain('duckdb:other.duckdb')
  })

  test("a place in one's home is found behind the colon, where no shell finds it, and -j 0 reads without readers", async () => {
    const home = makeFolder()
    const args = ['sync', database.url, 'jsonl:~/lines', '-j', '0', '--json']
    const { code, stdout } = await runCli(args, { cwd, env: { HOME: home } })
    expect(code).toBe(0)
    expect(parseLines(stdout).at(-1)).toMatchObject({ report: { outcome: 'done' } })
    expect(existsSync(join(home, 'lines', 'latest.json'))).toBe(true)
    expect(existsSync(join(cwd, '~'))).toBe(false)
  })

  test('publish=atomic leaves one complete file', async () => {
    const { code } = await runCli(['sync', database.url, 'duckdb:atomic.duckdb?publish=atomic'], { cwd })
    expect(code).toBe(0)
    expect(await queryFile(join(cwd, 'atomic.duckdb'), 'SELECT count(*) FROM public.items')).toEqual([
      ['100'],
    ])
  })

  test('a large first load is shown and not begun where nobody can be asked: exit 2; --yes begins it', async () => {
    const flags = ['sync', database.url, 'large.duckdb', '--confirm-above', '1kB']
    const refused = await runCli(flags, { cwd })
    expect(refused.code).toBe(2)
    expect(refused.stderr).toContain('public.orders → public.orders')
    expect(refused.stderr).toContain('--yes')
    expect((await runCli([...flags, '--yes'], { cwd })).code).toBe(0)
    expect((await runCli(flags, { cwd })).code, 'the second run is no first load').toBe(0)
  })

  test('no bars, colours or cursor movements reach a pipe', async () => {
    const { stdout, stderr } = await runCli(['sync', database.url, 'plain.duckdb'], { cwd })
    expect(stdout + stderr).not.toContain('\u001b')
  })

  test('a reader of stdout that leaves early changes nothing for the sync', async () => {
    const { code } = await runCli(['sync', database.url, 'closed.duckdb', '--json'], {
      cwd,
      onStdout: (_, child) => child.stdout?.destroy(),
    })
    expect(code).toBe(0)
    expect(await queryFile(join(cwd, 'closed.duckdb'), 'SELECT count(*) FROM public.items')).toEqual([
      ['100'],
    ])
  })
})

test('Ctrl-C stops in order with exit 130, and the next run completes the copy', async () => {
  const folder = makeFolder()
  const big = await server.createDatabase()
  await big.sql(`
    CREATE TABLE a_small (id int PRIMARY KEY); INSERT INTO a_small VALUES (1);
    CREATE TABLE big (id bigint PRIMARY KEY, filler text);
    INSERT INTO big SELECT g, repeat('x', 100) FROM generate_series(1, 600000) g; ANALYZE`)
  let sent = false
  const { code, stderr } = await runCli(['sync', big.url, 'big.duckdb', '--json'], {
    cwd: folder,
    onStdout: (text, child) => {
      if (sent || !text.includes('"stream_progress"')) return
      sent = true
      child.kill('SIGINT')
    },
  })
  expect(sent).toBe(true)
  expect(stderr).toContain('Ctrl-C again')
  expect(code).toBe(130)
  const { code: second, stdout } = await runCli(['sync', big.url, 'big.duckdb'], { cwd: folder })
  expect(second).toBe(0)
  expect(stdout).toContain('FROM public.big')
  expect(
    await queryFile(join(folder, 'big.duckdb'), 'SELECT count(*), count(DISTINCT id) FROM public.big'),
  ).toEqual([['600000', '600000']])
})
