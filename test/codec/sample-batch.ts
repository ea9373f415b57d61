/** One column of every kind with its extremes, to send through anything that takes batches. */
import { buildBatch } from '../../src/batch/build-batch.js'
import type { Batch } from '../../src/batch/batch.js'
import type { Value } from '../../src/batch/rows.js'
import type { ColumnType, Field } from '../../src/model/column-type.js'

const SAMPLES: readonly (readonly [name: string, type: ColumnType, values: readonly Value[]])[] = [
  ['flag', { kind: 'bool' }, [true, false, true]],
  ['small', { kind: 'int', bits: 16 }, [-32768, 32767, 0]],
  ['medium', { kind: 'int', bits: 32 }, [-2147483648, 2147483647, 0]],
  ['large', { kind: 'int', bits: 64 }, [-9223372036854775808n, 9223372036854775807n, 0n]],
  ['single', { kind: 'float', bits: 32 }, [-0, Infinity, 1.5]],
  ['double', { kind: 'float', bits: 64 }, [NaN, -Infinity, 1e-300]],
  ['price', { kind: 'decimal', precision: 9, scale: 2 }, ['-9999999.99', '9999999.99', '0.01']],
  [
    'amount',
    { kind: 'decimal', precision: 18, scale: 3 },
    ['-999999999999999.999', '999999999999999.999', '0.000'],
  ],
  [
    'total',
    { kind: 'decimal', precision: 38, scale: 10 },
    ['-9999999999999999999999999999.9999999999', '9999999999999999999999999999.9999999999', '-0.0000000001'],
  ],
  ['day', { kind: 'date' }, ['-004712-01-01', 'infinity', '2024-02-29']],
  ['at_time', { kind: 'time' }, ['00:00:00', '24:00:00', '23:59:59.999999']],
  [
    'local',
    { kind: 'timestamp', utc: false },
    ['-infinity', '+294246-12-31T23:59:59.999999', '1969-12-31T23:59:59.999999'],
  ],
  [
    'instant',
    { kind: 'timestamp', utc: true },
    ['infinity', '-004712-01-01T00:00:00Z', '2024-02-29T12:00:00Z'],
  ],
  ['span', { kind: 'interval' }, ['P-178956970Y-8M-2147483648DT0S', 'PT0S', 'P1Y2M-3DT4H5M6.789012S']],
  ['name', { kind: 'text' }, ['', 'Größe 😀', 'x'.repeat(1000)]],
  ['document', { kind: 'json' }, ['{"a": [1, null]}', 'null', '"ü"']],
  [
    'id',
    { kind: 'uuid' },
    [
      '00000000-0000-0000-0000-000000000000',
      'ffffffff-ffff-ffff-ffff-ffffffffffff',
      '00112233-4455-6677-8899-aabbccddeeff',
    ],
  ],
  [
    'content',
    { kind: 'binary' },
    [new Uint8Array(0), Uint8Array.of(0, 255, 128), Uint8Array.from({ length: 300 }, (_, i) => i)],
  ],
]

export const SAMPLE_FIELDS: readonly Field[] = SAMPLES.map(([name, type]) => ({ name, type, nullable: true }))

/** `nulls`: from the second row on, every third value is null, each column at another row. */
export function sampleBatch(rowCount: number, nulls: boolean): Batch {
  return buildBatch(
    SAMPLE_FIELDS,
    Array.from({ length: rowCount }, (_, row) =>
      SAMPLES.map(([, , values], index) =>
        nulls && row > 0 && (row + index) % 3 === 0 ? null : values[row % values.length]!,
      ),
    ),
  )
}
