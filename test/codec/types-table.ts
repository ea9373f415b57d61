/** Batches with a column of every kind, their extremes in it: what every reader of a format has to find again. */
import type { Batch } from '../../src/batch/batch.js'
import { buildBatch } from '../../src/batch/build-batch.js'
import type { Value } from '../../src/batch/rows.js'
import type { ElementType, Field } from '../../src/model/column-type.js'
import { SAMPLE_FIELDS, sampleBatch } from './sample-batch.js'

export const nullable = (name: string, type: Field['type']): Field => ({ name, type, nullable: true })

export const text: ElementType = { kind: 'text' }
export const int = (bits: 16 | 32 | 64): ElementType => ({ kind: 'int', bits })
export const decimal = (precision: number, scale: number): ElementType => ({
  kind: 'decimal',
  precision,
  scale,
})

/** More of the types table: decimals at the edges of their storage, timestamps in nanoseconds, lists of all kinds. */
const EXTRA: readonly (readonly [type: Field['type'], values: readonly Value[]])[] = [
  ...[1, 9, 10, 18, 19, 28, 38].map((precision): [ElementType, Value[]] => [
    decimal(precision, 0),
    ['9'.repeat(precision), `-${'9'.repeat(precision)}`, '0', null],
  ]),
  [
    { kind: 'timestamp', utc: false, unit: 'ns' },
    ['1970-01-01T00:00:00.000001', '2262-04-11T23:47:16.854775', '1677-09-22T00:00:00', 'infinity'],
  ],
  [{ kind: 'timestamp', utc: true, unit: 'ns' }, ['2024-02-29T12:00:00Z', '-infinity', null]],
  [{ kind: 'list', element: int(64) }, [[1n, null, -1n], [], null, [2n ** 63n - 1n]]],
  [{ kind: 'list', element: int(16) }, [[], [], [1], [null]]],
  [{ kind: 'list', element: text }, [['a', '', null, 'ü'], null, []]],
  [{ kind: 'list', element: { kind: 'bool' } }, [[true, null, false], [null], null]],
  [{ kind: 'list', element: { kind: 'interval' } }, [['P1Y2M3DT4.5S', null], [], null]],
  [{ kind: 'list', element: { kind: 'uuid' } }, [['00112233-4455-6677-8899-aabbccddeeff'], null]],
  [{ kind: 'list', element: decimal(25, 3) }, [['-1.5', null, '12345678901234567890.125'], []]],
]

export function typesTable(rowCount: number, nulls: boolean): { fields: Field[]; batch: Batch } {
  const sample = sampleBatch(rowCount, nulls)
  const fields = EXTRA.map(([type], index) => nullable(`extra${index}`, type))
  const extra = buildBatch(
    fields,
    Array.from({ length: rowCount }, (_, row) => EXTRA.map(([, values]) => values[row % values.length]!)),
  )
  // Both in one buffer, as a batch is.
  const shift = (sample.buffer.byteLength + 7) & ~7
  const buffer = new ArrayBuffer(shift + extra.buffer.byteLength)
  new Uint8Array(buffer).set(new Uint8Array(sample.buffer))
  new Uint8Array(buffer).set(new Uint8Array(extra.buffer), shift)
  const moved = extra.columns.map((column) => moveColumn(column, shift))
  const all = [...SAMPLE_FIELDS, ...fields]
  return { fields: all, batch: { fields: all, rowCount, columns: [...sample.columns, ...moved], buffer } }
}

type Column = Batch['columns'][number]
function moveColumn(column: Column, by: number): Column {
  const move = <S extends Column['validity']>(span: S): S =>
    span === null ? span : { ...span, offset: span.offset + by }
  return {
    ...column,
    validity: move(column.validity),
    offsets: move(column.offsets),
    values: move(column.values),
    ...(column.elements === undefined ? {} : { elements: moveColumn(column.elements, by) }),
  }
}
