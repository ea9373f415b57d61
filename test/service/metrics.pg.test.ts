import { spawnSync } from 'node:child_process'
import { expect, test } from 'vitest'
import { onNewestServer } from '../server/servers.js'
import { parseExposition } from './exposition.js'
import { connectionTo, fullTable, metricOf, openService, readerOf, until } from './open-service.js'

onNewestServer('Metrics', (server) => {
  test('have the five names of the connector service and ours, in a form that Prometheus takes', async () => {
    const database = await server.createDatabase()
    await database.sql('CREATE TABLE t AS SELECT i FROM generate_series(1, 1234) AS i; ANALYZE t')
    const service = await openService({ connections: new Map([['shop', await readerOf(database)]]) })
    await (await service.extract(fullTable('t'))).text()
    await (await service.extract(fullTable('not_there'))).text()
    await until(
      async () => (await metricOf(service, 'postgres_schema_tables{source="shop",schema="public"}')) > 0,
    )
    const response = await service.ask('/metrics')
    expect(response.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8')
    const text = await response.text()
    const families = parseExposition(text)
    // Where Prometheus' own check is installed, it has the last word.
    const checked = spawnSync('promtool', ['check', 'metrics'], { input: text, encoding: 'utf8' })
    if (checked.error === undefined) expect([checked.status, checked.stderr]).toEqual([0, ''])
    const typeOf = (name: string): string | undefined => families.get(name)?.type
    expect(typeOf('postgres_connections_active')).toBe('gauge')
    expect(typeOf('postgres_queries_total')).toBe('counter')
    expect(typeOf('postgres_query_duration_seconds')).toBe('histogram')
    expect(typeOf('postgres_rows_extracted_total')).toBe('counter')
    expect(typeOf('postgres_errors_total')).toBe('counter')

    const valueOf = (name: string, labels: Record<string, string> = { source: 'shop' }): number | undefined =>
      [...families.values()]
        .flatMap(({ samples }) => samples)
        .find(
          (sample) =>
            sample.name === name &&
            Object.entries(labels).every(([key, value]) => sample.labels[key] === value),
        )?.value
    expect(valueOf('postgres_rows_extracted_total')).toBe(1234)
    expect(valueOf('postgres_rows_per_second')).toBeGreaterThan(0)
    expect(valueOf('postgres_connections_active')).toBeGreaterThan(0)
    expect(valueOf('postgres_connection_establishment_seconds_count')).toBeGreaterThan(0)
    expect(valueOf('postgres_query_duration_seconds_count', { protocol: 'copy' })).toBe(1)
    expect(valueOf('postgres_queries_total', { protocol: 'copy' })).toBe(1)
    expect(valueOf('postgres_pool_connections', { state: 'idle' })).toBeGreaterThan(0)
    expect(valueOf('postgres_pool_connections', { state: 'in_use' })).toBe(0)
    expect(valueOf('postgres_pool_connections_limit')).toBe(10)
    expect(valueOf('postgres_up')).toBe(1)
    expect(valueOf('postgres_database_size_bytes')).toBeGreaterThan(1e6)
    expect(valueOf('postgres_schema_tables', { schema: 'public' })).toBe(1)
    expect(valueOf('postgres_schema_rows', { schema: 'public' })).toBe(1234)
    expect(valueOf('postgres_schema_size_bytes', { schema: 'public' })).toBeGreaterThan(8000)
    expect(valueOf('trunkline_extractions_total', { outcome: 'complete' })).toBe(1)
    expect(valueOf('trunkline_extractions_total', { outcome: 'failed' })).toBe(1)
    expect(valueOf('trunkline_extractions_in_progress')).toBe(0)
    expect(valueOf('trunkline_http_requests_total', { route: '/extract', status: '404' })).toBe(1)
    expect(valueOf('trunkline_build_info', { version: '1.2.3' })).toBe(1)
    expect(valueOf('process_resident_memory_bytes', {})).toBeGreaterThan(1e7)
  })

  test('count what fails, whatever anybody asks for, without a label of theirs', async () => {
    const database = await server.createDatabase()
    const missing = connectionTo(`${database.url}_missing`)
    const service = await openService({ connections: new Map([['shop', missing]]) })
    for (const path of ['/a', '/b', '/runs/c']) await service.ask(path)
    await service.extract(fullTable('t'))
    const families = parseExposition(await (await service.ask('/metrics')).text())
    const routes = families.get('trunkline_http_requests_total')?.samples.map(({ labels }) => labels['route'])
    expect(new Set(routes)).toEqual(new Set(['none', '/runs/:id', '/extract']))
    expect(await metricOf(service, 'postgres_up{source="shop"}')).toBe(0)
    expect(await metricOf(service, 'postgres_connections_refused_total{source="shop"}')).toBeGreaterThan(0)
    expect(
      await metricOf(service, 'postgres_errors_total{source="shop",class="connection"}'),
    ).toBeGreaterThan(0)
    expect(await metricOf(service, 'postgres_connections_active{source="shop"}')).toBe(0)
  })
})

test.each<[text: string, wrong: RegExp]>([
  ['# HELP a_total x\n# TYPE a_total counter\na_total 1', /does not end/],
  ['# TYPE a_total counter\na_total 1\n', /no help/],
  ['# HELP a x\n# TYPE a counter\na 1\n', /without _total/],
  ['# HELP a_ms x\n# TYPE a_ms gauge\na_ms 1\n', /base unit/],
  ['# HELP a x\n# TYPE a gauge\na{b="c"} 1\na{b="c"} 2\n', /twice/],
  ['# HELP a x\n# TYPE a gauge\na{b=c} 1\n', /not a label/],
  ['# HELP a x\n# TYPE a histogram\na_bucket{le="1"} 1\na_sum 1\na_count 1\n', /without \+Inf/],
])('the check finds what is wrong with %j', (text, wrong) => {
  expect(() => parseExposition(text)).toThrow(wrong)
})
