import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type ERROR_CODES } from '../../src/model/error.js'
import { startServer } from '../server/servers.js'
import type { SpecialServer, TestDatabase } from '../server/servers.js'
import { makeFolder, runCli } from './run-cli.js'
import type { CliResult } from './run-cli.js'
import { makeShop } from './shop.js'

/** Must never be seen again, whatever goes wrong with it. */
const CANARY = 'kanarienvogel4711'

let server: SpecialServer
let database: TestDatabase
let cwd: string
const outputs: string[] = []

beforeAll(async () => {
  server = await startServer({
    major: 18,
    hba: ['local all all trust', 'host all guarded all scram-sha-256', 'host all all all trust'],
  })
  database = await server.createDatabase()
  await makeShop(database)
  await database.sql(`CREATE ROLE guarded LOGIN PASSWORD '${CANARY}'`)
  await database.sql('GRANT SELECT ON ALL TABLES IN SCHEMA public TO guarded')
  cwd = makeFolder()
})
afterAll(() => server.close())

async function run(
  args: readonly string[],
  env: Record<string, string> = {},
  folder = cwd,
): Promise<CliResult> {
  const result = await runCli(args, { cwd: folder, env })
  outputs.push(result.stdout, result.stderr)
  return result
}

/** What, where, what to do next, and the code; nothing on stdout. */
function expectError(result: CliResult, code: keyof typeof ERROR_CODES, exitCode: number): void {
  expect(result.stderr).toMatch(/^error: ./m)
  expect(result.stderr).toMatch(/^ {2}→ ./m)
  expect(result.stderr).toContain(`  ${code}\n`)
  expect(result.code).toBe(exitCode)
  expect(result.stdout).toBe('')
}

test('a host that does not exist', async () => {
  expectError(await run(['check', 'postgresql://reader@nowhere.invalid/shop']), 'CONNECT_FAILED', 1)
})

test('a port where nothing listens', async () => {
  expectError(await run(['check', 'postgresql://reader@127.0.0.1:1/shop']), 'CONNECT_FAILED', 1)
})

test('a database that does not exist', async () => {
  const url = database.url.replace(database.name, 'nowhere')
  expectError(await run(['sync', url, 'x.duckdb']), 'DATABASE_MISSING', 1)
})

test('a wrong password, which is not repeated', async () => {
  const url = `postgresql://guarded:wrong-${CANARY}@127.0.0.1:${server.port}/${database.name}`
  const result = await run(['check', url, '-v'])
  expectError(result, 'AUTH_FAILED', 1)
  expect(
    result.stderr.split('\n').filter((line) => line.includes('warning: the password on the command line')),
  ).toHaveLength(1)
})

test('the right password, from the environment, needs no warning', async () => {
  const url = `postgresql://guarded@127.0.0.1:${server.port}/${database.name}`
  const result = await run(['check', url], { PGPASSWORD: CANARY })
  expect(result.code).toBe(0)
  expect(result.stderr).toBe('')
  expect(result.stdout).toContain('guarded')
})

test('a password that no server asked for is in no output of any command', async () => {
  const url = `postgresql://guarded:${CANARY}@127.0.0.1:${server.port}/${database.name}?application_name=x`
  const keywords = `host=127.0.0.1 port=${server.port} user=guarded password=${CANARY} dbname=${database.name}`
  for (const args of [
    ['check', url, '-v'],
    ['check', keywords, '--json', '-v'],
    ['check', url, '--grants'],
    ['plan', url, 'c.duckdb', '-v'],
    ['discover', url, '--json'],
    ['read', url, 'public.notes'],
    ['sync', url, 'c.duckdb', '-v', '--json'],
    ['sync', `${url}&nonsense=1`, 'c.duckdb', '-v'],
    ['sync', `${url}&sslmode=verify-full`, 'c.duckdb', '-v'],
    ['sync', `postgresql://guarded:${CANARY}@127.0.0.1:bad/x`, 'c.duckdb', '-v'],
    ['sync', database.url, url, '-v'],
    ['status', url],
    ['status', 'c.duckdb', '--json'],
    ['state', 'show', 'c.duckdb', '--json'],
  ]) {
    await run(args)
  }
  const state = readFileSync(join(cwd, 'c.duckdb'))
  expect(state.includes(CANARY)).toBe(false)
})

test('a table that is named and missing', async () => {
  const result = await run(['sync', database.url, 'x.duckdb', '-s', 'public.order'])
  expectError(result, 'STREAM_MISSING', 1)
  expect(result.stderr).toContain('Did you mean public.orders?')
})

test('a pattern that matches nothing', async () => {
  expectError(await run(['sync', database.url, 'x.duckdb', '-s', 'nowhere.*']), 'SELECTION_EMPTY', 1)
})

test('a directory as destination', async () => {
  mkdirSync(join(cwd, 'folder'))
  expectError(await run(['sync', database.url, 'duckdb:folder']), 'DESTINATION_INVALID', 1)
})

test('a destination that is no DuckDB file, which is left as it was', async () => {
  const path = join(cwd, 'text.duckdb')
  writeFileSync(path, 'not a database\n'.repeat(1000))
  expectError(await run(['sync', database.url, 'text.duckdb']), 'DESTINATION_INVALID', 1)
  expect(readFileSync(path, 'utf8')).toBe('not a database\n'.repeat(1000))
})

test('a destination that another process holds: try later, exit 75', async () => {
  const instance = await DuckDBInstance.create(join(cwd, 'held.duckdb'))
  const connection = await instance.connect()
  try {
    expectError(await run(['sync', database.url, 'held.duckdb']), 'DESTINATION_LOCKED', 75)
    expectError(await run(['status', 'held.duckdb']), 'DESTINATION_LOCKED', 75)
  } finally {
    connection.closeSync()
    instance.closeSync()
  }
})

test.each([
  ['no destination', ['sync', 'postgresql://h/d'], 'CONFIG_INVALID'],
  ['a destination of a kind that does not exist', ['sync', 'postgresql://h/d', 'mysql:x'], 'CONFIG_INVALID'],
  ['a kind of file that nobody writes', ['sync', 'postgresql://h/d', 'orc:out'], 'CONFIG_INVALID'],
  ['a source that is nothing', ['sync', 'shop', 'x.duckdb'], 'CONFIG_INVALID'],
  [
    'a lookback without a unit',
    ['sync', 'postgresql://h/d', 'x.duckdb', '--lookback', 'soon'],
    'CONFIG_INVALID',
  ],
  [
    'a mode that does not exist',
    ['sync', 'postgresql://h/d', 'x.duckdb', '--mode', 'miror'],
    'CONFIG_INVALID',
  ],
  [
    'a condition without its stream',
    ['sync', 'postgresql://h/d', 'x.duckdb', '--where', 'x > 1'],
    'CONFIG_INVALID',
  ],
  ['jobs that are no number', ['sync', 'postgresql://h/d', 'x.duckdb', '-j', 'many'], 'CONFIG_INVALID'],
  ['an age without a unit', ['status', 'x.duckdb', '--max-age', '2'], 'CONFIG_INVALID'],
  ['a file that is not there', ['sync', '-c', 'none.yaml'], 'CONFIG_INVALID'],
  ['an unknown libpq setting', ['check', 'postgresql://h/d?sslmod=require'], 'CONFIG_UNKNOWN_KEY'],
] as const)('%s is refused with exit 2', async (_, args, code) => {
  expectError(await run(args), code, 2)
})

test('an unknown flag and an unknown command are refused with exit 2 and a suggestion', async () => {
  const flag = await run(['sync', 'postgresql://h/d', 'x.duckdb', '--selct', 'a'])
  expect(flag).toMatchObject({ code: 2, stdout: '' })
  expect(flag.stderr).toContain('--select')
  const command = await run(['snyc'])
  expect(command).toMatchObject({ code: 2, stdout: '' })
  expect(command.stderr).toContain('sync')
})

test.each([
  ['an unknown key', 'version: 1\nsync: {}\n', 'CONFIG_UNKNOWN_KEY', /trunkline\.yaml:2:1/],
  [
    'a variable that is not set',
    'version: 1\nconnections: { a: "${NOWHERE}" }\n',
    'CONFIG_UNSET_VARIABLE',
    /NOWHERE/,
  ],
  ['broken YAML', 'version: 1\nsyncs: [\n', 'CONFIG_INVALID', /trunkline\.yaml:\d+:\d+/],
  [
    'a remote host without sslmode',
    'version: 1\nconnections: { a: "postgresql://u@db.example.com/d" }\nsyncs: { s: { source: a, destination: "duckdb:x" } }\n',
    'CONFIG_INVALID',
    /\(connections\.a\): sslmode must be stated/,
  ],
  [
    'a remote destination without sslmode',
    'version: 1\nconnections: { a: "postgresql://u@localhost/d" }\nsyncs: { s: { source: a, destination: "postgresql://u@db.example.com/d" } }\n',
    'CONFIG_INVALID',
    /\(syncs\.s\.destination\): sslmode must be stated/,
  ],
] as const)('%s in trunkline.yaml is refused with exit 2 and its place', async (_, text, code, message) => {
  const folder = makeFolder()
  writeFileSync(join(folder, 'trunkline.yaml'), text)
  const result = await run(['sync'], {}, folder)
  expectError(result, code, 2)
  expect(result.stderr).toMatch(message)
})

test('with --json the error is the last event, too', async () => {
  const { stdout, code } = await run(['sync', database.url, 'x.duckdb', '-s', 'nowhere.*', '--json'])
  expect(code).toBe(1)
  expect(JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? '')).toMatchObject({
    v: 1,
    kind: 'error',
    error: { code: 'SELECTION_EMPTY' },
  })
})

test('names from the server can neither colour the terminal nor fake a line', async () => {
  const evil = await server.createDatabase()
  const name = 'a\u001b[31m\u202eb\nerror: fake'
  await evil.sql(
    `CREATE TABLE "${name}" (id int PRIMARY KEY, "c\u001b]0;x" text); INSERT INTO "${name}" VALUES (1, 'x')`,
  )
  for (const args of [
    ['discover', evil.url],
    ['discover', evil.url, '--json'],
    ['discover', evil.url, '--typescript'],
    ['check', evil.url, '--stats'],
    ['check', evil.url, '--grants', '-s', `public."${name}"`],
    ['plan', evil.url, 'evil.duckdb'],
    ['sync', evil.url, 'evil.duckdb'],
    ['status', 'evil.duckdb'],
    ['state', 'show', 'evil.duckdb'],
    ['sync', evil.url, 'evil.duckdb', '-s', `public.${name}x`],
  ]) {
    const { stdout, stderr } = await run(args)
    // eslint-disable-next-line no-control-regex -- what must not be there
    expect(stdout + stderr, args.join(' ')).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/)
    expect(stdout + stderr, args.join(' ')).not.toMatch(/^error: fake/m)
  }
})

test('no output of this file showed the password', () => {
  expect(outputs.length).toBeGreaterThan(40)
  for (const output of outputs) expect(output).not.toContain(CANARY)
})
