import { join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import { beforeAll, expect, test } from 'vitest'
import type { ConnectionInput } from '../../src/config/connection-input.js'
import type { StatedServiceSettings } from '../../src/config/service-settings.js'
import { onNewestServer, type TestDatabase } from '../server/servers.js'
import { metricOf, openService, readerOf, syncOf, until, type TestService } from './open-service.js'
import { makeTemporaryFolder } from '../temporary-folder.js'

interface RunDocument {
  readonly id: string
  readonly state: string
  readonly report: { readonly rowsLanded: number } | null
  readonly error: { readonly code: string } | null
}

const ROWS = 5000

onNewestServer('Runs over HTTP', (server) => {
  let database: TestDatabase
  let reader: ConnectionInput

  beforeAll(async () => {
    database = await server.createDatabase()
    await database.sql(`CREATE TABLE t AS SELECT i AS id, 'x' || i AS x FROM generate_series(1, ${ROWS}) AS i;
      ALTER TABLE t ADD PRIMARY KEY (id);
      CREATE TABLE slow AS SELECT i AS id, repeat('x', 1000) AS x FROM generate_series(1, 20000) AS i`)
    reader = await readerOf(database)
  })

  async function open(settings: StatedServiceSettings = {}): Promise<{ service: TestService; file: string }> {
    const file = join(makeTemporaryFolder('service'), 'copy.duckdb')
    const slowly = { maxReadBytesPerSecond: 200_000 }
    const service = await openService({
      connections: new Map([['shop', reader]]),
      syncs: new Map([
        ['copy', syncOf(reader, `duckdb:${file}`, { name: 'copy', select: ['public.t'] })],
        ['slow', syncOf(reader, `duckdb:${file}.slow`, { select: ['public.slow'], limits: slowly })],
        ['broken', syncOf(reader, `duckdb:${file}.broken`, { select: ['public.not_there'] })],
      ]),
      settings,
    })
    return { service, file }
  }

  const start = (service: TestService, sync: string): Promise<Response> =>
    service.ask('/runs', {
      method: 'POST',
      body: JSON.stringify({ sync }),
      headers: { 'content-type': 'application/json' },
    })

  async function runOf(service: TestService, id: string): Promise<RunDocument> {
    return (await (await service.ask(`/runs/${id}`)).json()) as RunDocument
  }

  test('a sync of the configuration is started, followed by events, reported, and has landed its rows', async () => {
    const { service, file } = await open()
    expect(await (await service.ask('/syncs')).json()).toEqual({
      syncs: ['copy', 'slow', 'broken'].map((name) => ({ name, source: 'shop', running: false })),
    })
    const started = await start(service, 'copy')
    const { id } = (await started.json()) as RunDocument
    expect([started.status, started.headers.get('location')]).toEqual([202, `/runs/${id}`])
    const events = await service.ask(`/runs/${id}/events`)
    expect(events.headers.get('content-type')).toBe('text/event-stream; charset=utf-8')
    const told = parseEvents(await events.text())
    expect(told.map(({ event }) => event)).toEqual([...told.map(({ data }) => data['kind'])])
    expect(told[0]).toMatchObject({ id: 1, event: 'run_started', data: { v: 1, sync: 'copy', streams: 1 } })
    expect(told.at(-1)).toMatchObject({
      event: 'run_finished',
      data: { report: { outcome: 'done', rowsLanded: ROWS } },
    })
    await until(async () => (await runOf(service, id)).state !== 'running')
    expect(await runOf(service, id)).toMatchObject({
      state: 'done',
      report: { rowsLanded: ROWS },
      error: null,
    })
    expect(await (await service.ask('/runs')).json()).toMatchObject({
      runs: [{ id, sync: 'copy', state: 'done' }],
    })
    expect(await countOf(file)).toBe(ROWS)

    const again = parseEvents(
      await (await service.ask(`/runs/${id}/events`, { headers: { 'last-event-id': '1' } })).text(),
    )
    expect(again).toEqual(told.slice(1))
    expect(await metricOf(service, 'trunkline_runs_total{sync="copy",outcome="done"}')).toBe(1)
    expect(await metricOf(service, 'trunkline_run_rows_total{sync="copy",change="landed"}')).toBe(ROWS)
    expect(await metricOf(service, 'postgres_rows_extracted_total{source="shop"}')).toBe(ROWS)
    expect(await metricOf(service, 'trunkline_runs_in_progress{sync="copy"}')).toBe(0)
  })

  test('a run that is cancelled ends in order, and meanwhile neither it nor another can be started', async () => {
    const { service } = await open()
    const { id } = (await (await start(service, 'slow')).json()) as RunDocument
    const second = await start(service, 'slow')
    expect([second.status, await second.json()]).toMatchObject([409, { error: { code: 'RUN_IN_PROGRESS' } }])
    const other = await start(service, 'copy')
    expect([other.status, await other.json()]).toMatchObject([429, { error: { code: 'BUSY' } }])
    expect((await service.ask(`/runs/${id}/cancel`, { method: 'POST' })).status).toBe(202)
    await until(async () => (await runOf(service, id)).state !== 'running')
    expect(await runOf(service, id)).toMatchObject({ state: 'aborted' })
    expect((await start(service, 'copy')).status).toBe(202)
  })

  test('a run that cannot begin says why, without a stack', async () => {
    const { service } = await open()
    const { id } = (await (await start(service, 'broken')).json()) as RunDocument
    await until(async () => (await runOf(service, id)).state !== 'running')
    const run = await runOf(service, id)
    expect(run).toMatchObject({ state: 'failed', report: null, error: { code: 'STREAM_MISSING' } })
    expect(JSON.stringify(run)).not.toContain('stack')
    expect(parseEvents(await (await service.ask(`/runs/${id}/events`)).text())).toEqual([])
  })

  test('what is not configured is not run', async () => {
    const { service } = await open()
    const missing = await start(service, 'copyy')
    expect([missing.status, await missing.json()]).toMatchObject([
      404,
      { error: { code: 'NOT_FOUND', hint: 'Did you mean `copy`?' } },
    ])
    expect((await service.ask('/runs/unknown')).status).toBe(404)
    expect((await service.ask('/runs/unknown/events')).status).toBe(404)
  })

  test('a stop ends runs in order and lets go of those who follow', async () => {
    const { service } = await open()
    const { id } = (await (await start(service, 'slow')).json()) as RunDocument
    const following = service.ask(`/runs/${id}/events`).then((response) => response.text())
    await until(async () => (await service.ask('/health/live')).status === 200)
    await service.stop()
    await following.catch(() => undefined)
    expect(service.log.map(({ msg, outcome }) => [msg, outcome])).toContainEqual([
      'the run has ended',
      'aborted',
    ])
    const [row] = await database.sql<{ n: string }>(
      `SELECT count(*) AS n FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'trunkline%'`,
    )
    expect(row?.n).toBe('0')
  })
})

interface Told {
  readonly id: number
  readonly event: string
  readonly data: Record<string, unknown>
}

function parseEvents(text: string): Told[] {
  return text
    .split('\n\n')
    .filter((part) => part.trim() !== '' && !part.startsWith(':'))
    .map((part) => {
      const fields = new Map(
        part.split('\n').map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 2)]),
      )
      return {
        id: Number(fields.get('id')),
        event: fields.get('event') ?? '',
        data: JSON.parse(fields.get('data') ?? 'null') as Record<string, unknown>,
      }
    })
}

async function countOf(file: string): Promise<number> {
  const instance = await DuckDBInstance.create(file, { access_mode: 'READ_ONLY' })
  const connection = await instance.connect()
  const result = await connection.runAndReadAll('SELECT count(*)::int AS n FROM public.t')
  connection.closeSync()
  instance.closeSync()
  return Number(result.getRows()[0]?.[0])
}
