import { beforeAll, expect, test } from 'vitest'
import {
  onEachServer,
  onNewestServer,
  onOldestServer,
  type TestDatabase,
  type TestServer,
} from '../../server/servers.js'
import { rowsOf, syncOnce } from './pg-to-pg.js'

/** SQL of a column's type, and of values of it; since which major version. */
type Sample = readonly [type: string, values: readonly string[], since?: number]

const SAMPLES: readonly Sample[] = [
  ['boolean', [`'t'`, `'f'`]],
  ['smallint', ['-32768', '32767']],
  ['integer', ['-2147483648', '2147483647']],
  ['bigint', ['-9223372036854775808', '9223372036854775807']],
  ['real', [`'-0'`, `'NaN'`, `'-Infinity'`, '3.4028235e38', '1e-45', '0.1']],
  ['double precision', [`'-0'`, `'NaN'`, `'Infinity'`, '1.7976931348623157e308', '5e-324', '0.1']],
  ['numeric', [`'NaN'`, '1.10', '1e-200', `repeat('9', 200)::numeric`]],
  ['numeric(12,2)', ['-9999999999.99', '0.00']],
  ['numeric(40,20)', ['1.00000000000000000001']],
  ['numeric(3,-2)', ['12300', '-99900'], 15],
  ['numeric(2,5)', ['0.00099'], 15],
  ['money', [`'-92233720368547758.08'`, `'12.30'`]],
  ['text', [`''`, `E'\\\\N'`, `E'tab\\tnew\\nline\\r\\\\back'`, `'ünïcödé 🎉'`, `repeat('x', 9000)`]],
  ['varchar(5)', [`'abc  '`]],
  ['character(5)', [`'ab'`]],
  ['name', [`'a name'`]],
  ['"char"', [`'x'`, `''`]],
  ['bytea', [`'\\x00ff5c'`, `''`]],
  ['date', [`'infinity'`, `'-infinity'`, `'4713-01-01 BC'`, `'5874897-12-31'`]],
  ['time(3)', [`'24:00:00'`, `'12:34:56.789'`]],
  ['time with time zone', [`'12:34:56.789012+15:59:59'`, `'00:00-12'`]],
  ['timestamp(2)', [`'infinity'`, `'2026-01-02 03:04:05.67'`]],
  ['timestamp', [`'4713-11-24 00:00:00 BC'`, `'294246-12-31 23:59:59.999999'`]],
  ['timestamptz', [`'-infinity'`, `'2026-01-02 03:04:05.678901+05:30'`]],
  ['interval', [`'1 mon -2 days +03:04:05.000006'`, `'-178000000 years'`]],
  ['interval day to second(3)', [`'3 days 04:05:06.789'`]],
  ['json', [`'{"b": 1,  "a": [1.0, null, "\\u0000"]}'`]],
  ['jsonb', [`'{"b": 1.10, "a": "ü"}'`, `'null'`]],
  ['jsonpath', [`'$.a[*] ? (@ > 1)'`]],
  ['uuid', [`'00000000-0000-4000-8000-0123456789ab'`]],
  ['xml', [`'<a b="1">&lt;x/&gt;</a>'`]],
  ['inet', [`'10.1.2.3/8'`, `'::ffff:1.2.3.4'`, `'10.1.2.3'`]],
  ['cidr', [`'10.0.0.0/8'`]],
  ['macaddr', [`'08:00:2b:01:02:03'`]],
  ['macaddr8', [`'08:00:2b:01:02:03:04:05'`]],
  ['bit(3)', [`B'101'`]],
  ['bit varying(9)', [`B''`, `B'10101'`]],
  ['tsvector', [`'fat:1A cat:2 ''it''''s'''`]],
  ['tsquery', [`'fat & (rat | !cat)'`]],
  ['point', [`'(0.1,-0)'`]],
  ['line', [`'{1,2,3}'`]],
  ['lseg', [`'[(0,0),(1,1)]'`]],
  ['box', [`'(1,1),(0,0)'`]],
  ['path', [`'[(0,0),(1,1)]'`, `'((0,0),(1,1))'`]],
  ['polygon', [`'((0,0),(1,1),(1,0))'`]],
  ['circle', [`'<(0,0),1.5>'`]],
  ['pg_lsn', [`'16/B374D848'`]],
  ['oid', ['4294967295']],
  ['regclass', [`'pg_class'`]],
  ['tid', [`'(4294967295,65535)'`]],
  ['xid', [`'4294967295'`]],
  ['xid8', [`'18446744073709551615'`], 13],
  ['int4range', [`'[1,5)'`, `'empty'`, `'(,)'`]],
  ['numrange', [`'[1.10,2]'`]],
  ['tstzrange', [`'[2026-01-01 00:00+00,infinity)'`]],
  ['int4multirange', [`'{[1,2),[5,9)}'`], 14],
  ['integer[]', [`'{1,NULL,3}'`, `'{}'`, `'[0:1]={7,8}'`, `'{{1,2},{3,4}}'`]],
  ['text[]', [`ARRAY['a,b', '"', NULL, 'NULL', '']`]],
  ['numeric(5,1)[]', [`'{1.0,NaN}'`]],
  ['timestamptz[]', [`'{infinity,"2026-01-02 03:04:05+00"}'`]],
  ['inet[]', [`'{10.0.0.1/8}'`]],
  ['zip', [`'12345'`]],
  ['zips', [`'{12345,NULL}'`]],
  ['mood', [`'sad'`, `'it''s "ok"'`]],
  ['mood[]', [`'{sad,NULL}'`]],
  ['pair', [`ROW(1, 'a,"b')`, `ROW(NULL, NULL)`]],
  ['citext', [`'CaSe'`]],
  ['hstore', [`'"a"=>NULL, "b"=>"1,2"'`]],
]

const TYPES = `
  CREATE DOMAIN zip AS character(5) CHECK (VALUE ~ '^[0-9]');
  CREATE DOMAIN zips AS character(5)[];
  CREATE TYPE mood AS ENUM ('sad', 'it''s "ok"');
  CREATE TYPE pair AS (a int, b text);`

/** A row for each value, NULL in all other columns, and one of nothing but NULLs. */
async function makeTypesTable(database: TestDatabase, major: number): Promise<void> {
  await database.sql(`${TYPES} CREATE EXTENSION citext; CREATE EXTENSION hstore; SET lc_monetary = 'C'`)
  const samples = SAMPLES.filter(([, , since = 0]) => major >= since)
  const columns = samples.map(([type], index) => `c${index} ${type}`)
  await database.sql(`CREATE TABLE every_type (id integer PRIMARY KEY, ${columns.join(', ')})`)
  let id = 0
  const inserts = samples.flatMap(([type, values], index) =>
    values.map(
      (value) => `INSERT INTO every_type (id, c${index}) VALUES (${++id}, CAST(${value} AS ${type}))`,
    ),
  )
  await database.sql([...inserts, `INSERT INTO every_type VALUES (0)`].join(';'))
}

async function typesOf(database: TestDatabase): Promise<Record<string, string | null>> {
  await database.sql('SET search_path = pg_catalog')
  const rows = await database.sql<{ name: string; type: string }>(
    `SELECT attname AS name, format_type(atttypid, atttypmod) AS type FROM pg_attribute
      WHERE attrelid = 'public.every_type'::regclass AND attnum > 0`,
  )
  await database.sql('RESET search_path')
  return Object.fromEntries(rows.map(({ name, type }) => [name, type]))
}

function columnOf(type: string, major: number): string {
  return `c${SAMPLES.filter(([, , since = 0]) => major >= since).findIndex(([name]) => name === type)}`
}

onEachServer('Every type, from PostgreSQL to PostgreSQL', (server) => {
  let source: TestDatabase
  let target: TestDatabase
  beforeAll(async () => {
    source = await server.createDatabase()
    target = await server.createDatabase()
    await makeTypesTable(source, server.major)
  })

  test('arrives as the type and with the value that the source has, by full loads and by changes', async () => {
    await syncOnce(source, target)
    expect(await rowsOf(target, 'every_type')).toEqual(await rowsOf(source, 'every_type'))
    const [there, here] = [await typesOf(source), await typesOf(target)]
    const differ = Object.keys(there).filter((name) => there[name] !== here[name])
    const kept: Record<string, string> = {
      regclass: 'text',
      zip: 'character(5)',
      zips: 'character(5)[]',
      mood: 'text',
      'mood[]': 'text',
      pair: 'text',
      citext: 'text',
      hstore: 'text',
      ...(server.major < 16 ? { '"char"': 'text' } : {}),
    }
    for (const [type, landed] of Object.entries(kept)) {
      expect([type, here[columnOf(type, server.major)]]).toEqual([type, landed])
    }
    expect(differ).toHaveLength(Object.keys(kept).length)

    // Every row is a new version, and takes the other way in: staged, then matched by key.
    await source.sql('UPDATE every_type SET id = id; INSERT INTO every_type SELECT 1000 AS id')
    const report = await syncOnce(source, target, { verify: true })
    expect(report.streams[0]).toMatchObject({ fullLoadReason: null, verified: { equal: true } })
    expect(await rowsOf(target, 'every_type')).toEqual(await rowsOf(source, 'every_type'))
  })

  test('of a person’s own stays what it is where the target has it under the same name', async () => {
    const prepared = await server.createDatabase()
    await prepared.sql(
      `${TYPES} CREATE EXTENSION citext; CREATE EXTENSION hstore; ALTER TYPE mood ADD VALUE 'new'`,
    )
    await syncOnce(source, prepared)
    const types = await typesOf(prepared)
    const landed = ['mood', 'mood[]', 'pair', 'citext', 'hstore'].map(
      (type) => types[columnOf(type, server.major)],
    )
    expect(landed).toEqual(['public.mood', 'text', 'text', 'public.citext', 'public.hstore'])
    expect(await rowsOf(prepared, 'every_type')).toEqual(await rowsOf(source, 'every_type'))
  })
})

onOldestServer('Every type, across versions', (oldest: TestServer) => {
  onNewestServer('with the other side', (newest: TestServer) => {
    test.each([
      ['from the oldest to the newest', oldest, newest],
      ['from the newest to the oldest', newest, oldest],
    ] as const)('arrives with its value %s', async (_, from, to) => {
      const source = await from.createDatabase()
      const target = await to.createDatabase()
      await makeTypesTable(source, from.major)
      await syncOnce(source, target, { verify: true })
      expect(await rowsOf(target, 'every_type')).toEqual(await rowsOf(source, 'every_type'))
      await source.sql('UPDATE every_type SET id = id')
      await syncOnce(source, target)
      expect(await rowsOf(target, 'every_type')).toEqual(await rowsOf(source, 'every_type'))
    })
  })
})
