import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { TrunklineError, connect, rows, sync } from '../../src/index.js'
import type { ProgressEvent } from '../../src/index.js'
import { startServer } from '../server/servers.js'
import type { SpecialServer, TestDatabase } from '../server/servers.js'
import { makeExampleShop } from './example-shop.js'
import { makeTemporaryFolder } from '../temporary-folder.js'

let server: SpecialServer
let database: TestDatabase
let folder: string

beforeAll(async () => {
  server = await startServer({
    major: 18,
    hba: ['local all all trust', 'host all guarded all scram-sha-256', 'host all all all trust'],
  })
  database = await server.createDatabase()
  await makeExampleShop(database)
  await database.sql(
    `CREATE ROLE guarded LOGIN PASSWORD 'token-1'; GRANT SELECT ON ALL TABLES IN SCHEMA public TO guarded`,
  )
  folder = makeTemporaryFolder('library')
})
afterAll(() => server.close())

test('one snapshot shows one instant, whatever happens meanwhile', async () => {
  await using source = await connect({ url: database.url })
  await using snapshot = await source.snapshot(['public.users', 'public.notes'])
  await database.sql(`INSERT INTO users VALUES (2, 'b@example.com', 'y')`)
  const ids: unknown[] = []
  for await (const batch of snapshot.read('public.users', { columns: ['id', 'email'] })) {
    for (const row of rows(batch)) ids.push({ ...row })
  }
  expect(ids).toEqual([{ id: 1, email: 'a@example.com' }])
  expect(await snapshot.count('public.users')).toBe(1)
  expect(snapshot.fields('public.users', { excludeColumns: ['ssn'] }).map(({ name }) => name)).toEqual([
    'id',
    'email',
  ])
})

test('a stream or column that is not there is an error that names what is', async () => {
  await using source = await connect({ url: database.url })
  await using snapshot = await source.snapshot(['public.notes'])
  expect(() => snapshot.read('public.orders')).toThrow(
    expect.objectContaining({ code: 'STREAM_MISSING', hint: 'Its streams: public.notes.' }),
  )
  await expect(drain(snapshot.read('public.notes', { columns: ['bodi'] }))).rejects.toMatchObject({
    code: 'STREAM_MISSING',
    hint: 'Its columns: body.',
  })
})

test('the password is asked afresh for each connection, and a new one is used', async () => {
  let asked = 0
  let token = 'token-1'
  const url = `postgresql://guarded@127.0.0.1:${server.port}/${database.name}`
  await using source = await connect({
    url,
    password: () => {
      asked++
      return token
    },
  })
  const before = asked
  await database.sql(`ALTER ROLE guarded PASSWORD 'token-2'`)
  token = 'token-2'
  await using snapshot = await source.snapshot(['public.notes'], { jobs: 1 })
  await drain(snapshot.read('public.notes'))
  expect(asked).toBeGreaterThan(before)
})

test('connect fails at once, with a code and without the password', async () => {
  const url = `postgresql://guarded:kanarienvogel@127.0.0.1:${server.port}/${database.name}`
  const error = await connect({ url }).then(
    () => null,
    (reason: unknown) => reason,
  )
  expect(error).toBeInstanceOf(TrunklineError)
  expect(error).toMatchObject({ code: 'AUTH_FAILED' })
  expect(JSON.stringify(error) + String((error as Error).stack)).not.toContain('kanarienvogel')
})

test('sync gives a report and tells of its progress; the source stays open', async () => {
  await using source = await connect({ url: database.url })
  const events: ProgressEvent['kind'][] = []
  const destination = join(folder, 'shop.duckdb')
  const report = await sync({
    source,
    destination,
    streams: { 'public.*': {}, 'public.audit_*': { disabled: true } },
    onProgress: ({ kind }) => events.push(kind),
  })
  expect(report).toMatchObject({ outcome: 'done', sync: database.name })
  expect(report.streams.map(({ stream }) => stream).sort()).toEqual([
    'public.events',
    'public.invoices',
    'public.items',
    'public.notes',
    'public.orders',
    'public.users',
  ])
  expect(events.find((kind) => kind !== 'warning')).toBe('run_started')
  expect(events.at(-1)).toBe('run_finished')
  expect((await source.discover()).streams.length).toBeGreaterThan(0)
  // Transactions of other tests on this server hold the horizon back as long as they run.
  await expect
    .poll(async () => sync({ source: database.url, destination, select: ['public.orders'] }), {
      timeout: 60_000,
    })
    .toMatchObject({ streams: [{ outcome: 'unchanged' }] })
})

test('a signal stops a sync in order', async () => {
  const controller = new AbortController()
  const report = await sync({
    source: database.url,
    destination: join(folder, 'stopped.duckdb'),
    signal: controller.signal,
    onProgress: ({ kind }) => {
      if (kind === 'stream_started') controller.abort()
    },
  })
  expect(report.outcome).toBe('aborted')
  const next = await sync({ source: database.url, destination: join(folder, 'stopped.duckdb') })
  expect(next.outcome).toBe('done')
})

test('options that mean nothing are refused before anything is opened', async () => {
  const call = sync({
    source: 'postgresql://nowhere.invalid/x',
    destination: 'x.duckdb',
    select: 'public.*' as unknown as string[],
    jobs: -1,
  })
  await expect(call).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    message: expect.stringContaining('jobs') as string,
  })
})

async function drain(batches: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of batches);
}
