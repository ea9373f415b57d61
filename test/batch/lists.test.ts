import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { toArrow } from '../../src/arrow.js'
import { batchBytes, type Batch } from '../../src/batch/batch.js'
import { buildBatch } from '../../src/batch/build-batch.js'
import { columnFormatter } from '../../src/batch/format-value.js'
import { elementBatch, offsetsOf } from '../../src/batch/list-elements.js'
import { valueBytes } from '../../src/batch/row-range.js'
import { rows, type SingleValue, type Value } from '../../src/batch/rows.js'
import { concatBatches, filterRows, selectColumns } from '../../src/batch/select.js'
import type { Field } from '../../src/model/column-type.js'
import { assembleBatch, copyColumn } from '../../src/transform/assemble.js'
import { emptyColumn } from '../../src/transform/made-columns.js'
import { SAMPLE_FIELDS, sampleBatch } from '../codec/sample-batch.js'

/** A list of each type there is. */
const FIELDS: readonly Field[] = SAMPLE_FIELDS.map(({ name, type }): Field => {
  if (type.kind === 'list') throw new Error(`${name} is a list already`)
  return { name, type: { kind: 'list', element: type }, nullable: true }
})
const SAMPLES = [...rows(sampleBatch(3, false))].map((row) =>
  SAMPLE_FIELDS.map(({ name }) => row[name] as SingleValue),
)

/** Rows of lists: each says which samples it has, 3 being null; null is no list. */
const shapes = fc.array(
  fc.array(fc.option(fc.array(fc.nat(3), { maxLength: 5 }), { freq: 4 }), {
    minLength: FIELDS.length,
    maxLength: FIELDS.length,
  }),
  { maxLength: 20 },
)
const valuesOf = (shape: readonly (readonly (readonly number[] | null)[])[]): Value[][] =>
  shape.map((row) =>
    row.map((list, column) => list?.map((sample) => SAMPLES[sample]?.[column] ?? null) ?? null),
  )
const read = (batch: Batch): Value[][] =>
  [...rows(batch)].map((row) => batch.fields.map(({ name }) => row[name]!))

describe('lists in a batch', () => {
  it('are arrays of what their elements are, and build the batch again', () => {
    fc.assert(
      fc.property(shapes, (shape) => {
        const values = valuesOf(shape)
        const batch = buildBatch(FIELDS, values)
        expect(read(batch)).toEqual(values)
        expect(batchBytes(batch)).toBeLessThanOrEqual(batch.buffer.byteLength)
        const moved = structuredClone(batch)
        expect(read(moved)).toEqual(values)
        expect(buildBatch(FIELDS, read(moved))).toEqual(batch)
      }),
      { numRuns: 60 },
    )
  })

  it('go with their rows where rows are left out, joined or copied', () => {
    fc.assert(
      fc.property(shapes, shapes, fc.infiniteStream(fc.boolean()), (first, second, flags) => {
        const [one, two] = [valuesOf(first), valuesOf(second)]
        const joined = concatBatches([buildBatch(FIELDS, one), buildBatch(FIELDS, two)])
        expect(read(joined)).toEqual([...one, ...two])
        const keep = Uint8Array.from({ length: joined.rowCount }, () => Number(flags.next().value))
        const kept = filterRows(joined, keep)
        expect(read(kept)).toEqual([...one, ...two].filter((_, row) => keep[row] === 1))
        const copied = assembleBatch(
          FIELDS,
          kept.rowCount,
          FIELDS.map((_, index) => copyColumn(kept, index)),
        )
        expect(read(copied)).toEqual(read(kept))
        expect(read(selectColumns(copied, ['id', 'flag']))).toEqual(
          read(kept).map((row) =>
            ['id', 'flag'].map((name) => row[FIELDS.findIndex((field) => field.name === name)]),
          ),
        )
      }),
      { numRuns: 40 },
    )
  })

  it('have elements that are a column of their own', () => {
    const batch = buildBatch(
      [{ name: 'n', type: { kind: 'list', element: { kind: 'int', bits: 32 } }, nullable: true }],
      [[[1, null]], [null], [[]], [[7]]],
    )
    expect([...offsetsOf(batch, 0)]).toEqual([0, 2, 2, 2, 3])
    expect([...rows(elementBatch(batch, 0))]).toEqual([{ n: 1 }, { n: null }, { n: 7 }])
    expect(valueBytes({ batch, start: 0, count: 4 })).toBe(12)
    expect(valueBytes({ batch, start: 1, count: 3 })).toBe(4)
    expect(() => elementBatch(elementBatch(batch, 0), 0)).toThrow(RangeError)
  })

  it('can be nothing but null, as a mask leaves them', () => {
    const batch = assembleBatch(
      FIELDS,
      3,
      FIELDS.map((field) => emptyColumn(field, 3)),
    )
    expect(read(batch)).toEqual(Array.from({ length: 3 }, () => FIELDS.map(() => null)))
    expect(read(filterRows(batch, Uint8Array.of(1, 0, 1)))).toHaveLength(2)
  })

  it('are refused where no array is given, or one of what their elements are not', () => {
    const field: Field = {
      name: 'n',
      type: { kind: 'list', element: { kind: 'int', bits: 16 } },
      nullable: true,
    }
    expect(() => buildBatch([field], [[1]])).toThrow(RangeError)
    expect(() => buildBatch([field], [[[32768]]])).toThrow(RangeError)
  })
})

describe('lists as text', () => {
  const FIELD: Field = { name: 'words', type: { kind: 'list', element: { kind: 'text' } }, nullable: true }
  const batch = buildBatch(
    [FIELD, { name: 'ratios', type: { kind: 'list', element: { kind: 'float', bits: 64 } }, nullable: true }],
    [
      [
        ['a', 'b c', '', 'null', 'NULLs', null, '"q"', '\\', '{}', ',', 'ü\n'],
        [1.5, -0, NaN, null],
      ],
      [[], []],
      [null, null],
    ],
  )

  it('are what the server prints', () => {
    const format = columnFormatter(batch, 0)
    expect([0, 1, 2].map(format)).toEqual([
      '{a,"b c","","null",NULLs,NULL,"\\"q\\"","\\\\","{}",",","ü\n"}',
      '{}',
      null,
    ])
  })
})

describe('lists in Arrow', () => {
  it('are List columns over the same memory, of every type of element', () => {
    const values = valuesOf(
      Array.from({ length: 12 }, (_, row) =>
        FIELDS.map((_, column) =>
          (row + column) % 5 === 0
            ? null
            : Array.from({ length: (row + column) % 4 }, (_, at) => (row + 3 * at) % 4),
        ),
      ),
    )
    const batch = buildBatch(FIELDS, values)
    const arrow = toArrow(batch)
    expect(String(arrow.schema.fields[0]!.type)).toBe('List<Bool>')
    for (const name of ['small', 'medium', 'large', 'name', 'flag']) {
      const index = FIELDS.findIndex((field) => field.name === name)
      const vector = arrow.getChild(name)!
      const found = Array.from({ length: batch.rowCount }, (_, row) => {
        const list = vector.get(row) as Iterable<unknown> | null
        return list === null ? null : Array.from(list)
      })
      expect(found, name).toEqual(values.map((row) => row[index]))
    }
  })
})
