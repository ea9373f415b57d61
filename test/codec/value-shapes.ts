/** Columns that take each way there is through dictionaries, differences and runs of Parquet. */
import type { Batch } from '../../src/batch/batch.js'
import { buildBatch } from '../../src/batch/build-batch.js'
import type { Value } from '../../src/batch/rows.js'
import type { Field } from '../../src/model/column-type.js'
import { decimal, int, nullable, text } from './types-table.js'

/** What encodings DuckDB finds in their pages, where nothing is forbidden. */
export const SHAPES: Readonly<
  Record<string, { type: Field['type']; value: (i: number) => Value; encodings: RegExp }>
> = {
  'numbers that rise': { type: int(64), value: (i) => BigInt(i) * 1000n, encodings: /DELTA_BINARY/ },
  'numbers without order': {
    type: int(32),
    value: (i) => Math.imul(i, 0x9e3779b1),
    encodings: /PLAIN|DELTA/,
  },
  'numbers that fall, below zero': { type: int(32), value: (i) => -3 * i, encodings: /DELTA_BINARY/ },
  'few numbers': { type: int(64), value: (i) => BigInt((i * i) % 7) << 50n, encodings: /RLE_DICTIONARY/ },
  'numbers at both ends': {
    type: int(64),
    value: (i) => (i % 2 === 0 ? 2n ** 63n - 1n - BigInt(i) : BigInt(i) - 2n ** 63n),
    encodings: /^RLE, PLAIN$/,
  },
  'jumps of 32 bits': {
    type: int(32),
    value: (i) => (i % 2 === 0 ? 2 ** 31 - 1 - i : -(2 ** 31) + i),
    encodings: /^RLE, PLAIN$/,
  },
  'long runs': { type: int(32), value: (i) => Math.floor(i / 700) % 11, encodings: /DICTIONARY|DELTA/ },
  'runs of 17 between changes': {
    type: text,
    value: (i) => (i % 40 < 17 ? 'run' : `v${i % 23}`),
    encodings: /RLE_DICTIONARY/,
  },
  'few texts': {
    type: text,
    value: (i) => ['a', '', 'größer', 'abcde'][i % 4]!,
    encodings: /RLE_DICTIONARY/,
  },
  'texts of few kinds that differ in the middle': {
    type: text,
    value: (i) => `${'x'.repeat(20)}${i % 50}${'y'.repeat(20)}`,
    encodings: /RLE_DICTIONARY/,
  },
  'texts each of its own': { type: text, value: (i) => `text ${i * 7919}`, encodings: /DELTA_LENGTH/ },
  'texts that are few at first': {
    type: text,
    value: (i) => (i < 3000 ? `few ${i % 10}` : `${'many '.repeat(20)}${i}`),
    encodings: /RLE_DICTIONARY, DELTA_LENGTH|DELTA_LENGTH.*RLE_DICTIONARY|DELTA_LENGTH/,
  },
  uuids: {
    type: { kind: 'uuid' },
    value: (i) => `00000000-0000-4000-8000-${(i % 90).toString(16).padStart(12, '0')}`,
    encodings: /RLE_DICTIONARY/,
  },
  'doubles of few kinds': {
    type: { kind: 'float', bits: 64 },
    value: (i) => [0, -0, NaN, 1 / 3, Infinity, null][i % 6]!,
    encodings: /RLE_DICTIONARY/,
  },
  'floats each of its own': {
    type: { kind: 'float', bits: 32 },
    value: (i) => Math.fround(1 / (i + 1)),
    encodings: /^RLE, PLAIN$/,
  },
  'long decimals of few kinds': {
    type: decimal(30, 2),
    value: (i) => `${i % 2 === 0 ? '-' : ''}12345678901234567890.0${i % 9}`,
    encodings: /RLE_DICTIONARY/,
  },
  'nulls in runs': {
    type: int(32),
    value: (i) => (i % 900 < 500 ? null : i),
    encodings: /DELTA_BINARY/,
  },
  'lists in runs': {
    type: { kind: 'list', element: int(32) },
    value: (i) => (i % 300 < 200 ? [] : [i % 5, null, i % 3]),
    encodings: /DICTIONARY|DELTA/,
  },
}
export const SHAPE_FIELDS = Object.entries(SHAPES).map(([name, { type }]) => nullable(name, type))
/** Rows [from, to) of them. */
export const shapes = (from: number, to: number): Batch =>
  buildBatch(
    SHAPE_FIELDS,
    Array.from({ length: to - from }, (_, i) => Object.values(SHAPES).map(({ value }) => value(from + i))),
  )
