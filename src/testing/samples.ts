/** Every type that a column can have, with values at its ends and those that are easily lost. */
import { DATE_INFINITY, TIMESTAMP_INFINITY } from '../model/column-type.js'
import type { ColumnType } from '../model/column-type.js'
import type { Plain, PlainElement } from './plain.js'

export interface TypeSamples {
  /** As a person would call it: `decimal(38,10)`. */
  readonly title: string
  readonly type: ColumnType
  /** None of them null. */
  readonly values: readonly Plain[]
}

const uuids = [
  '00000000-0000-0000-0000-000000000000',
  'ffffffff-ffff-ffff-8000-0123456789ab',
  '7fffffff-0000-4000-8000-000000000001',
]

const texts = [
  '',
  ' ',
  'NULL',
  '\\N',
  '"',
  '""',
  ',',
  'a,"b"\nc\r\nd\te',
  'line\nbreak',
  'only a \r',
  "it's",
  '=1+1',
  '\u0001\u001f\u007f',
  'ünïcödé 🎉 longer than twelve bytes',
  '\ufeffwith a byte order mark',
  'a\u0301 is not \u00e1',
  '\u{10ffff}',
  'null',
  '{"not": "json"',
  '<&>',
  'x'.repeat(70_000),
]

const SINGLE: readonly TypeSamples[] = [
  { title: 'bool', type: { kind: 'bool' }, values: [true, false] },
  { title: 'int16', type: { kind: 'int', bits: 16 }, values: [-32_768, -1, 0, 32_767] },
  { title: 'int32', type: { kind: 'int', bits: 32 }, values: [-2_147_483_648, -1, 0, 2_147_483_647] },
  {
    title: 'int64',
    type: { kind: 'int', bits: 64 },
    values: [-(2n ** 63n), -1n, 0n, 2n ** 53n + 1n, 2n ** 63n - 1n],
  },
  {
    title: 'float32',
    type: { kind: 'float', bits: 32 },
    values: [0, -0, NaN, Infinity, -Infinity, 1.5, 0.1, 1.401298464324817e-45, 3.4028234663852886e38],
  },
  {
    title: 'float64',
    type: { kind: 'float', bits: 64 },
    values: [0, -0, NaN, Infinity, -Infinity, 0.1, 5e-324, 1.7976931348623157e308, 123_456_789.123_456_79],
  },
  ...decimals(),
  {
    title: 'date',
    type: { kind: 'date' },
    // 4714-11-24 BC, 44-03-15 BC, 0001-01-01, 1582-10-15, 1969-12-31, 1970-01-01, 9999-12-31, 10000-01-01, 5874897-12-31
    values: [
      -2_440_588,
      -735_535,
      -719_162,
      -141_427,
      -1,
      0,
      2_932_896,
      2_932_897,
      2_145_042_905,
      DATE_INFINITY,
      -DATE_INFINITY,
    ],
  },
  {
    title: 'time',
    type: { kind: 'time' },
    values: [0n, 1n, 43_200_000_000n, 86_399_999_999n, 86_400_000_000n],
  },
  ...[false, true].map((utc): TypeSamples => ({
    title: utc ? 'timestamptz' : 'timestamp',
    type: { kind: 'timestamp', utc },
    // From 4714-11-24 BC to the last that 64 bits of microseconds hold.
    values: [
      0n,
      -1n,
      1n,
      1_700_000_000_123_456n,
      -210_866_803_200_000_000n,
      -62_135_596_800_000_001n,
      253_402_300_799_999_999n,
      9_223_372_036_854_775_806n,
      TIMESTAMP_INFINITY,
      -TIMESTAMP_INFINITY,
    ],
  })),
  ...[false, true].map((utc): TypeSamples => ({
    title: utc ? 'timestamptz in nanoseconds' : 'timestamp in nanoseconds',
    type: { kind: 'timestamp', utc, unit: 'ns' },
    values: [0n, -1000n, 1_700_000_000_123_456_000n, -9_223_286_400_000_000_000n, 9_223_372_036_854_775_000n],
  })),
  {
    title: 'interval',
    type: { kind: 'interval' },
    values: [
      [0, 0, 0n],
      [1, 0, 0n],
      [0, 30, 0n],
      [0, 0, 86_400_000_000n],
      [-13, 5, -1n],
      [2_147_483_647, -2_147_483_648, 0n],
      [0, 0, 2n ** 63n - 1n],
    ],
  },
  { title: 'text', type: { kind: 'text' }, values: texts },
  {
    title: 'json',
    type: { kind: 'json' },
    values: [
      '{"b": 1,  "a": 2}',
      '[]',
      'null',
      '"x"',
      '1e2',
      '12345678901234567890',
      '{"text": "\\u00e9 \\"quoted\\" \\n ünïcödé 🎉", "list": [1, [2, {"deep": null}]]}',
      `[${'1,'.repeat(5000)}1]`,
    ],
  },
  { title: 'uuid', type: { kind: 'uuid' }, values: uuids },
  {
    title: 'binary',
    type: { kind: 'binary' },
    values: [
      new Uint8Array(),
      Uint8Array.of(0),
      Uint8Array.of(0, 255, 39, 10, 13, 92, 34),
      Uint8Array.from({ length: 70_000 }, (_, index) => index % 251),
    ],
  },
]

/** One for each way in which elements are stored. */
const LISTED = new Set([
  'bool',
  'int16',
  'int64',
  'float32',
  'float64',
  'decimal(9,9)',
  'decimal(38,10)',
  'date',
  'time',
  'timestamptz',
  'interval',
  'text',
  'json',
  'uuid',
  'binary',
])

export const TYPE_SAMPLES: readonly TypeSamples[] = [
  ...SINGLE,
  ...lists(SINGLE.filter(({ title }) => LISTED.has(title))),
]

/** Lists of these types, each with its own samples: none, one, all, and nulls among them. */
function lists(elements: readonly TypeSamples[]): readonly TypeSamples[] {
  return elements.flatMap(({ title, type, values }): readonly TypeSamples[] => {
    if (type.kind === 'list') return []
    const short = (values as readonly PlainElement[]).filter(isShort)
    const [first = null, ...rest] = short
    return [
      {
        title: `list of ${title}`,
        type: { kind: 'list', element: type },
        values: [[], [first], [null], [null, ...rest, null], [...rest, first]],
      },
    ]
  })
}

/** Lists are told from long values elsewhere. */
function isShort(value: PlainElement): boolean {
  return !(typeof value === 'string' || value instanceof Uint8Array) || value.length < 1000
}

/** Each precision, at the scales that are special to it, with the greatest, the least and the smallest value. */
function decimals(): readonly TypeSamples[] {
  const shapes: (readonly [number, number])[] = []
  for (let precision = 1; precision <= 38; precision++) shapes.push([precision, Math.floor(precision / 3)])
  shapes.push([9, 9], [18, 18], [18, 0], [19, 0], [38, 38], [38, 0], [38, 10])
  return shapes.map(([precision, scale]) => {
    const nines = '9'.repeat(precision)
    const point = (digits: string): string =>
      scale === 0 ? digits : `${digits.slice(0, -scale) || '0'}.${digits.slice(-scale)}`
    const smallest = point('1'.padStart(precision, '0')).replace(/^0+(?=\d)/, '')
    return {
      title: `decimal(${precision},${scale})`,
      type: { kind: 'decimal', precision, scale },
      values: [point(nines), `-${point(nines)}`, smallest, `-${smallest}`, '0'],
    }
  })
}
