import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { ColumnType, Field } from '../../../src/model/column-type.js'
import { DATE_INFINITY, TIMESTAMP_INFINITY } from '../../../src/model/column-type.js'
import { inRun, landingOf, makeCheckpoint, runOf } from '../../../src/testing/landings.js'
import type { Plain } from '../../../src/testing/plain.js'
import { makeBatch } from '../../../src/testing/make-batch.js'
import type { DuckDbPlace } from './duckdb-place.js'
import { makeDuckDbPlace } from './duckdb-place.js'

/** Each type, its DuckDB type, and values with the text that DuckDB prints for them. */
const TYPES: readonly (readonly [ColumnType, string, readonly (readonly [Plain, string])[]])[] = [
  [
    { kind: 'bool' },
    'BOOLEAN',
    [
      [true, 'true'],
      [false, 'false'],
    ],
  ],
  [
    { kind: 'int', bits: 16 },
    'SMALLINT',
    [
      [-32768, '-32768'],
      [32767, '32767'],
    ],
  ],
  [
    { kind: 'int', bits: 32 },
    'INTEGER',
    [
      [-2147483648, '-2147483648'],
      [2147483647, '2147483647'],
    ],
  ],
  [
    { kind: 'int', bits: 64 },
    'BIGINT',
    [
      [-(2n ** 63n), '-9223372036854775808'],
      [2n ** 63n - 1n, '9223372036854775807'],
    ],
  ],
  [
    { kind: 'float', bits: 32 },
    'FLOAT',
    [
      [-0, '-0.0'],
      [NaN, 'nan'],
      [Infinity, 'inf'],
      [1.5, '1.5'],
    ],
  ],
  [
    { kind: 'float', bits: 64 },
    'DOUBLE',
    [
      [-0, '-0.0'],
      [NaN, 'nan'],
      [-Infinity, '-inf'],
      [5e-324, '5e-324'],
      [0.1, '0.1'],
    ],
  ],
  [
    { kind: 'decimal', precision: 4, scale: 1 },
    'DECIMAL(4,1)',
    [
      ['-999.9', '-999.9'],
      ['0.1', '0.1'],
    ],
  ],
  [{ kind: 'decimal', precision: 9, scale: 9 }, 'DECIMAL(9,9)', [['0.999999999', '.999999999']]],
  [
    { kind: 'decimal', precision: 18, scale: 0 },
    'DECIMAL(18,0)',
    [['-999999999999999999', '-999999999999999999']],
  ],
  [
    { kind: 'decimal', precision: 38, scale: 10 },
    'DECIMAL(38,10)',
    [
      ['-9999999999999999999999999999.9999999999', '-9999999999999999999999999999.9999999999'],
      ['0.0000000001', '0.0000000001'],
    ],
  ],
  [
    { kind: 'date' },
    'DATE',
    [
      [0, '1970-01-01'],
      [DATE_INFINITY, 'infinity'],
      [-DATE_INFINITY, '-infinity'],
      [2145042905, '5874897-12-31'],
      [-2440588, '4714-11-24 (BC)'],
    ],
  ],
  [
    { kind: 'time' },
    'TIME',
    [
      [0n, '00:00:00'],
      [86_400_000_000n, '24:00:00'],
      [1n, '00:00:00.000001'],
    ],
  ],
  [
    { kind: 'timestamp', utc: false },
    'TIMESTAMP',
    [
      [0n, '1970-01-01 00:00:00'],
      [TIMESTAMP_INFINITY, 'infinity'],
      [-TIMESTAMP_INFINITY, '-infinity'],
      [-210866803200000000n, '4714-11-24 (BC) 00:00:00'],
      [9223372036854775806n, '294247-01-10 04:00:54.775806'],
    ],
  ],
  [
    { kind: 'timestamp', utc: true },
    'TIMESTAMP WITH TIME ZONE',
    [
      [0n, '1970-01-01 00:00:00+00'],
      [TIMESTAMP_INFINITY, 'infinity'],
      [-TIMESTAMP_INFINITY, '-infinity'],
    ],
  ],
  [
    { kind: 'interval' },
    'INTERVAL',
    [
      [[1, 0, 0n], '1 month'],
      [[0, 30, 0n], '30 days'],
      [[-13, 5, -1n], '-1 year -1 month 5 days -00:00:00.000001'],
      [[2147483647, -2147483648, 0n], '178956970 years 7 months -2147483648 days'],
      [[0, 0, 2n ** 63n - 1n], '2562047788:00:54.775807'],
    ],
  ],
  [
    { kind: 'text' },
    'VARCHAR',
    [
      ['', ''],
      ['ünïcödé 🎉 longer than twelve bytes', 'ünïcödé 🎉 longer than twelve bytes'],
      ['a\u0001b', 'a\u0001b'],
    ],
  ],
  [
    { kind: 'json' },
    'JSON',
    [
      ['{"b": 1,  "a": 2, "a": 3}', '{"b": 1,  "a": 2, "a": 3}'],
      ['"x"', '"x"'],
    ],
  ],
  [
    { kind: 'uuid' },
    'UUID',
    [
      ['00000000-0000-0000-0000-000000000000', '00000000-0000-0000-0000-000000000000'],
      ['ffffffff-ffff-ffff-8000-0123456789ab', 'ffffffff-ffff-ffff-8000-0123456789ab'],
      ['7fffffff-0000-4000-8000-000000000001', '7fffffff-0000-4000-8000-000000000001'],
    ],
  ],
  [
    { kind: 'binary' },
    'BLOB',
    [
      [new Uint8Array(), ''],
      [Uint8Array.of(0, 255, 39), '\\x00\\xFF\\x27'],
    ],
  ],
]

describe('DuckDB values', () => {
  let place: DuckDbPlace
  beforeEach(async () => {
    place = await makeDuckDbPlace()
  })
  afterEach(() => place.remove())

  it.each(TYPES.map((entry) => [entry[1], ...entry] as const))(
    'keeps %s exactly, nulls between',
    async (_title, type, duckDbType, values) => {
      const fields: Field[] = [
        { name: 'id', type: { kind: 'int', bits: 32 }, nullable: false },
        { name: 'v', type, nullable: true },
      ]
      const rows = [...values, [null, null] as const]
      const batch = makeBatch(
        fields,
        rows.map(([value], index) => [index, value]),
      )
      const destination = place.create()
      await inRun(destination, runOf(), async () => {
        const writer = await destination.begin(landingOf({ fields }))
        await writer.write(batch)
        await writer.commit(makeCheckpoint('1'))
      })
      // Through the staging table as well.
      await inRun(destination, runOf(), async () => {
        const writer = await destination.begin(landingOf({ fields, expectedRunSeq: 1 }))
        await writer.write(
          makeBatch(
            fields,
            rows.map(([value], index) => [index + 100, value]),
          ),
        )
        await writer.commit(makeCheckpoint('2'))
      })
      const found = await place.query('SELECT id, v::VARCHAR, typeof(v) FROM db.public.orders ORDER BY id')
      const texts = rows.map(([, text]) => text)
      expect(found.map((row) => row[1])).toEqual([...texts, ...texts])
      expect(found[0]?.[2]).toBe(duckDbType)
    },
  )

  it('keeps every row of many odd batches, on one thread and on several', async () => {
    const fields: Field[] = [
      { name: 'id', type: { kind: 'int', bits: 32 }, nullable: false },
      { name: 'flag', type: { kind: 'bool' }, nullable: true },
      { name: 'note', type: { kind: 'text' }, nullable: true },
    ]
    const { createDuckDbDestination } = await import('../../../src/destination/duckdb/duckdb-destination.js')
    const total = 300_000
    for (const threads of [1, 3]) {
      const destination = createDuckDbDestination({ path: place.file, publish: 'direct', threads })
      await inRun(destination, runOf(), async (state) => {
        const runSeq = state.streams.get('public.orders')?.runSeq ?? 0
        const writer = await destination.begin(
          landingOf({ fields, landing: 'replace', generation: threads, expectedRunSeq: runSeq }),
        )
        for (let id = 0; id < total;) {
          const count = Math.min(total - id, 1 + ((id * 7919) % 50_021))
          const from = id
          await writer.write(
            makeBatch(
              fields,
              Array.from({ length: count }, (_, index) => {
                const row = from + index
                return [row, row % 5 === 0 ? null : row % 2 === 0, row % 7 === 0 ? null : `note ${row}`]
              }),
            ),
          )
          id += count
        }
        await writer.commit(makeCheckpoint('1'))
      })
      expect(
        await place.query(`
          SELECT count(*)::INTEGER, count(DISTINCT id)::INTEGER,
                 count(*) FILTER (flag IS DISTINCT FROM CASE WHEN id % 5 = 0 THEN NULL ELSE id % 2 = 0 END)::INTEGER,
                 count(*) FILTER (note IS DISTINCT FROM CASE WHEN id % 7 = 0 THEN NULL ELSE 'note ' || id END)::INTEGER
          FROM db.public.orders`),
      ).toEqual([[total, total, 0, 0]])
    }
  })
})
