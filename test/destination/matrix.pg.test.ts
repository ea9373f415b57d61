/**
 * Every destination from every server: tables of many types and shapes are synced by the library, read by somebody else, and every value
 * is compared with what the server prints for it; then they change, and are synced and compared again.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { TableName } from '../../src/destination/contract.js'
import { createArrowFormat } from '../../src/destination/files/arrow-format.js'
import { createCsvFormat } from '../../src/destination/files/csv-format.js'
import { createJsonlFormat } from '../../src/destination/files/jsonl-format.js'
import { createParquetFormat } from '../../src/destination/files/parquet-format.js'
import { connect, sync } from '../../src/index.js'
import type { Field } from '../../src/model/column-type.js'
import { quoteIdent } from '../../src/postgres/quote.js'
import { normalRows, readNormal } from '../../src/testing/landings.js'
import type { Place } from '../../src/testing/place.js'
import { onEachServer, type TestDatabase } from '../server/servers.js'
import type { S3Server } from '../store/s3-server.js'
import { makeCustomPlace } from './custom-destination.js'
import { makeDuckDbPlace } from './duckdb/duckdb-place.js'
import { makeFilesPlace } from './files/files-place.js'
import { readArrow } from './files/read-arrow.js'
import { makePostgresPlace } from './postgres/postgres-place.js'
import { makeS3Place, startBucket } from './s3-place.js'

/** Columns by name: the type, and its values. */
const TYPES: Readonly<Record<string, readonly [type: string, ...values: string[]]>> = {
  b: ['boolean', 't', 'f'],
  i2: ['smallint', '-32768', '32767'],
  i4: ['integer', '-2147483648', '2147483647'],
  i8: ['bigint', '-9223372036854775808', '9007199254740993', '9223372036854775807'],
  r: ['real', 'NaN', 'Infinity', '-Infinity', '1e-45', '3.4028235e38', '0.1'],
  d: ['double precision', 'NaN', 'Infinity', '-Infinity', '5e-324', '1.7976931348623157e308', '0.1'],
  n: ['numeric(12,2)', '-9999999999.99', '0.01', '0'],
  n38: ['numeric(38,10)', '-9999999999999999999999999999.9999999999', '0.0000000001'],
  nn: ['numeric', '1e100', 'NaN', '-0.00000000000000000000000000000000000000000001'],
  dt: ['date', '4714-11-24 BC', '0044-03-15 BC', '1582-10-15', '9999-12-31', 'infinity', '-infinity'],
  tm: ['time', '00:00:00', '23:59:59.999999', '24:00:00'],
  tt: ['timetz', '12:34:56.789+05:30'],
  ts: ['timestamp', '0044-03-15 12:00:00 BC', '1999-12-31 23:59:59.999999', 'infinity', '-infinity'],
  tz: ['timestamptz', '0044-03-15 12:00:00+00 BC', '2024-02-29 23:59:59.999999+05:30', 'infinity'],
  iv: ['interval', '1 year -2 mons 3 days -04:05:06.789', '00:00:00', '-178000000 years'],
  t: ['text', '', ' ', 'NULL', '\\N', 'a,"b"\nc\r\nd\te', 'ünïcödé 🎉', '=1+1'],
  vc: ['varchar(10)', '0123456789', ''],
  j: ['json', '{"b": 1,  "a": [1, null]}', '"x"', '[]'],
  jb: ['jsonb', '{"b": 1, "a": {"deep": [true]}}', '1.50'],
  u: ['uuid', 'c0ffee00-0000-4000-8000-000000000000'],
  by: ['bytea', '\\x', '\\x00ff270a5c22'],
  ip: ['inet', '10.0.0.1/8', '2001:db8::/32'],
  rg: ['int4range', '[1,5)', 'empty'],
  md: ['mood', 'glad', 'sad, "very"'],
  zp: ['zip', '01234'],
}

const most = Math.max(...Object.values(TYPES).map((values) => values.length - 1))
const literal = (value: string | undefined): string =>
  value === undefined ? 'NULL' : `'${value.replaceAll("'", "''")}'`

/** A row for each value, nulls where a type has fewer. */
const typesSql = `
  CREATE TYPE mood AS ENUM ('glad', 'sad, "very"');
  CREATE DOMAIN zip AS text CHECK (VALUE ~ '^[0-9]{5}$');
  CREATE TABLE types (id integer PRIMARY KEY, ${Object.entries(TYPES)
    .map(([name, [type]]) => `${name} ${type}`)
    .join(', ')});
  INSERT INTO types VALUES ${Array.from(
    { length: most + 1 },
    (_, row) =>
      `(${row}, ${Object.values(TYPES)
        .map(([, ...values]) => literal(values[row]))
        .join(', ')})`,
  ).join(', ')};`

const shapesSql = `
  CREATE TABLE empty (id integer PRIMARY KEY, note text);
  CREATE TABLE keyless (note text);
  INSERT INTO keyless VALUES ('twice'), ('twice'), (NULL);
  CREATE TABLE parts (id integer, day date, note text, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
  CREATE TABLE parts_old PARTITION OF parts FOR VALUES FROM (MINVALUE) TO ('2024-01-01');
  CREATE TABLE parts_new PARTITION OF parts FOR VALUES FROM ('2024-01-01') TO (MAXVALUE);
  INSERT INTO parts SELECT g, '2023-12-20'::date + g, 'part ' || g FROM generate_series(1, 30) g;
  CREATE TABLE "odd ""name"" 🎉" ("the key" integer PRIMARY KEY, "select" text, "a.b" text, "é" text);
  INSERT INTO "odd ""name"" 🎉" VALUES (1, 'x', 'y', 'z');
  CREATE TABLE many (id bigint PRIMARY KEY, amount numeric(20, 4), note text);
  INSERT INTO many SELECT g, g * 1.0001, repeat('n', (g % 50)::integer) FROM generate_series(1, 5000) g;`

const changesSql = `
  UPDATE types SET t = 'changed', i8 = 7, n38 = 1.5 WHERE id = 1;
  DELETE FROM types WHERE id = 2;
  INSERT INTO types (id, t) VALUES (100, 'new');
  INSERT INTO empty VALUES (1, 'not any more');
  DELETE FROM keyless WHERE note IS NULL;
  UPDATE parts SET day = '2024-06-01' WHERE id = 3;
  DELETE FROM parts WHERE id = 4;
  UPDATE "odd ""name"" 🎉" SET "select" = NULL;
  UPDATE many SET note = NULL WHERE id % 100 = 0;
  DELETE FROM many WHERE id % 100 = 1;
  INSERT INTO many VALUES (100000, -0.0001, 'new');`

const TABLES = ['types', 'empty', 'keyless', 'parts', 'odd "name" 🎉', 'many'] as const

const [parquet, arrow, csv, jsonl] = await Promise.all([
  createParquetFormat({}),
  createArrowFormat({}),
  createCsvFormat({}),
  createJsonlFormat({}),
])

onEachServer('every destination', (server) => {
  let source: TestDatabase
  let target: TestDatabase
  let bucket: S3Server
  beforeAll(async () => {
    bucket = await startBucket()
    target = await server.createDatabase()
  })
  afterAll(async () => {
    await bucket[Symbol.asyncDispose]()
  })

  const destinations: Readonly<Record<string, () => Promise<Place>>> = {
    duckdb: () => makeDuckDbPlace(),
    parquet: () => makeFilesPlace(parquet),
    arrow: () => makeFilesPlace(arrow, { readFiles: readArrow }),
    csv: () => makeFilesPlace(csv),
    jsonl: () => makeFilesPlace(jsonl, { jsonByValue: true }),
    'parquet in a bucket': () => makeS3Place(bucket),
    postgresql: () => makePostgresPlace(target, server.major),
    'one of one’s own': makeCustomPlace,
  }

  describe.each(Object.entries(destinations))('%s', (_, makePlace) => {
    test('has every value of every table, and again after they changed', async () => {
      source = await server.createDatabase()
      await source.sql(typesSql)
      await source.sql(shapesSql)
      const place = await makePlace()
      try {
        for (const change of ['', changesSql]) {
          if (change !== '') await source.sql(change)
          const destination = place.create()
          const run = sync({ source: source.url, destination, name: 'shop', jobs: 1 })
          const report = await run.finally(() => destination.close())
          expect(report.streams.flatMap(({ error }) => error ?? [])).toEqual([])
          expect(report.outcome).toBe('done')
          const fields = await readFields(source)
          for (const table of TABLES) {
            const landed = fields.get(table) ?? []
            expect(landed.length).toBeGreaterThan(0)
            const expected = await expectedRows(source, place, { table, fields: landed })
            const found = await readNormal(place, { schema: 'public', name: table }, landed)
            expect(differ(landed, found, expected), table).toEqual([])
          }
        }
      } finally {
        await place.remove()
      }
    })
  })
})

/** As what the columns land, which the library says. */
async function readFields(database: TestDatabase): Promise<ReadonlyMap<string, readonly Field[]>> {
  await using source = await connect({ url: database.url })
  const { streams } = await source.discover({ select: ['public.*'] })
  await using snapshot = await source.snapshot(streams.map(({ name }) => name))
  return new Map(streams.map(({ name, table }) => [table, snapshot.fields(name)]))
}

/** What the server prints. */
async function expectedRows(
  database: TestDatabase,
  place: Place,
  { table, fields }: { readonly table: TableName['name']; readonly fields: readonly Field[] },
): Promise<(string | null)[][]> {
  const columns = fields.map(({ name }, index) => `${quoteIdent(name)}::text AS c${index}`)
  const rows = await database
    .sql(
      `SET TimeZone = 'UTC'; SET DateStyle = 'ISO, YMD'; SET IntervalStyle = 'iso_8601'; SET extra_float_digits = 3;
     SET bytea_output = 'hex'`,
    )
    .then(() => database.sql(`SELECT ${columns.join(', ')} FROM ${quoteIdent(table)}`))
  return normalRows(
    place,
    fields,
    rows.map((row) => fields.map((_, index) => row[`c${index}`] ?? null)),
  )
}

/** Where rows differ, in a few lines. */
function differ(
  fields: readonly Field[],
  found: readonly (readonly (string | null)[])[] | null,
  expected: readonly (readonly (string | null)[])[],
): string[] {
  if (found?.length !== expected.length) return [`${found?.length ?? 'no'} rows for ${expected.length}`]
  return expected.flatMap((row, at) =>
    row.flatMap((value, column) => {
      const other = found[at]?.[column]
      return value === other ? [] : [`${fields[column]?.name} of row ${row[0]}: ${value} became ${other}`]
    }),
  )
}
