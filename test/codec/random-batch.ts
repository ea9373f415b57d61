/** Batches of random fields and values, of every kind there is, their extremes included; and what is compared of a value. */
import fc from 'fast-check'
import type { Batch } from '../../src/batch/batch.js'
import { buildBatch } from '../../src/batch/build-batch.js'
import { formatDate, formatInterval, formatTime, formatTimestamp } from '../../src/batch/calendar.js'
import { columnReader, type StoredValue } from '../../src/batch/column-reader.js'
import { formatDecimal, textOf } from '../../src/batch/format-value.js'
import type { SingleValue, Value } from '../../src/batch/rows.js'
import type { ColumnType, ElementType, Field } from '../../src/model/column-type.js'

const MAX_LONG = 2n ** 63n - 1n

/**
 * Everything that one of the formats has a meaning for, and characters of one to four bytes; never NUL, and no byte order mark, which
 * the client of DuckDB drops where a value begins.
 */
const texts = fc.oneof(
  fc.constantFrom(
    '',
    ' ',
    'NULL',
    'null',
    '\\N',
    '\\.',
    '"',
    "'",
    '""',
    '=1+1',
    '-1',
    '@x',
    '\t',
    '\r',
    '\n',
    '{}',
    'a,b',
  ),
  fc
    .array(fc.constantFrom(...Array.from('ab,;|"\'\\\t\r\n\b\f\v\u0001\u001f\u007f {}[]=+-@:é漢😀\u2028')), {
      maxLength: 20,
    })
    .map((all) => all.join('')),
  fc
    .string({ unit: 'grapheme', maxLength: 12 })
    .map((text) => text.replaceAll('\u0000', '').replaceAll('\uFEFF', '')),
)

/** Without numbers that a reader may write otherwise. */
const documents = fc
  .jsonValue({ maxDepth: 2 })
  .map((value) =>
    JSON.stringify(value, (_, part: unknown) =>
      typeof part === 'number' ? Math.trunc(part % 1000) || 0 : part,
    ),
  )
  .filter((text) => text !== 'null' && !text.includes('\\u0000') && !/\\ud[89a-f]/i.test(text))

const days = fc.oneof(
  fc.integer({ min: -2_440_588, max: 2_145_031_948 }),
  fc.integer({ min: -800_000, max: 100_000 }),
)
const instants = fc.oneof(
  fc.bigInt(-210_866_803_200_000_000n, MAX_LONG - 1n),
  fc.bigInt(-(10n ** 16n), 10n ** 16n),
  fc.bigInt(-2n, 2n).map((seconds) => seconds * 500_000n),
)
const longs = fc.oneof(
  fc.bigInt(-MAX_LONG - 1n, MAX_LONG),
  fc.bigInt(-(2n ** 54n), 2n ** 54n),
  fc.bigInt(-200n, 200n),
  fc.constantFrom(
    2n ** 53n,
    2n ** 53n - 1n,
    -(2n ** 53n),
    -(2n ** 53n) - 1n,
    99_999_999n,
    100_000_000n,
    2n ** 32n,
  ),
)
const doubles = fc.oneof(
  fc.double(),
  fc.constantFrom(
    NaN,
    Infinity,
    -Infinity,
    -0,
    0,
    5e-324,
    1.7976931348623157e308,
    1e15,
    1e23,
    1e14 + 0.5,
    0.0001,
    0.00001,
  ),
  fc.integer({ min: -1e9, max: 1e9 }).map((value) => value / 64),
)

function valuesOf(type: ElementType): fc.Arbitrary<NonNullable<SingleValue>> {
  switch (type.kind) {
    case 'bool':
      return fc.boolean()
    case 'int':
      if (type.bits === 64) return longs
      return fc.integer({ min: -(2 ** (type.bits - 1)), max: 2 ** (type.bits - 1) - 1 })
    case 'float':
      return type.bits === 64 ? doubles : doubles.map(Math.fround)
    case 'decimal': {
      const most = 10n ** BigInt(type.precision) - 1n
      return fc
        .oneof(
          fc.bigInt(-most, most),
          fc.bigInt(most < 999n ? -most : -999n, most < 999n ? most : 999n),
          fc.constantFrom(most, -most),
        )
        .map((unscaled) => formatDecimal(unscaled, type.scale))
    }
    case 'date':
      return fc.oneof(
        days.map((day) => formatDate(day, 'iso')),
        fc.constantFrom('infinity', '-infinity'),
      )
    case 'time':
      return fc.oneof(
        fc.bigInt(0n, 86_400_000_000n).map(formatTime),
        fc.constantFrom('24:00:00', '00:00:00', '23:59:59.999999'),
      )
    case 'timestamp': {
      const micros =
        type.unit === 'ns' ? fc.bigInt(-9_223_372_036_000_000n, 9_223_372_036_000_000n) : instants
      return fc.oneof(
        micros.map((value) => formatTimestamp(value, type.utc, 'iso')),
        fc.constantFrom('infinity', '-infinity'),
      )
    }
    case 'interval':
      return fc
        .record({
          months: fc.integer({ min: -2_147_483_648, max: 2_147_483_647 }),
          days: fc.integer({ min: -2_147_483_648, max: 2_147_483_647 }),
          // So many that nanoseconds hold them, too.
          micros: fc.oneof(fc.bigInt(-(2n ** 53n), 2n ** 53n), fc.bigInt(-120_000_000n, 120_000_000n)),
        })
        .map((value) => formatInterval(value.months, value.days, value.micros))
    case 'text':
      return texts
    case 'json':
      return documents
    case 'uuid':
      return fc.uuid()
    case 'binary':
      return fc.uint8Array({ maxLength: 20 })
  }
}

const elementTypes: fc.Arbitrary<ElementType> = fc.oneof(
  fc.constantFrom<ElementType>(
    { kind: 'bool' },
    { kind: 'int', bits: 16 },
    { kind: 'int', bits: 32 },
    { kind: 'int', bits: 64 },
    { kind: 'float', bits: 32 },
    { kind: 'float', bits: 64 },
    { kind: 'date' },
    { kind: 'time' },
    { kind: 'timestamp', utc: false },
    { kind: 'timestamp', utc: true },
    { kind: 'timestamp', utc: false, unit: 'ns' },
    { kind: 'interval' },
    { kind: 'text' },
    { kind: 'json' },
    { kind: 'uuid' },
    { kind: 'binary' },
  ),
  fc
    .integer({ min: 1, max: 38 })
    .chain((precision) =>
      fc.integer({ min: 0, max: precision }).map((scale) => ({ kind: 'decimal', precision, scale }) as const),
    ),
)

const types: fc.Arbitrary<ColumnType> = fc.oneof(
  { weight: 3, arbitrary: elementTypes },
  { weight: 1, arbitrary: elementTypes.map((element) => ({ kind: 'list', element }) as const) },
)

/** Names of any characters, unlike each other for readers that fold them. */
const names = fc
  .string({ unit: 'grapheme', minLength: 1, maxLength: 8 })
  .map((name) => name.replaceAll('\u0000', '0'))

const fieldsOf = (nullable: fc.Arbitrary<boolean>): fc.Arbitrary<readonly Field[]> =>
  fc.uniqueArray(fc.record({ name: names, type: types, nullable }), {
    minLength: 1,
    maxLength: 6,
    selector: ({ name }) => name.normalize().toLowerCase().toUpperCase(),
  })

export const randomBatches: fc.Arbitrary<Batch> = fieldsOf(fc.constant(true)).chain((fields) =>
  fc
    .array(fc.tuple(...fields.map(({ type }) => fc.option(rowValues(type), { freq: 4 }))), { maxLength: 12 })
    .map((rows) => buildBatch(fields, rows)),
)

export interface RandomTable {
  readonly fields: readonly Field[]
  readonly batches: readonly (readonly (readonly Value[])[])[]
}

/** Some fields cannot be null, and some have few values that come again and again. */
export const randomTables: fc.Arbitrary<RandomTable> = fieldsOf(fc.boolean()).chain((fields) =>
  fc.tuple(...fields.map(columnValues)).chain((columns) =>
    fc.record({
      fields: fc.constant(fields),
      batches: fc.array(fc.array(fc.tuple(...columns), { maxLength: 60 }), { maxLength: 4 }),
    }),
  ),
)

/** Values of a column, of all there are or of a few. */
function columnValues({ type, nullable }: Field): fc.Arbitrary<fc.Arbitrary<Value>> {
  const any = rowValues(type)
  const few = fc.array(any, { minLength: 1, maxLength: 4 }).map((values) => fc.constantFrom(...values))
  return fc
    .oneof(fc.constant(any), few)
    .map((values): fc.Arbitrary<Value> => (nullable ? fc.option(values, { freq: 4 }) : values))
}

function rowValues(type: ColumnType): fc.Arbitrary<NonNullable<Value>> {
  if (type.kind !== 'list') return valuesOf(type)
  return fc.array(fc.option(valuesOf(type.element), { freq: 4 }), { maxLength: 5 })
}

/** What is the same where two values are: text that has everything a stored value has. */
export function exactText(stored: StoredValue | null): unknown {
  if (stored === null) return null
  if (Array.isArray(stored)) return stored.map(exactText)
  if (stored instanceof Uint8Array) return Buffer.from(stored).toString('hex')
  if (typeof stored === 'number') return Object.is(stored, -0) ? '-0' : String(stored)
  if (typeof stored !== 'object') return String(stored)
  return 'micros' in stored ? `${stored.months} ${stored.days} ${stored.micros}` : null
}

/** By row, by column; text and json as text, bytes and uuids as hexadecimal digits. */
export function exactRows(batch: Batch, start = 0, count = batch.rowCount - start): unknown[][] {
  const readers = batch.fields.map(({ type }, index) => {
    const read = columnReader(batch, index)
    const { kind } = type.kind === 'list' ? type.element : type
    if (kind !== 'text' && kind !== 'json') return (row: number) => exactText(read(row))
    return (row: number) => {
      const stored = read(row)
      if (stored === null) return null
      const toText = (bytes: unknown): unknown => (bytes === null ? null : textOf(bytes as Uint8Array))
      return Array.isArray(stored) ? stored.map(toText) : toText(stored)
    }
  })
  return Array.from({ length: count }, (_, row) => readers.map((read) => read(start + row)))
}
