/** Rows that pass from one PostgreSQL to another as they are: the same as those that are decoded and written anew. */
import { beforeAll, expect, test } from 'vitest'
import type { Destination, StreamWriter } from '../../../src/destination/contract.js'
import { seededRandom, typeCases } from '../../codec/every-type.js'
import {
  onOldestAndNewestServer,
  onNewestServer,
  onOldestServer,
  type TestDatabase,
  type TestServer,
} from '../../server/servers.js'
import { rowsOf, syncOnce, type RunOptions } from './pg-to-pg.js'

const ROWS = 120
/** Types that land as text elsewhere; each value is of all servers. */
const OTHERS: readonly (readonly [type: string, value: string])[] = [
  ['numeric', `CASE n % 4 WHEN 0 THEN 'NaN'::numeric WHEN 1 THEN n / 7.0 ELSE (10::numeric ^ (n % 150)) END`],
  ['inet', `('10.0.' || n % 256 || '.1/' || n % 33)::inet`],
  ['cidr', `('10.0.' || n % 256 || '.0/24')::cidr`],
  ['macaddr8', `'08:00:2b:01:02:03:04:05'::macaddr8`],
  ['timetz', `('12:34:56.789' || CASE n % 2 WHEN 0 THEN '+05:30' ELSE '-12' END)::timetz`],
  ['bit(3)', `(n % 8)::bit(3)`],
  ['varbit', `(n % 9)::bit(7)::varbit`],
  ['tsvector', `to_tsvector('simple', 'a fat cat ' || n)`],
  ['tsquery', `('fat & !cat' || n)::tsquery`],
  ['point', `point(n, -n / 3.0)`],
  ['polygon', `polygon(box(point(0, 0), point(n, n)))`],
  ['path', `path(polygon(box(point(0, 0), point(n, n))))`],
  ['jsonpath', `'$.a[*] ? (@ > 1)'::jsonpath`],
  ['xml', `('<a b="' || n || '">é</a>')::xml`],
  ['pg_lsn', `'16/B374D848'::pg_lsn`],
  ['int4range', `CASE n % 3 WHEN 0 THEN 'empty' ELSE int4range(n, NULL) END`],
  ['tstzrange', `tstzrange('2026-01-01', 'infinity', '[]')`],
  ['integer[]', `CASE n % 3 WHEN 0 THEN '{}' WHEN 1 THEN '[0:1]={7,NULL}' ELSE ARRAY[[n, 1], [2, 3]] END`],
  ['text[]', `ARRAY['a,b', '"', NULL, n::text]`],
  ['numeric(9,1)[]', `ARRAY[n / 3.0, 'NaN']`],
]

async function makeTables(database: TestDatabase, major: number): Promise<void> {
  const random = seededRandom(major)
  const cases = typeCases(major).filter(
    ({ sqlType }) => !sqlType.startsWith('interval') && sqlType !== 'name',
  )
  const own = cases.filter(
    ({ sqlType }, index) => cases.findIndex((other) => other.sqlType === sqlType) === index,
  )
  const inputs = own.map((one) =>
    Array.from({ length: ROWS }, (_, row) =>
      row < one.extremes.length ? one.extremes[row] : random.next() < 0.1 ? null : one.random(random),
    ),
  )
  const columns = [
    ...own.map(({ sqlType }, index) => [`c${index}`, sqlType, `v${index}::${sqlType}`] as const),
    ...OTHERS.map(
      ([type, value], index) => [`o${index}`, type, `CASE WHEN n % 11 > 0 THEN ${value} END`] as const,
    ),
  ]
  await database.sql(
    `CREATE TABLE every (id integer PRIMARY KEY, ${columns.map(([name, type]) => `${name} ${type}`).join(', ')});
     CREATE TABLE spans (id integer PRIMARY KEY, span interval);
     INSERT INTO spans SELECT i, i * interval '1 mon 2 days -03:04:05.6' FROM generate_series(1, 50) i`,
  )
  await database.sql(
    `INSERT INTO every SELECT n, ${columns.map(([, type, value]) => `(${value})::${type}`).join(', ')}
       FROM unnest(${own.map((_, i) => `$${i + 1}::text[]`).join(', ')})
            WITH ORDINALITY AS u(${own.map((_, i) => `v${i}`).join(', ')}, place),
            LATERAL (SELECT place::integer AS n) AS numbered`,
    inputs,
  )
}

interface Passed {
  readonly run: RunOptions
  /** Batches that came, by whether they were decoded. */
  readonly came: { decoded: number; undecoded: number }
}

/** Looks at what comes; `refuse`: as a destination that takes nothing undecoded. */
function watched({ refuse }: { readonly refuse: boolean }): Passed {
  const came = { decoded: 0, undecoded: 0 }
  const around = (writer: StreamWriter): StreamWriter =>
    overridden(writer, {
      ...(refuse ? { takesUndecoded: () => false } : {}),
      write: (batch) => {
        came[batch.tuples === undefined ? 'decoded' : 'undecoded']++
        return writer.write(batch)
      },
    })
  const wrap = (destination: Destination): Destination =>
    overridden(destination, { begin: async (landing) => around(await destination.begin(landing)) })
  return { run: { wrap }, came }
}

/** The same object but for these methods; the others keep their own `this`. */
function overridden<Of extends object>(inner: Of, own: Partial<Of>): Of {
  return new Proxy(inner, {
    get: (target, name) => {
      const value: unknown = Reflect.get(name in own ? own : target, name)
      return typeof value === 'function' ? (value.bind(target) as unknown) : value
    },
  })
}

async function expectEqualTables(source: TestDatabase, targets: readonly TestDatabase[]): Promise<void> {
  for (const table of ['every', 'spans']) {
    const rows = await rowsOf(source, table)
    expect(rows.length).toBeGreaterThan(0)
    for (const target of targets) expect(await rowsOf(target, table)).toEqual(rows)
  }
}

onOldestAndNewestServer('Rows that pass undecoded', (server) => {
  let source: TestDatabase
  let passing: TestDatabase
  let decoding: TestDatabase
  beforeAll(async () => {
    source = await server.createDatabase()
    passing = await server.createDatabase()
    decoding = await server.createDatabase()
    await makeTables(source, server.major)
  })

  test('are those that decoded ones are, by full loads, and by changes read otherwise', async () => {
    for (const readMethod of ['copy', 'named'] as const) {
      const passed = watched({ refuse: false })
      await syncOnce(source, passing, { ...passed.run, defaults: { readMethod } })
      expect(passed.came.decoded).toBe(0)
      expect(passed.came.undecoded).toBeGreaterThan(0)
      const decoded = watched({ refuse: true })
      await syncOnce(source, decoding, { ...decoded.run, defaults: { readMethod } })
      expect(decoded.came.decoded).toBeGreaterThan(0)
      expect(decoded.came.undecoded).toBe(0)
      await expectEqualTables(source, [passing, decoding])
      await source.sql(
        'UPDATE every SET id = id; UPDATE spans SET id = id; DELETE FROM spans WHERE id % 10 = 1',
      )
    }
    const { streams } = await syncOnce(source, passing, { verify: true })
    expect(streams.map(({ verified }) => verified?.equal)).toEqual([true, true])
    await expectEqualTables(source, [passing])
  })
})

onNewestServer('Rows that could pass undecoded', (server) => {
  let source: TestDatabase
  beforeAll(async () => {
    source = await server.createDatabase()
    await makeTables(source, server.major)
  })

  test('are decoded where something looks into them or makes others of them', async () => {
    const cases: readonly RunOptions[] = [
      { streams: { 'public.spans': { mask: { span: 'null' } } } },
      { streams: { 'public.spans': { types: { id: 'bigint' } } } },
      { streams: { 'public.spans': { rename: { span: 'length' } }, 'public.every': { disabled: true } } },
      { streams: { 'public.spans': { mode: 'incremental', landing: 'append' } } },
    ]
    for (const options of cases) {
      const target = await server.createDatabase()
      const passed = watched({ refuse: false })
      await syncOnce(source, target, { ...options, select: ['public.spans'], ...passed.run })
      expect(passed.came.undecoded, JSON.stringify(options)).toBe(0)
      expect(passed.came.decoded).toBeGreaterThan(0)
    }
  })
})

onOldestServer('Rows that pass undecoded across versions', (oldest: TestServer) => {
  onNewestServer('with the other side', (newest: TestServer) => {
    test.each([
      ['from the oldest to the newest', oldest, newest],
      ['from the newest to the oldest', newest, oldest],
    ] as const)('mean the same %s', async (_, from, to) => {
      const source = await from.createDatabase()
      await makeTables(source, from.major)
      const target = await to.createDatabase()
      const every = watched({ refuse: false })
      await syncOnce(source, target, { ...every.run, select: ['public.every'] })
      expect(every.came.decoded).toBe(0)
      expect(every.came.undecoded).toBeGreaterThan(0)
      // An older server would take an infinite interval for another one.
      const spans = watched({ refuse: false })
      await syncOnce(source, target, { ...spans.run, select: ['public.spans'] })
      const isOlder = from.major >= 17 && to.major < 17
      expect(spans.came.undecoded > 0).toBe(!isOlder)
      await expectEqualTables(source, [target])
    })
  })
})
