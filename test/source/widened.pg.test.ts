import { afterAll, beforeAll, expect, test } from 'vitest'
import { toArrow, toArrowSchema } from '../../src/arrow.js'
import type { SyncSpec } from '../../src/model/sync-spec.js'
import type { Source, TypeOptions } from '../../src/source/contract.js'
import { onEachServer, type TestDatabase } from '../server/servers.js'
import { streamOf, Warehouse } from '../sync/real.js'
import {
  discoverOne,
  failureOf,
  openSnapshot,
  openSource,
  planRead,
  readRows,
  TYPE_OPTIONS,
} from './open-source.js'

const COLUMNS = {
  small: 'smallint',
  medium: 'integer',
  large: 'bigint',
  single: 'real',
  double: 'double precision',
  price: 'numeric(12,2)',
  free: 'numeric',
  flag: 'boolean',
  day: 'date',
  local: 'timestamp',
  instant: 'timestamptz',
  clock: 'time',
  span: 'interval',
  name: 'varchar(20)',
  note: 'text',
  document: 'json',
  settings: 'jsonb',
  code: 'uuid',
  content: 'bytea',
  list: 'integer[]',
} as const

onEachServer('types in Arrow and DuckDB', (server) => {
  let database: TestDatabase
  let source: Source
  let warehouse: Warehouse

  beforeAll(async () => {
    database = await server.createDatabase()
    const columns = Object.entries(COLUMNS).map(([name, type]) => `${name} ${type}`)
    await database.sql(`CREATE TABLE groups (id integer PRIMARY KEY, ${columns.join(', ')})`)
    await database.sql(`
      INSERT INTO groups VALUES
        (1, -32768, -2147483648, 9007199254740993, 1.5, -0.1, 1234567890.12, 0.1, true, '2024-02-29',
         '2024-02-29 12:34:56.789012', '2024-02-29 12:34:56.789012+00', '12:34:56.5', '1 day 02:03', 'näme', 'a note',
         '{"a": [1]}', '{"b": null}', 'c0ffee00-0000-4000-8000-000000000000', '\\x00ff', '{1,NULL,3}'),
        (2, 32767, 2147483647, -9223372036854775808, 'NaN', 'Infinity', -1, 'NaN', false, '1600-01-01',
         '1677-09-22 00:00:00', NULL, NULL, NULL, '', NULL, NULL, NULL, NULL, NULL, NULL),
        (3, 0, 0, 0, 0, 0, 0, 0, NULL, 'infinity', 'infinity', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
        (4, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '2262-04-11 23:47:16.854775',
         NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)`)
    source = await openSource(database.url)
    warehouse = await Warehouse.create(database.url)
  })
  afterAll(async () => {
    await source.close()
    await warehouse.remove()
  })

  test('the schema is known before a row is read, and is that of the batches', async () => {
    const stream = await discoverOne(source, 'public.groups')
    for (const typeProfile of ['exact', 'widened'] as const) {
      const types = { ...TYPE_OPTIONS, typeProfile }
      const fields = source.mapColumns(stream, types).map((column) => column.field)
      const schema = toArrowSchema(fields)
      const found = schema.fields.map((field) => [field.name, String(field.type)])
      expect(Object.fromEntries(found)).toEqual(await arrowTypes(types))
    }
  })

  async function arrowTypes(types: Partial<TypeOptions>): Promise<Record<string, string>> {
    const stream = await discoverOne(source, 'public.groups')
    await using snapshot = await openSnapshot(source, [stream])
    const split = await planRead(source, snapshot, stream, { types })
    const found: Record<string, string> = {}
    for await (const batch of snapshot.read(split)) {
      for (const field of toArrow(batch).schema.fields) found[field.name] = String(field.type)
    }
    return found
  }

  test('a table becomes an Arrow schema that keeps the width of every type', async () => {
    expect(await arrowTypes({})).toEqual({
      id: 'Int32',
      small: 'Int16',
      medium: 'Int32',
      large: 'Int64',
      single: 'Float32',
      double: 'Float64',
      price: 'Decimal[12e+2]',
      free: 'Utf8',
      flag: 'Bool',
      day: 'Date32<DAY>',
      local: 'Timestamp<MICROSECOND>',
      instant: 'Timestamp<MICROSECOND, UTC>',
      clock: 'Time64<MICROSECOND>',
      span: 'Interval<MONTH_DAY_NANO>',
      name: 'Utf8',
      note: 'Utf8',
      document: 'Utf8',
      settings: 'Utf8',
      code: 'FixedSizeBinary[16]',
      content: 'Binary',
      list: 'Utf8',
    })
  })

  test('widened: an Arrow schema of six types', async () => {
    const types = await arrowTypes({ typeProfile: 'widened' })
    const wanted: Record<string, string> = {
      ...Object.fromEntries(['id', 'small', 'medium', 'large'].map((name) => [name, 'Int64'])),
      ...Object.fromEntries(['single', 'double', 'price', 'free'].map((name) => [name, 'Float64'])),
      flag: 'Bool',
      day: 'Date32<DAY>',
      local: 'Timestamp<NANOSECOND>',
    }
    expect(types).toEqual(
      Object.fromEntries(['id', ...Object.keys(COLUMNS)].map((name) => [name, wanted[name] ?? 'Utf8'])),
    )
  })

  test('widened: nanoseconds are the microseconds of the server, to both ends of their range', async () => {
    const stream = await discoverOne(source, 'public.groups')
    await using snapshot = await openSnapshot(source, [stream])
    const rows = await readRows(source, snapshot, stream, { types: { typeProfile: 'widened' } })
    expect(rows.map((row) => row['local'])).toEqual([
      '2024-02-29T12:34:56.789012',
      '1677-09-22T00:00:00',
      'infinity',
      '2262-04-11T23:47:16.854775',
    ])
    expect(rows[0]).toMatchObject({
      large: 9007199254740993n,
      price: 1234567890.12,
      instant: '2024-02-29 12:34:56.789012+00',
      document: '{"a": [1]}',
      list: '[1,null,3]',
      content: '\\x00ff',
    })
  })

  test('widened: what nanoseconds cannot hold is an error, NULL or text, as special_temporal says', async () => {
    await database.sql('CREATE TABLE wide_times (id int PRIMARY KEY, at timestamp)')
    await database.sql(
      `INSERT INTO wide_times VALUES (1, '1677-09-21 23:59:59.999999'), (2, '2262-04-11 23:47:16.854776'), (3, '4713-01-01 BC'), (4, '2000-01-01')`,
    )
    const stream = await discoverOne(source, 'public.wide_times')
    await using snapshot = await openSnapshot(source, [stream])
    const read = (specialTemporal: TypeOptions['specialTemporal']) =>
      readRows(source, snapshot, stream, { types: { typeProfile: 'widened', specialTemporal } })
    expect((await read('null')).map((row) => row['at'])).toEqual([null, null, null, '2000-01-01T00:00:00'])
    expect((await read('text')).map((row) => row['at'])).toEqual([
      '1677-09-21 23:59:59.999999',
      '2262-04-11 23:47:16.854776',
      '4713-01-01 00:00:00 BC',
      '2000-01-01 00:00:00',
    ])
    expect(await failureOf(read('error'))).toMatchObject({
      code: 'VALUE_UNREPRESENTABLE',
      message: expect.stringContaining('timestamp[ns], 1677 to 2262') as string,
      hint: expect.stringContaining('special_temporal') as string,
    })
  })

  test('widened: in DuckDB it is BIGINT, DOUBLE, BOOLEAN, DATE, TIMESTAMP_NS and VARCHAR, and the report says that it is lossy', async () => {
    const spec: Partial<SyncSpec> = {
      selection: { select: ['public.groups'], exclude: [] },
      defaults: { typeProfile: 'widened' },
    }
    const first = streamOf(await warehouse.sync({ ...spec, verify: true }), 'public.groups')
    expect(first).toMatchObject({ rowsLanded: 4, mode: 'mirror', verified: { equal: true } })
    expect(first.promise).toContain('types widened, which is lossy (type_profile: widened)')
    expect(first.promise).toContain('price, free, local, list as far as the landing type can hold')
    const columns = await warehouse.query(
      'SELECT column_name AS name, column_type AS type FROM (DESCRIBE public.groups)',
    )
    const byType = new Map<string, string[]>()
    for (const { name, type } of columns)
      byType.set(type ?? '', [...(byType.get(type ?? '') ?? []), name ?? ''])
    expect(Object.fromEntries(byType)).toEqual({
      BIGINT: ['id', 'small', 'medium', 'large'],
      DOUBLE: ['single', 'double', 'price', 'free'],
      BOOLEAN: ['flag'],
      DATE: ['day'],
      TIMESTAMP_NS: ['local'],
      VARCHAR: Object.keys(COLUMNS).slice(10),
    })
    expect(
      await warehouse.query(
        'SELECT id, local::VARCHAR AS local, isnan(free) AS nan FROM public.groups ORDER BY id',
      ),
    ).toEqual([
      { id: '1', local: '2024-02-29 12:34:56.789012', nan: 'false' },
      { id: '2', local: '1677-09-22 00:00:00', nan: 'true' },
      { id: '3', local: 'infinity', nan: 'false' },
      { id: '4', local: '2262-04-11 23:47:16.854775', nan: null },
    ])

    await database.sql(`UPDATE groups SET local = '2001-01-01' WHERE id = 4`)
    const second = streamOf(await warehouse.sync(spec), 'public.groups')
    expect(second).toMatchObject({ fullLoadReason: null, generation: 1 })
    expect(await warehouse.query(`SELECT local::VARCHAR AS local FROM public.groups WHERE id = 4`)).toEqual([
      { local: '2001-01-01 00:00:00' },
    ])

    const exact = streamOf(await warehouse.sync({ ...spec, defaults: {} }), 'public.groups')
    expect(exact).toMatchObject({ generation: 2, rowsLanded: 4 })
    expect(exact.fullLoadReason).toContain('column "small" is now int16, was int64')
    expect(exact.promise).not.toContain('widened')
  })

  test('widened: a numeric that no double can hold is an error that says so', async () => {
    await database.sql('CREATE TABLE wide_numbers (id int PRIMARY KEY, n numeric)')
    await database.sql('INSERT INTO wide_numbers VALUES (1, 1e307), (2, 1e400)')
    const stream = await discoverOne(source, 'public.wide_numbers')
    await using snapshot = await openSnapshot(source, [stream])
    const read = readRows(source, snapshot, stream, { types: { typeProfile: 'widened' } })
    expect(await failureOf(read)).toMatchObject({
      code: 'QUERY_FAILED',
      message: 'Reading public.wide_numbers: a value does not fit its type (22003)',
      hint: expect.stringContaining('`types` or `type_profile`') as string,
    })
  })

  test('widened: a key that is a numeric is searched for values that became one', async () => {
    await database.sql('CREATE TABLE wide_keys (id numeric PRIMARY KEY)')
    await database.sql('INSERT INTO wide_keys VALUES (9007199254740992), (9007199254740993)')
    const spec: Partial<SyncSpec> = { selection: { select: ['public.wide_keys'], exclude: [] } }
    const report = await warehouse.run({ ...spec, defaults: { typeProfile: 'widened' } })
    expect(streamOf(report, 'public.wide_keys').error).toMatchObject({ code: 'KEY_DUPLICATE' })
    expect(streamOf(await warehouse.sync(spec), 'public.wide_keys')).toMatchObject({ rowsLanded: 2 })
  })
})
