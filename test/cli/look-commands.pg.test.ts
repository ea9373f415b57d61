import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import ts from 'typescript'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startServer } from '../server/servers.js'
import type { SpecialServer, TestDatabase } from '../server/servers.js'
import { queryFile } from './query-file.js'
import { makeFolder, parseLines, runCli } from './run-cli.js'
import type { CliResult } from './run-cli.js'
import { makeShop } from './shop.js'

let server: SpecialServer
let database: TestDatabase
let cwd: string
const run = (...args: string[]): Promise<CliResult> => runCli(args, { cwd })

beforeAll(async () => {
  server = await startServer({ major: 18 })
  database = await server.createDatabase()
  await makeShop(database)
  cwd = makeFolder()
})
afterAll(() => server.close())

test('plan says mode, landing, reason, key, promise and size of each stream, and writes nothing', async () => {
  const { code, stdout } = await run('plan', database.url, 'planned.duckdb')
  expect(code).toBe(0)
  expect(stdout).toContain('public.orders → public.orders')
  expect(stdout).toContain('mirror, landing upsert, deletes hard: Changed rows')
  expect(stdout).toContain('key: order_id, line')
  expect(stdout).toContain('next run: reads everything')
  expect(stdout).toContain('promise: After each run public.orders equals public.orders')
  expect(stdout).toContain('full_refresh, landing replace: Read in full each run: it has no key')
  expect(stdout).toMatch(/size: ~1,000 rows, [\d.]+ kB scanned per run, 4 columns/)
  expect(existsSync(join(cwd, 'planned.duckdb'))).toBe(false)
})

test('plan --json is one document; a stream that cannot be synced makes exit 3', async () => {
  const { code, stdout } = await run('plan', database.url, 'planned.duckdb', '--json', '--mode', 'mirror')
  expect(code).toBe(3)
  const [document, ...more] = parseLines(stdout)
  expect(more).toEqual([])
  expect(document).toMatchObject({ v: 1, kind: 'plan', plan: { sync: database.name } })
  const { streams } = document?.['plan'] as {
    streams: { kind: string; stream: string; error?: { code: string } }[]
  }
  expect(streams.filter(({ kind }) => kind === 'refused')).toMatchObject([
    { stream: 'public.notes', error: { code: 'KEY_MISSING' } },
  ])
})

test('check says where it is, and warns of a role that can do too much', async () => {
  const { code, stdout, stderr } = await run('check', database.url, '--stats')
  expect(code).toBe(0)
  expect(stdout).toMatch(/^server +PostgreSQL 18\.\d+, primary$/m)
  expect(stdout).toMatch(/^encryption +none$/m)
  expect(stdout).toMatch(/^role +postgres \(can do more than read\)$/m)
  expect(stdout).toMatch(/^answers +connected in [\d.]+ ms, a query takes [\d.]+ ms$/m)
  expect(stdout).toContain('without a key, read in full each run: public.notes')
  expect(stdout).toMatch(/^SCHEMA +TABLES +SIZE +ROWS +DEAD ROWS +LAST ANALYZE$/m)
  expect(stdout).toMatch(/^public +3 +[\d.]+ kB +~1,\d\d\d +~\d+ +\d{4}-\d\d-\d\dT/m)
  expect(stderr).toContain('warning:')
})

test('check --health prints the object that monitoring reads, and exits 1 where the source cannot be used', async () => {
  const well = await run('check', database.url, '--health', '--schema', 'public')
  expect(well.code).toBe(0)
  expect(JSON.parse(well.stdout)).toMatchObject({
    status: 'healthy',
    connected: true,
    table_count: 3,
    schema: 'public',
    capabilities: { incremental: true, schema_discovery: true, batch_reading: true, custom_queries: true },
  })
  const away = await run('check', `${database.url}_not_there`, '--health')
  expect(away.code).toBe(1)
  expect(JSON.parse(away.stdout)).toMatchObject({
    status: 'unhealthy',
    connected: false,
    error: { code: 'DATABASE_MISSING' },
  })
})

test('check --json has what check found, the health object and, with --stats, sizes', async () => {
  const [document] = parseLines((await run('check', database.url, '--json', '--stats')).stdout)
  expect(document).toMatchObject({
    v: 1,
    kind: 'check',
    check: { privilegedRole: true, statistics: [{ schema: 'public', tables: 3 }] },
    health: { status: 'healthy', table_count: 3 },
    stats: { streams: 3, withoutKey: ['public.notes'] },
  })
})

test('the script of check --grants makes a role that can sync, and cannot write', async () => {
  const role = `reader_${database.name}`
  const { code, stdout } = await run('check', database.url, '--grants', '--role', role)
  expect(code).toBe(0)
  await database.sql(stdout)
  const url = database.url.replace('//postgres@', `//${role}@`)
  const synced = await run('sync', url, 'granted.duckdb', '-q')
  expect(synced).toMatchObject({ code: 0, stderr: '' })
  await expect(database.sql(`SET ROLE ${role}; INSERT INTO notes VALUES ('x')`)).rejects.toThrow(
    'permission denied',
  )
  await database.sql('RESET ROLE')
  await database.sql(`DROP OWNED BY ${role}; DROP ROLE ${role}`)
})

test('discover lists streams as a table and as JSON', async () => {
  const table = await run('discover', database.url)
  expect(table.stdout).toMatch(/^public\.items +table +~100 +[\d.]+ kB +3 +order_id, line$/m)
  const json = await run('discover', database.url, '--json', '-s', 'public.orders')
  expect(parseLines(json.stdout)).toMatchObject([
    { v: 1, kind: 'catalog', catalog: { streams: [{ name: 'public.orders', key: { columns: ['id'] } }] } },
  ])
})

test('discover --typescript prints interfaces that compile', async () => {
  await database.sql(
    `CREATE SCHEMA other; CREATE TABLE other.orders ("odd name" int NOT NULL, "*/" bytea, b bool)`,
  )
  const { code, stdout } = await run('discover', database.url, '--typescript', '-s', '*.orders')
  expect(code).toBe(0)
  expect(stdout).toContain('What was bought')
  expect(stdout).toContain('  id: bigint\n')
  expect(stdout).toContain('  note: string | null\n')
  expect(stdout).toContain('  "odd name": number\n')
  expect(stdout.match(/export interface \w+/g)).toHaveLength(2)
  expect(new Set(stdout.match(/export interface \w+/g)).size).toBe(2)
  const { diagnostics } = ts.transpileModule(stdout, { reportDiagnostics: true })
  expect(diagnostics).toEqual([])
})

test('read gives the same by COPY, through a cursor and by a query; a method that does not exist is refused', async () => {
  const read = (...flags: string[]): Promise<CliResult> =>
    run('read', database.url, 'public.orders', ...flags)
  const copied = await read()
  expect(copied.stdout.length).toBeGreaterThan(1000)
  for (const method of ['named', 'client']) {
    const { code, stdout } = await read('--read-method', method, '--batch-size', '7')
    expect(code).toBe(0)
    expect(stdout).toBe(copied.stdout)
  }
  const { code, stderr } = await read('--read-method', 'odbc')
  expect(code).toBe(2)
  expect(stderr).toContain('--read-method: must be one of: copy, named, client')
})

test('read writes exact values as JSON Lines and as CSV', async () => {
  await database.sql(`
    CREATE TABLE precise (a bigint, b numeric, c double precision, d jsonb, e bytea, f timestamptz, g text, h bool, i date);
    INSERT INTO precise VALUES (9223372036854775807, 0.10000000000000000000000001, 'NaN', '{"x": [1, "a\\nb"]}', '\\x00ff', '2024-01-31 12:00:00.5Z', E'q"u,o\\nte', true, 'infinity'), (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);`)
  const json = await run('read', database.url, 'public.precise')
  expect(json.stdout.split('\n')[0]).toBe(
    '{"a":9223372036854775807,"b":"0.10000000000000000000000001","c":"NaN","d":{"x": [1, "a\\nb"]},"e":"\\\\x00ff","f":"2024-01-31T12:00:00.5Z","g":"q\\"u,o\\nte","h":true,"i":"infinity"}',
  )
  expect(JSON.parse(json.stdout.split('\n')[1] ?? '')).toMatchObject({ a: null, d: null, i: null })
  const csv = await run(
    'read',
    database.url,
    'public.precise',
    '--format',
    'csv',
    '--columns',
    'a,e,g',
    '--where',
    'a > 0',
  )
  expect(csv.stdout).toBe('a,e,g\n9223372036854775807,\\x00ff,"q""u,o\nte"\n')
  await database.sql('CREATE TABLE hollow (a int, b text)')
  expect((await run('read', database.url, 'public.hollow', '--format', 'csv')).stdout).toBe('a,b\n')
  const nulls = await run('read', database.url, 'public.notes', '--format', 'csv')
  expect(nulls.stdout, 'null and the empty text differ').toBe('body\na\n\n""\n')
})

test('read stops at --limit, and quietly when its reader leaves', async () => {
  const limited = await run('read', database.url, 'public.orders', '--limit', '3')
  expect(limited.code).toBe(0)
  expect(parseLines(limited.stdout)).toHaveLength(3)
  await database.sql(
    'CREATE TABLE long AS SELECT g AS id, repeat($$x$$, 200) AS filler FROM generate_series(1, 200000) g',
  )
  const left = await runCli(['read', database.url, 'public.long'], {
    cwd,
    onStdout: (_, child) => child.stdout?.destroy(),
  })
  expect(left).toMatchObject({ code: 0, stderr: expect.not.stringContaining('error') as string })
})

test('status tells the age of each stream, and --max-age makes it an exit code', async () => {
  expect((await run('status', 'never.duckdb')).stdout).toContain('nothing was synced yet')
  expect((await run('status', 'never.duckdb', '--max-age', '1h')).code).toBe(1)
  await run('sync', database.url, 'status.duckdb', '-s', 'public.orders')
  const status = await run('status', 'status.duckdb')
  expect(status.stdout).toMatch(/public\.orders +public\.orders +[\d.]+ m?s +1 +1 +ok$/m)
  expect((await run('status', 'status.duckdb', '--max-age', '1h')).code).toBe(0)
  const old = await run('status', 'status.duckdb', '--max-age', '1ms', '--json')
  expect(old.code).toBe(1)
  expect(parseLines(old.stdout)).toMatchObject([
    { v: 1, kind: 'status', running: null, streams: [{ tooOld: true }] },
  ])
})

test('status reads what a run that goes on says of itself', async () => {
  const note = {
    v: 1,
    pid: 1,
    host: `${hostname()}-another`,
    processStartedAt: Date.now(),
    sync: 'shop',
    runId: 'r',
    startedAt: new Date(Date.now() - 65_000).toISOString(),
    updatedAt: new Date().toISOString(),
    rows: 1234,
    committedStreams: 2,
  }
  writeFileSync(join(cwd, 'running.duckdb.trunkline-run.json'), JSON.stringify(note))
  const { stdout } = await run('status', 'running.duckdb')
  expect(stdout).toMatch(
    /Running: shop, process 1 on .*, for 1 min \d s; 1,234 rows so far, 2 streams committed\./,
  )
})

test('state shows, pauses, resumes and resyncs a stream', async () => {
  await run('sync', database.url, 'state.duckdb', '-s', 'public.orders', '-s', 'public.items')
  expect((await run('state', 'show', 'state.duckdb')).stdout).toMatch(/public\.orders .* transaction \d+$/m)

  expect((await run('state', 'pause', 'public.orders', 'state.duckdb')).stdout).toContain(
    'public.orders paused',
  )
  await database.sql(`UPDATE orders SET note = 'while paused' WHERE id = 1`)
  const paused = await run('sync', database.url, 'state.duckdb', '-s', 'public.orders', '-s', 'public.items')
  expect(paused.stderr).toContain('public.orders: paused')
  const changed = `SELECT count(*) FROM public.orders WHERE note = 'while paused'`
  expect(await queryFile(join(cwd, 'state.duckdb'), changed)).toEqual([['0']])

  await run('state', 'resume', 'public.orders', 'state.duckdb')
  await run('sync', database.url, 'state.duckdb', '-s', 'public.orders', '-s', 'public.items')
  expect(await queryFile(join(cwd, 'state.duckdb'), changed)).toEqual([['1']])

  await run('state', 'resync', 'public.orders', 'state.duckdb')
  const shown = await run('state', 'show', 'public.orders', 'state.duckdb', '--json')
  expect(parseLines(shown.stdout)).toMatchObject([
    { v: 1, kind: 'state', syncs: [{ streams: { 'public.orders': { checkpoint: null } } }] },
  ])
  const unknown = await run('state', 'pause', 'public.order', 'state.duckdb')
  expect(unknown.code).toBe(2)
  expect(unknown.stderr).toContain('Did you mean public.orders?')
})

test('init writes a file that works, keeps a password out of it, and never overwrites', async () => {
  const folder = makeFolder()
  const path = join(folder, 'trunkline.yaml')
  const first = await runCli(
    ['init', database.url, 'duckdb:first.duckdb', '-s', 'public.orders', '--name', 'first'],
    { cwd: folder },
  )
  expect(first.code).toBe(0)
  expect(statSync(path).mode & 0o077).toBe(0)
  const text = readFileSync(path, 'utf8')
  const synced = await runCli(['sync'], { cwd: folder })
  expect(synced.code).toBe(0)
  expect(synced.stdout).toContain('first → duckdb:first.duckdb: 1 stream, ')

  const second = await runCli(['init', database.url], { cwd: folder })
  expect(second.code).toBe(2)
  expect(second.stderr).toContain('already there')
  expect(readFileSync(path, 'utf8')).toBe(text)

  const remote = makeFolder()
  expect((await runCli(['init', 'postgresql://u:geheim@db.example.com/shop'], { cwd: remote })).code).toBe(0)
  const written = readFileSync(join(remote, 'trunkline.yaml'), 'utf8')
  expect(written).not.toContain('geheim')
  expect(written).toContain('sslmode: verify-full')

  const silent = await runCli(['init'], { cwd: makeFolder() })
  expect(silent.code).toBe(2)
  expect(silent.stderr).toContain('Say it all')
})
