import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { buildBatch } from '../../src/batch/build-batch.js'
import {
  civilFromDays,
  daysFromCivil,
  formatDate,
  formatTimestamp,
  parseDate,
  parseTimestamp,
} from '../../src/batch/calendar.js'
import { formatFloat } from '../../src/batch/format-float.js'
import { columnFormatter, formatValue } from '../../src/batch/format-value.js'
import { readValue, rows } from '../../src/batch/rows.js'
import { concatBatches, dropColumns, filterRows, selectColumns } from '../../src/batch/select.js'
import type { Batch } from '../../src/batch/batch.js'
import type { Field } from '../../src/model/column-type.js'
import { SAMPLE_FIELDS, sampleBatch } from '../codec/sample-batch.js'

const texts = (batch: Batch): (string | null)[][] => {
  const formats = batch.fields.map((_, index) => columnFormatter(batch, index))
  return Array.from({ length: batch.rowCount }, (_, row) => formats.map((format) => format(row)))
}

describe('rows', () => {
  it('are objects of the documented JavaScript types', () => {
    expect([...rows(sampleBatch(1, false))]).toEqual([
      {
        flag: true,
        small: -32768,
        medium: -2147483648,
        large: -9223372036854775808n,
        single: -0,
        double: NaN,
        price: '-9999999.99',
        amount: '-999999999999999.999',
        total: '-9999999999999999999999999999.9999999999',
        day: '-004712-01-01',
        at_time: '00:00:00',
        local: '-infinity',
        instant: 'infinity',
        span: 'P-178956970Y-8M-2147483648D',
        name: '',
        document: '{"a": [1, null]}',
        id: '00000000-0000-0000-0000-000000000000',
        content: new Uint8Array(0),
      },
    ])
  })

  it('build the batch they came from', () => {
    for (const batch of [sampleBatch(0, false), sampleBatch(100, false), sampleBatch(100, true)]) {
      const values = [...rows(batch)].map((row) => SAMPLE_FIELDS.map((field) => row[field.name]!))
      expect(buildBatch(SAMPLE_FIELDS, values)).toEqual(batch)
    }
  })

  it('keep a column called __proto__', () => {
    const fields: Field[] = [{ name: '__proto__', type: { kind: 'int', bits: 32 }, nullable: false }]
    const [row] = rows(buildBatch(fields, [[7]]))
    expect(Object.entries(row!)).toEqual([['__proto__', 7]])
  })

  it('do not share the memory of binary values', () => {
    const batch = sampleBatch(3, false)
    const value = readValue(batch, SAMPLE_FIELDS.length - 1, 1) as Uint8Array
    value[0] = 9
    expect(readValue(batch, SAMPLE_FIELDS.length - 1, 1)).toEqual(Uint8Array.of(0, 255, 128))
  })

  it('are refused for values that are not of their type', () => {
    const build = (type: Field['type'], value: string | number | bigint) => () =>
      buildBatch([{ name: 'x', type, nullable: true }], [[value]])
    expect(build({ kind: 'int', bits: 16 }, 32768)).toThrow(RangeError)
    expect(build({ kind: 'int', bits: 64 }, 1n << 63n)).toThrow(RangeError)
    expect(build({ kind: 'decimal', precision: 4, scale: 2 }, '100.00')).toThrow(RangeError)
    expect(build({ kind: 'decimal', precision: 4, scale: 2 }, '1.001')).toThrow(RangeError)
    expect(build({ kind: 'date' }, 'yesterday')).toThrow(RangeError)
    expect(build({ kind: 'uuid' }, '0')).toThrow(RangeError)
    expect(build({ kind: 'interval' }, '1 day')).toThrow(RangeError)
  })
})

describe('parts of a batch', () => {
  const batch = sampleBatch(50, true)

  it('are columns over the same memory', () => {
    const part = selectColumns(batch, ['name', 'flag'])
    expect(part.buffer).toBe(batch.buffer)
    expect([...rows(part)]).toEqual([...rows(batch)].map(({ name, flag }) => ({ name, flag })))
    expect(dropColumns(batch, ['large', 'nothing']).fields).toEqual(
      SAMPLE_FIELDS.filter((field) => field.name !== 'large'),
    )
    expect(() => selectColumns(batch, ['nothing'])).toThrow(RangeError)
  })

  it('are the rows that are kept', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 50, maxLength: 50, max: 1 }), (keep) => {
        expect(texts(filterRows(batch, keep))).toEqual(texts(batch).filter((_, row) => keep[row] === 1))
      }),
      { numRuns: 50 },
    )
    expect(filterRows(batch, new Uint8Array(50).fill(1))).toBe(batch)
    expect(filterRows(batch, new Uint8Array(50))).toMatchObject({ rowCount: 0 })
  })

  it('drop the bitmap of a column whose nulls are not kept', () => {
    const flags = texts(batch).map(([flag]) => flag)
    const kept = filterRows(
      batch,
      Uint8Array.from(flags, (flag) => (flag === null ? 0 : 1)),
    )
    expect(kept.columns[0]).toMatchObject({ nullCount: 0, validity: null })
    expect(kept.columns[1]!.nullCount).toBeGreaterThan(0)
  })

  it('are put together in order', () => {
    const parts = [sampleBatch(3, false), batch, sampleBatch(0, false), sampleBatch(9, true)]
    const joined = concatBatches(parts)
    expect(texts(joined)).toEqual(parts.flatMap(texts))
    expect(joined.columns.map((column) => column.nullCount)).toEqual(
      SAMPLE_FIELDS.map((_, index) => parts.reduce((sum, part) => sum + part.columns[index]!.nullCount, 0)),
    )
    expect(concatBatches([batch])).toBe(batch)
    expect(() => concatBatches([])).toThrow(RangeError)
  })
})

describe('dates', () => {
  it('are those of Date where it has them', () => {
    fc.assert(
      fc.property(fc.integer({ min: -100_000_000, max: 100_000_000 }), (days) => {
        const date = new Date(days * 86_400_000)
        const { year, month, day } = civilFromDays(days)
        expect([year, month, day]).toEqual([date.getUTCFullYear(), date.getUTCMonth() + 1, date.getUTCDate()])
        expect(daysFromCivil(year, month, day)).toBe(days)
        expect(`${formatDate(days, 'iso')}T00:00:00.000Z`).toBe(date.toISOString())
      }),
    )
  })

  it('are read back from both forms over their whole range', () => {
    fc.assert(
      fc.property(fc.integer({ min: -2_147_483_647, max: 2_147_483_647 }), (days) => {
        expect(parseDate(formatDate(days, 'iso'))).toBe(days)
        expect(parseDate(formatDate(days, 'server'))).toBe(days)
      }),
    )
    fc.assert(
      fc.property(
        fc.bigInt({ min: -9223372036854775807n, max: 9223372036854775807n }),
        fc.boolean(),
        (micros, utc) => {
          expect(parseTimestamp(formatTimestamp(micros, utc, 'iso'))).toBe(micros)
          expect(parseTimestamp(formatTimestamp(micros, utc, 'server'))).toBe(micros)
        },
      ),
    )
  })
})

describe('floats', () => {
  const printed: readonly [value: number, bits: 32 | 64, text: string, why: string][] = [
    [-143826.625, 32, '-143826.62', 'a tie goes to the even digit'],
    [-40644368, 32, '-4.0644368e+07', 'half way to a neighbour does not count'],
    [31174563197419048, 64, '3.1174563197419048e+16', 'half way to a neighbour does not count'],
    [9007199254740994, 64, '9.007199254740994e+15', 'beyond exact integers'],
    [5e-324, 64, '5e-324', 'the smallest'],
    [1.1754943508222875e-38, 32, '1.1754944e-38', 'the smallest normal one'],
    [8388608, 32, '8.388608e+06', 'a power of two, whose lower neighbour is nearer'],
    [123456, 32, '123456', 'the last fixed ones'],
    [0.0001, 64, '0.0001', 'the first fixed ones'],
    [-0, 64, '-0', 'minus zero'],
  ]

  it.each(printed)('%d of %i bits are %s: %s', (value, bits, text) => {
    expect(formatFloat(value, bits)).toBe(text)
  })

  it('read back as themselves', () => {
    fc.assert(
      fc.property(fc.double({ noNaN: true }), (value) => {
        expect(Number(formatFloat(value, 64))).toBe(value)
      }),
    )
    fc.assert(
      fc.property(fc.float({ noNaN: true }), (value) => {
        expect(Math.fround(Number(formatFloat(value, 32)))).toBe(value)
      }),
    )
  })
})

it('a single value is formatted like its column', () => {
  const batch = sampleBatch(3, false)
  expect(formatValue(batch, 3, 1)).toBe('9223372036854775807')
  expect(formatValue(sampleBatch(3, true), 0, 0)).toBe('t')
  expect(formatValue(sampleBatch(4, true), 0, 3)).toBeNull()
})
