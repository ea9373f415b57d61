import fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import { buildBatch } from '../../src/batch/build-batch.js'
import { chooseCopyForm, type CopyColumn } from '../../src/codec/copy-encoder-form.js'
import { createCopyEncoder, createTupleEncoder, type CopyEncoder } from '../../src/codec/copy-encoder.js'
import type { DecoderColumn } from '../../src/codec/decoder-column.js'
import type { Batch } from '../../src/batch/batch.js'
import { open } from '../postgres/open.js'
import { onEachServer, onNewestServer, type TestDatabase } from '../server/servers.js'
import { captureCopy, decodeAll, TEXT_SETTINGS } from './capture.js'
import { seededRandom, typeCases } from './every-type.js'

const ROWS = 2500
const SEED = 77

function targetOf({ type, wire }: DecoderColumn): string {
  if (wire === 'timestamp') return type.kind === 'timestamp' && type.utc ? 'timestamptz' : 'timestamp'
  return wire
}

function encodeAll(columns: readonly CopyColumn[], batches: readonly Batch[]): Buffer {
  return encodeBy(createCopyEncoder(columns, 'binary'), batches)
}

function encodeBy(encoder: CopyEncoder, batches: readonly Batch[]): Buffer {
  const pieces = [Buffer.from(encoder.header)]
  for (const batch of batches) for (const piece of encoder.encode(batch)) pieces.push(Buffer.from(piece))
  pieces.push(Buffer.from(encoder.trailer))
  return Buffer.concat(pieces)
}

onEachServer('rows written as COPY BINARY', (server) => {
  const cases = typeCases(server.major).filter(
    // Neither has a binary form here.
    ({ column: { type } }) => type.kind !== 'list' && !(type.kind === 'timestamp' && type.unit === 'ns'),
  )
  const decoders = cases.map(({ column }) => column)
  const columns = decoders.map((column): CopyColumn => ({ field: column, target: targetOf(column) }))
  let database: TestDatabase
  let payload: Buffer

  beforeAll(async () => {
    database = await server.createDatabase()
    await database.sql(TEXT_SETTINGS)
    const random = seededRandom(SEED + server.major)
    const inputs = cases.map((test) =>
      Array.from({ length: ROWS }, (_, row) =>
        row < test.extremes.length ? test.extremes[row]! : random.next() < 0.1 ? null : test.random(random),
      ),
    )
    await database.sql(
      `CREATE TABLE t (id integer, ${cases.map(({ column, sqlType }) => `"${column.name}" ${sqlType}`).join(', ')})`,
    )
    await database.sql(
      `INSERT INTO t SELECT n, ${cases.map(({ sqlType }, i) => `v${i}::${sqlType}`).join(', ')}
         FROM unnest(${cases.map((_, i) => `$${i + 1}::text[]`).join(', ')})
              WITH ORDINALITY AS u(${cases.map((_, i) => `v${i}`).join(', ')}, n)`,
      inputs,
    )
    const selected = cases.map(({ column, expression }) => `${expression ?? `"${column.name}"`}`).join(', ')
    payload = await captureCopy(database.url, `SELECT ${selected} FROM t ORDER BY id`)
  })

  it('are, to the byte, what the server sent of every type that is decoded', () => {
    expect(chooseCopyForm(columns)).toBe('binary')
    for (const batchBytes of [20_000, 8 * 1024 * 1024]) {
      const written = encodeAll(columns, decodeAll(decoders, payload, { batchBytes }))
      expect(written.equals(payload)).toBe(true)
    }
  })

  it('are those of rows that were not decoded', () => {
    const rows = payload.subarray(19, -2)
    const buffer = new Uint8Array(rows).buffer
    const tuples = { offset: 0, length: rows.length }
    const batch: Batch = { fields: decoders, rowCount: ROWS, columns: [], buffer, tuples }
    expect(encodeBy(createTupleEncoder(), [batch]).equals(payload)).toBe(true)
    for (const form of ['binary', 'text'] as const) {
      expect(() => encodeBy(createCopyEncoder(columns, form), [batch])).toThrow(
        expect.objectContaining({ code: 'INTERNAL' }),
      )
    }
  })
})

onNewestServer('numbers of any length written as COPY BINARY', (server) => {
  it('are those that the server sends for the same text', async () => {
    const database = await server.createDatabase()
    const digits = fc.stringMatching(/^[0-9]{1,30}$/)
    const number = fc
      .tuple(fc.constantFrom('', '-'), digits, fc.option(fc.stringMatching(/^[0-9]{1,30}$/)))
      .map(([sign, whole, fraction]) => `${sign}${whole}${fraction === null ? '' : `.${fraction}`}`)
    const texts = [
      ...fc.sample(number, { numRuns: 1500, seed: 5 }),
      ...['NaN', '0', '-0', '0.000', '10000', '100000000.00010000', '0.00001', '9999.9999'],
      `${'9'.repeat(3000)}.${'1'.repeat(3001)}`,
    ]
    await database.sql('CREATE TABLE t (id serial, n numeric)')
    await database.sql('INSERT INTO t (n) SELECT * FROM unnest($1::text[]::numeric[])', [texts])
    const printed = await database.sql('SELECT n FROM t ORDER BY id')
    const field = { name: 'n', type: { kind: 'text' }, nullable: true } as const
    const rows = printed.map(({ n }) => [n ?? null])
    const written = encodeAll([{ field, target: 'numeric' }], [buildBatch([field], [...rows, [null]])])
    const sent = await captureCopy(
      database.url,
      'SELECT n FROM (SELECT id, n FROM t UNION ALL SELECT 1000000, NULL) AS u ORDER BY id',
    )
    expect(written.equals(sent)).toBe(true)
  })

  it.each(['', '-', '.', '1e5', '1.2.3', 'nan', ' 1', '--1', 'Infinit'])(
    'are refused where the text %j is none',
    (text) => {
      const field = { name: 'n', type: { kind: 'text' }, nullable: true } as const
      expect(() => encodeAll([{ field, target: 'numeric' }], [buildBatch([field], [[text]])])).toThrow(
        expect.objectContaining({ code: 'VALUE_UNREPRESENTABLE' }),
      )
    },
  )
})

onNewestServer('rows of every target that a kind has', (server) => {
  let database: TestDatabase
  beforeAll(async () => {
    database = await server.createDatabase()
    await database.sql("CREATE TYPE mood AS ENUM ('sad', 'happy')")
  })

  const int16 = { kind: 'int', bits: 16 } as const
  const int32 = { kind: 'int', bits: 32 } as const
  const int64 = { kind: 'int', bits: 64 } as const
  it.each([
    [int16, 'int4', 'int4', [-32768, 32767, null]],
    [int16, 'int8', 'int8', [-32768, 32767, null]],
    [int32, 'int8', 'int8', [-2147483648, 2147483647, null]],
    [int64, 'oid', 'oid', [0n, 4294967295n, null]],
    // How many decimals an infinity shows is noise in what a server sends, so these are compared landed.
    [{ kind: 'text' }, 'numeric', 'numeric', ['NaN', 'Infinity', '-Infinity', '1.50', null]],
    [{ kind: 'text' }, 'json', 'json', ['{"a": [1,  2]}', null]],
    [{ kind: 'text' }, 'xml', 'xml', ['<a>é</a>', null]],
    [{ kind: 'text' }, 'enum', 'mood', ['happy', 'sad', null]],
    [{ kind: 'text' }, 'bpchar', 'char(5)', ['ab   ', null]],
    [{ kind: 'json' }, 'jsonb', 'jsonb', ['{"a": 1}', null]],
    [{ kind: 'json' }, 'text', 'text', ['{"a":1}', null]],
    [{ kind: 'binary' }, 'bytea', 'bytea', [Uint8Array.of(0, 255), new Uint8Array(0), null]],
  ] as const)('%j as %s land as they are', async (type, target, sqlType, values) => {
    const field = { name: 'v', type, nullable: true }
    await using connection = await open(database.url)
    await connection.execute(`CREATE TEMP TABLE landed (v ${sqlType})`)
    const copy = await connection.copyIn('COPY landed (v) FROM STDIN (FORMAT binary)', {
      stallTimeoutMs: 60_000,
    })
    await copy.write(
      encodeAll(
        [{ field, target }],
        [
          buildBatch(
            [field],
            values.map((value) => [value]),
          ),
        ],
      ),
    )
    expect(await copy.finish()).toBe(values.length)
    const [landed] = await connection.query<{ v: (string | null)[] }>(
      `SELECT array_agg(CASE WHEN v IS NOT NULL THEN format('%s', v) END) AS v FROM landed`,
    )
    const texts = values.map((value) =>
      value === null
        ? null
        : value instanceof Uint8Array
          ? `\\x${Buffer.from(value).toString('hex')}`
          : String(value),
    )
    expect(landed?.v).toEqual(texts)
  })

  it('are refused where a number is no oid', () => {
    const field = { name: 'v', type: int64, nullable: true }
    expect(() => encodeAll([{ field, target: 'oid' }], [buildBatch([field], [[4294967296n]])])).toThrow(
      expect.objectContaining({ code: 'VALUE_UNREPRESENTABLE' }),
    )
  })
})

describe('long values', () => {
  it('go out as the memory that they are in, between short ones', () => {
    const fields = [
      { name: 'id', type: { kind: 'int', bits: 32 }, nullable: false },
      { name: 'doc', type: { kind: 'json' }, nullable: true },
      { name: 'note', type: { kind: 'text' }, nullable: true },
      { name: 'price', type: { kind: 'decimal', precision: 9, scale: 2 }, nullable: true },
    ] as const
    const columns = fields.map((field, index): CopyColumn => ({
      field,
      target: ['int4', 'jsonb', 'text', 'numeric'][index]!,
    }))
    const long = 'x'.repeat(1_500_000)
    const rows = [
      [1, '{}', 'a', '1.50'],
      [2, `"${long}"`, null, '-0.01'],
      [3, null, long, null],
      [4, '[]', '', '7.00'],
    ] as const
    const batch = buildBatch(fields, rows)
    const encoder = createCopyEncoder(columns, 'binary')
    const pieces = [...encoder.encode(batch)]
    expect(pieces.filter(({ buffer }) => buffer === batch.buffer).map(({ length }) => length)).toEqual([
      long.length + 2,
      long.length,
    ])
    const apart = rows.map((row) => encodeAll(columns, [buildBatch(fields, [row])]).subarray(19, -2))
    const together = encodeAll(columns, [batch])
    const decoders = fields.map((field, index): DecoderColumn => ({
      ...field,
      wire: (['int4', 'jsonb', 'text', 'numeric'] as const)[index]!,
      unrepresentable: 'error',
    }))
    expect(together.subarray(19, -2).equals(Buffer.concat(apart))).toBe(true)
    expect(decodeAll(decoders, together).reduce((sum, { rowCount }) => sum + rowCount, 0)).toBe(4)
  })
})
