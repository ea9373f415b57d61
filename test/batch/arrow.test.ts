import { RecordBatch, tableFromIPC, tableToIPC, Table, type Vector } from 'apache-arrow'
import { describe, expect, it } from 'vitest'
import { toArrow } from '../../src/arrow.js'
import { buildBatch } from '../../src/batch/build-batch.js'
import { columnReader } from '../../src/batch/column-reader.js'
import { textOf } from '../../src/batch/format-value.js'
import { captureError } from '../codec/capture-error.js'
import { SAMPLE_FIELDS, sampleBatch } from '../codec/sample-batch.js'

/** What a column's stored value is in Arrow. */
function arrowValue(kind: string, stored: unknown): unknown {
  if (stored === null) return null
  switch (kind) {
    case 'interval': {
      const { months, days, micros } = stored as { months: number; days: number; micros: bigint }
      return `${months} ${days} ${micros * 1000n}`
    }
    case 'text':
    case 'json':
      return textOf(stored as Uint8Array)
    case 'uuid':
    case 'binary':
      return Buffer.from(stored as Uint8Array).toString('hex')
    default:
      return stored
  }
}

/** A value out of the vector's own memory, past the conversions of its accessors. */
function rawValue(kind: string, vector: Vector, row: number): unknown {
  if (!vector.isValid(row)) return null
  const values = vector.data[0]!.values as Int32Array | BigInt64Array
  switch (kind) {
    case 'date':
      return values[row]
    case 'time':
    case 'timestamp':
      return values[row]
    case 'decimal': {
      const words = Uint32Array.from((values as Int32Array).subarray(4 * row, 4 * row + 4))
      const [low = 0n, high = 0n] = new BigInt64Array(words.buffer)
      return (high << 64n) | BigInt.asUintN(64, low)
    }
    case 'interval': {
      const words = Int32Array.from((values as Int32Array).subarray(4 * row, 4 * row + 4))
      return `${words[0]} ${words[1]} ${new BigInt64Array(words.buffer)[1]}`
    }
    case 'uuid':
    case 'binary':
      return Buffer.from(vector.get(row) as Uint8Array).toString('hex')
    default:
      return vector.get(row)
  }
}

describe('an Arrow record batch', () => {
  const types = {
    flag: 'Bool',
    small: 'Int16',
    medium: 'Int32',
    large: 'Int64',
    single: 'Float32',
    double: 'Float64',
    price: 'Decimal[9e+2]',
    amount: 'Decimal[18e+3]',
    total: 'Decimal[38e+10]',
    day: 'Date32<DAY>',
    at_time: 'Time64<MICROSECOND>',
    local: 'Timestamp<MICROSECOND>',
    instant: 'Timestamp<MICROSECOND, UTC>',
    span: 'Interval<MONTH_DAY_NANO>',
    name: 'Utf8',
    document: 'Utf8',
    id: 'FixedSizeBinary[16]',
    content: 'Binary',
  }

  it.each([
    ['without nulls', false],
    ['with nulls', true],
  ])('holds every value, %s, also after a trip through IPC', (_, nulls) => {
    const batch = sampleBatch(20, nulls)
    const direct = toArrow(batch)
    expect(direct).toBeInstanceOf(RecordBatch)
    expect(Object.fromEntries(direct.schema.fields.map((field) => [field.name, String(field.type)]))).toEqual(
      types,
    )
    const shipped = tableFromIPC(tableToIPC(new Table([direct]))).batches[0]!
    for (const landed of [direct, shipped]) {
      expect(landed.numRows).toBe(20)
      SAMPLE_FIELDS.forEach(({ name, type }, index) => {
        const vector = landed.getChildAt(index)!
        const read = columnReader(batch, index)
        expect(vector.nullCount).toBe(batch.columns[index]!.nullCount)
        for (let row = 0; row < 20; row++) {
          expect(rawValue(type.kind, vector, row), `${name} of row ${row}`).toEqual(
            arrowValue(type.kind, read(row)),
          )
        }
      })
    }
  })

  it('lies over the memory of the batch where the layouts agree', () => {
    const batch = sampleBatch(20, true)
    const shared = toArrow(batch).data.children.map(
      (data) => (data.values as Uint8Array).buffer === batch.buffer,
    )
    const copied = SAMPLE_FIELDS.filter((_, index) => !shared[index]).map((field) => field.name)
    expect(copied).toEqual(['price', 'amount', 'span'])
  })

  it('marks JSON and uuids as what they are, and is readable without rows', () => {
    const { schema, numRows } = toArrow(sampleBatch(0, false))
    expect(numRows).toBe(0)
    const extension = (name: string): unknown =>
      schema.fields.find((field) => field.name === name)!.metadata.get('ARROW:extension:name')
    expect([extension('document'), extension('id'), extension('name')]).toEqual([
      'arrow.json',
      'arrow.uuid',
      undefined,
    ])
  })

  it('refuses an interval that nanoseconds cannot hold', () => {
    const fields = [{ name: 'span', type: { kind: 'interval' }, nullable: true }] as const
    const error = captureError(() => toArrow(buildBatch(fields, [['PT2562048H']])))
    expect(error).toMatchObject({ code: 'VALUE_UNREPRESENTABLE', context: { field: 'span' } })
  })
})
