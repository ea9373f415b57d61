/**
 * What teams write by hand: pg-query-stream into DuckDB's appender, one call for each value.
 * query-stream-to-duckdb.mjs TABLE FILE; connection from the PG* environment. Prints the number of rows.
 */
import process from 'node:process'
import { DuckDBDateValue, DuckDBDecimalValue, DuckDBInstance, DuckDBTimestampTZValue } from '@duckdb/node-api'
import { loadPeer } from './load-peer.mjs'

const pg = await loadPeer('pg')
const QueryStream = await loadPeer('pg-query-stream')
const BATCH = 10_000
const [table = '', path = ''] = process.argv.slice(2)

// Milliseconds are not enough for a timestamp and a Date is not a day: both are taken as text, numbers that fit as numbers.
const { builtins } = pg.types
for (const type of [builtins.DATE, builtins.TIMESTAMPTZ, builtins.JSONB]) pg.types.setTypeParser(type, String)
pg.types.setTypeParser(builtins.INT8, BigInt)

/** For each type of PostgreSQL that the tables have: DuckDB's type, and how the appender takes a value of it. */
const TYPES = new Map([
  [builtins.INT8, { type: 'BIGINT', append: 'appendBigInt' }],
  [builtins.INT4, { type: 'INTEGER', append: 'appendInteger' }],
  [builtins.FLOAT8, { type: 'DOUBLE', append: 'appendDouble' }],
  [
    builtins.DATE,
    {
      type: 'DATE',
      append: 'appendDate',
      from: (text) => new DuckDBDateValue(Date.parse(text) / 86_400_000),
    },
  ],
  [builtins.NUMERIC, { type: 'DECIMAL(15,2)', append: 'appendDecimal', from: toDecimal }],
  [builtins.TIMESTAMPTZ, { type: 'TIMESTAMPTZ', append: 'appendTimestampTZ', from: toTimestamp }],
  [builtins.UUID, { type: 'VARCHAR', append: 'appendVarchar' }],
  [builtins.JSONB, { type: 'JSON', append: 'appendVarchar' }],
  [1009, { type: 'JSON', append: 'appendVarchar', from: JSON.stringify }],
])
const TEXT = { type: 'VARCHAR', append: 'appendVarchar' }

/** `12.30` in hundredths. @param {string} text */
function toDecimal(text) {
  return new DuckDBDecimalValue(BigInt(text.replace('.', '')), 15, 2)
}

/** `2024-01-01 00:00:13.123456+00` in microseconds. @param {string} text */
function toTimestamp(text) {
  const [whole = '', rest = ''] = text.slice(0, -3).split('.')
  const seconds = Date.parse(`${whole.replace(' ', 'T')}Z`) / 1000
  return new DuckDBTimestampTZValue(BigInt(seconds) * 1_000_000n + BigInt(rest.padEnd(6, '0')))
}

const client = new pg.Client()
await client.connect()
await client.query("SET timezone = 'UTC'")
const { fields } = await client.query(`SELECT * FROM ${table} LIMIT 0`)
const columns = fields.map(({ name, dataTypeID }) => ({ name, ...(TYPES.get(dataTypeID) ?? TEXT) }))

const instance = await DuckDBInstance.create(path)
const connection = await instance.connect()
await connection.run('CREATE SCHEMA public')
await connection.run(
  `CREATE TABLE public.${table} (${columns.map(({ name, type }) => `${name} ${type}`).join(', ')})`,
)
const appender = await connection.createAppender(table, 'public')
const stream = client.query(
  new QueryStream(`SELECT * FROM ${table}`, [], { batchSize: BATCH, highWaterMark: BATCH }),
)
let count = 0
for await (const row of stream) {
  for (const { name, append, from } of columns) {
    const value = row[name]
    if (value === null) appender.appendNull()
    else appender[append](from ? from(value) : value)
  }
  appender.endRow()
  count += 1
}
appender.closeSync()
connection.closeSync()
instance.closeSync()
await client.end()
process.stdout.write(`${count}\n`)
