/** Columns of every type that is decoded, with their extremes and random values as SQL text, from a seed. */
import type { DecoderColumn, WireFormat } from '../../src/codec/decoder-column.js'
import type { ColumnType } from '../../src/model/column-type.js'

export interface TypeCase {
  readonly column: DecoderColumn
  readonly sqlType: string
  /** What is selected; the column itself unless given. */
  readonly expression?: string
  /** Always tested. */
  readonly extremes: readonly string[]
  readonly random: (random: Random) => string
}

export interface Random {
  /** From 0 up to, not including, 1. */
  next(): number
  /** From 0 up to, not including, `bound`. */
  below(bound: number): number
  bits(count: number): bigint
  digits(count: number): string
}

export function seededRandom(seed: number): Random {
  let state = seed >>> 0
  // mulberry32
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
  const below = (bound: number): number => Math.floor(next() * bound)
  return {
    next,
    below,
    bits: (count) => {
      let value = 0n
      for (let i = 0; i < count; i += 16) value = (value << 16n) | BigInt(below(65536))
      return BigInt.asUintN(count, value)
    },
    digits: (count) => Array.from({ length: count }, () => below(10)).join(''),
  }
}

/** The cases for a server of this major version. */
export function typeCases(major: number): TypeCase[] {
  return [...numbers, ...decimals(), ...temporals(major), ...strings]
}

let counter = 0
function typeCase(
  sqlType: string,
  wire: WireFormat,
  type: ColumnType,
  extremes: readonly string[],
  random: (random: Random) => string,
  expression?: string,
): TypeCase {
  const name = `c${counter++}_${sqlType.replaceAll(/\W+/g, '_')}`
  return {
    column: { name, type, wire, nullable: true, unrepresentable: 'error' },
    sqlType,
    extremes,
    random,
    ...(expression === undefined ? {} : { expression: expression.replace('$', name) }),
  }
}

const signed = (bits: number) => (random: Random) =>
  String(BigInt.asIntN(bits, random.bits(bits)) >> BigInt(random.below(bits)))

const DOUBLES = new DataView(new ArrayBuffer(8))
const randomDouble = (random: Random): string => {
  if (random.next() < 0.5) return String((random.next() - 0.5) * 10 ** random.below(20))
  DOUBLES.setBigUint64(0, random.bits(64))
  return String(DOUBLES.getFloat64(0))
}
const randomSingle = (random: Random): string => {
  if (random.next() < 0.5) return String(Math.fround((random.next() - 0.5) * 10 ** random.below(9)))
  DOUBLES.setUint32(0, Number(random.bits(32)))
  return String(DOUBLES.getFloat32(0))
}

const numbers: TypeCase[] = [
  typeCase('boolean', 'bool', { kind: 'bool' }, ['t', 'f'], (random) => (random.below(2) === 1 ? 't' : 'f')),
  typeCase('smallint', 'int2', { kind: 'int', bits: 16 }, ['-32768', '32767', '0', '-1'], signed(16)),
  typeCase(
    'integer',
    'int4',
    { kind: 'int', bits: 32 },
    ['-2147483648', '2147483647', '0', '-1'],
    signed(32),
  ),
  typeCase(
    'bigint',
    'int8',
    { kind: 'int', bits: 64 },
    ['-9223372036854775808', '9223372036854775807', '4294967296', '-1', '9007199254740993'],
    signed(64),
  ),
  typeCase('oid', 'oid', { kind: 'int', bits: 64 }, ['0', '4294967295', '2147483648'], (random) =>
    String(random.bits(32)),
  ),
  typeCase(
    'real',
    'float4',
    { kind: 'float', bits: 32 },
    [
      'NaN',
      'Infinity',
      '-Infinity',
      '-0',
      '0',
      '1e-45',
      '3.4028235e38',
      '1e5',
      '999999',
      '1e6',
      '0.0001',
      '0.00001',
      '16777216',
      '0.3',
    ],
    randomSingle,
  ),
  typeCase(
    'double precision',
    'float8',
    { kind: 'float', bits: 64 },
    [
      'NaN',
      'Infinity',
      '-Infinity',
      '-0',
      '0',
      '5e-324',
      '1.7976931348623157e308',
      '1e14',
      '1e15',
      '123456789012345',
      '999999999999999',
      '1234567890123456',
      '0.0001',
      '0.00001',
      '9007199254740993',
      '0.1',
      '-2.5e-7',
    ],
    randomDouble,
  ),
]

/** Each precision at which the decoder changes its way, with scales on and off the four-digit groups. */
function decimals(): TypeCase[] {
  const shapes: [precision: number, scale: number][] = [
    [1, 0],
    [1, 1],
    [4, 4],
    [5, 2],
    [9, 3],
    [14, 0],
    [15, 2],
    [15, 15],
    [15, 0],
    [16, 0],
    [16, 1],
    [17, 6],
    [18, 0],
    [18, 2],
    [18, 18],
    [19, 0],
    [19, 4],
    [25, 7],
    [37, 37],
    [38, 0],
    [38, 10],
    [38, 38],
  ]
  return shapes.map(([precision, scale]) => {
    const place = (digits: string): string =>
      scale === 0 ? digits : `${digits.slice(0, -scale) || '0'}.${digits.slice(-scale)}`
    const largest = place('9'.repeat(precision))
    const smallest = place('1'.padStart(precision, '0'))
    const powers = Array.from({ length: precision }, (_, k) =>
      place('1'.padEnd(k + 1, '0').padStart(precision, '0')),
    )
    const gap = place('1'.padEnd(precision - 1, '0').slice(0, precision - 1) + '1')
    return typeCase(
      `numeric(${precision},${scale})`,
      'numeric',
      { kind: 'decimal', precision, scale },
      ['0', largest, `-${largest}`, smallest, `-${smallest}`, gap, `-${gap}`, ...powers],
      (random) => {
        const digits = random.digits(1 + random.below(precision))
        // Runs of zeros make digit groups that the server leaves out.
        const zeros = '0'.repeat(random.below(precision - digits.length + 1))
        return (random.below(2) === 1 ? '-' : '') + place((digits + zeros).padStart(precision, '0'))
      },
    )
  })
}

function temporals(major: number): TypeCase[] {
  const pad = (value: number, width: number): string => String(value).padStart(width, '0')
  const randomDate = (random: Random, lastYear: number): string => {
    const year = random.next() < 0.7 ? 1900 + random.below(200) : 1 + random.below(lastYear)
    return `${pad(year, 4)}-${pad(1 + random.below(12), 2)}-${pad(1 + random.below(28), 2)}`
  }
  const bc = (random: Random): string => (random.next() < 0.1 ? ' BC' : '')
  const randomTime = (random: Random): string => {
    const clock = `${pad(random.below(24), 2)}:${pad(random.below(60), 2)}:${pad(random.below(60), 2)}`
    return random.next() < 0.3 ? clock : `${clock}.${random.digits(1 + random.below(6))}`
  }
  const randomTimestamp = (random: Random): string => {
    const ending = bc(random)
    return `${randomDate(random, ending === '' ? 290_000 : 4700)} ${randomTime(random)}${ending}`
  }
  const instants = [
    'infinity',
    '-infinity',
    '1970-01-01 00:00:00',
    '1969-12-31 23:59:59.999999',
    '2000-01-01 00:00:00',
    '1999-12-31 23:59:59.999999',
    '4714-11-24 00:00:00 BC',
    '0001-12-31 23:59:59.999999 BC',
    '0001-01-01 00:00:00',
    '9999-12-31 23:59:59.999999',
    '10000-01-01 00:00:00',
    '294246-12-31 23:59:59.999999',
    '1900-02-28 12:00:00',
    '2000-02-29 00:00:00.1',
  ]
  // Before version 15 the server itself printed hours above 2^31 wrongly.
  const hours = major >= 15 ? ['2562047788:00:54.775807', '-2562047788:00:54.775807'] : ['2147483647:00:00']
  return [
    typeCase(
      'date',
      'date',
      { kind: 'date' },
      [
        'infinity',
        '-infinity',
        '4714-11-24 BC',
        '5874897-12-31',
        '1970-01-01',
        '1969-12-31',
        '0001-12-31 BC',
        '0001-01-01',
        '2000-02-29',
        '1900-03-01',
        '10000-01-01',
      ],
      (random) => {
        const ending = bc(random)
        return randomDate(random, ending === '' ? 5_874_896 : 4700) + ending
      },
    ),
    typeCase(
      'time',
      'time',
      { kind: 'time' },
      ['00:00:00', '24:00:00', '23:59:59.999999', '00:00:00.000001'],
      randomTime,
    ),
    typeCase('timestamp', 'timestamp', { kind: 'timestamp', utc: false }, instants, randomTimestamp),
    typeCase(
      'timestamp',
      'timestamp',
      { kind: 'timestamp', utc: false, unit: 'ns' },
      [
        '1677-09-22',
        '2262-04-11 23:47:16.854775',
        '1969-12-31 23:59:59.999999',
        '1970-01-01',
        'infinity',
        '-infinity',
      ],
      (random) => `${1678 + random.below(584)}-01-01 ${randomTime(random)}`,
    ),
    typeCase('timestamptz', 'timestamp', { kind: 'timestamp', utc: true }, instants, randomTimestamp),
    typeCase(
      'interval',
      'interval',
      { kind: 'interval' },
      [
        '0',
        '178956970 years 7 months',
        '-178956970 years -8 months',
        '2147483647 days',
        '-2147483648 days',
        '1 year -1 month',
        '-1 year 1 month',
        '-0.000001 seconds',
        '1 day -23:59:59.999999',
        '1 month -1 day 1 second',
        '-59.5 seconds',
        '1 hour -1 minute',
        ...hours,
      ],
      (random) => {
        const part = (bound: number): number => (random.next() < 0.4 ? 0 : random.below(2 * bound) - bound)
        return `${part(2_000_000_00)} months ${part(2_000_000_000)} days ${part(100_000)} hours ${part(100)} minutes ${part(100)}.${random.digits(6)} seconds`
      },
    ),
  ]
}

/** Every length around the limits of the word copy, characters of one to four bytes, none of them NUL. */
const ALPHABET = Array.from('ab Z0\'"\\,{}\n\t\r\x01\x7füßñ€漢字\uFEFF😀𝒳')
const randomText = (random: Random): string => {
  const length = random.next() < 0.02 ? random.below(3000) : random.below(random.next() < 0.5 ? 12 : 130)
  return Array.from({ length }, () => ALPHABET[random.below(ALPHABET.length)]).join('')
}
const randomJson = (random: Random): string =>
  JSON.stringify({
    text: randomText(random),
    list: [random.next(), null, random.below(2) === 1],
    nested: { '': 0 },
  })

const strings: TypeCase[] = [
  typeCase(
    'text',
    'text',
    { kind: 'text' },
    ['', ' ', 'x'.repeat(95), 'x'.repeat(96), 'x'.repeat(97), '\uFEFFbom'],
    randomText,
  ),
  typeCase('varchar(5000)', 'text', { kind: 'text' }, ['', 'abc'], randomText),
  typeCase('character(12)', 'text', { kind: 'text' }, ['', 'ab', 'ü'], (random) =>
    randomText(random).slice(0, 6),
  ),
  typeCase('name', 'text', { kind: 'text' }, ['', 'pg_class'], (random) => randomText(random).slice(0, 8)),
  typeCase(
    'uuid',
    'uuid',
    { kind: 'uuid' },
    [
      '00000000-0000-0000-0000-000000000000',
      'ffffffff-ffff-ffff-ffff-ffffffffffff',
      '01020304-0506-0708-090a-0b0c0d0e0f10',
    ],
    (random) => random.bits(128).toString(16).padStart(32, '0'),
  ),
  typeCase('bytea', 'bytea', { kind: 'binary' }, ['', '\\x00', '\\xff00ff'], (random) => {
    const length = random.below(random.next() < 0.02 ? 3000 : 120)
    return `\\x${Array.from({ length }, () => random.below(256).toString(16).padStart(2, '0')).join('')}`
  }),
  typeCase('json', 'text', { kind: 'json' }, ['null', '{ "a" : 1, "a" : 2 }', '  []'], randomJson),
  typeCase(
    'jsonb',
    'jsonb',
    { kind: 'json' },
    ['null', '{"b": 1, "a": 1e400}', '"\\u00fc"', '0.10'],
    randomJson,
  ),
  // What is selected as its own output text is text on the wire, whatever the type.
  typeCase(
    'inet',
    'text',
    { kind: 'text' },
    ['::1', '10.0.0.0/8', '127.0.0.1'],
    (random) => `${random.below(256)}.${random.below(256)}.1.1/${random.below(33)}`,
    `format('%s', $)`,
  ),
  typeCase(
    'int4range',
    'text',
    { kind: 'text' },
    ['empty', '(,)', '[1,2]'],
    (random) => `[${random.below(9)},${9 + random.below(9)})`,
    `format('%s', $)`,
  ),
  typeCase(
    'numeric',
    'text',
    { kind: 'text' },
    ['NaN', '0.000', `${'9'.repeat(200)}.${'1'.repeat(300)}`, '1e-100'],
    (random) => `${random.digits(1 + random.below(60))}.${random.digits(1 + random.below(60))}`,
    `format('%s', $)`,
  ),
]
