/**
 * Writes, for one list of columns, the JavaScript function that decodes their rows.
 *
 * The function goes over rows that lie complete in one piece and whose fields are ordinary. At anything else (a cut row, the
 * trailer, a length that should not be, a value that does not fit) it stops before that row, and the row reader takes it:
 * so every check and message exists once, and here stand only comparisons. Names of streams and columns are never part of
 * the source.
 *
 * Processor time a row of TPC-H lineitem, 2 cores of an AMD EPYC with other work beside it: 117 ns, of which four
 * numeric(15,2) take 31 and five texts 46; one write call for each row adds some 30. bench/decode.ts measures it anew.
 */
import { COPY_DATA_HEADER_BYTES } from '../model/copy-message.js'
import { growText, type ArenaColumn, type BatchArena } from './batch-arena.js'
import type { DecoderColumn } from './decoder-column.js'
import { dropElements } from './list-elements.js'
import { MAX_DOUBLE_PRECISION, STORED, storeNumeric } from './numeric.js'
import { elementDecoder, NOT_STORED, storeList } from './store-list.js'
import {
  DATE_SHIFT,
  storeDate,
  storeInterval,
  storeTime,
  storeTimestamp,
  storeTimestampNanos,
  TIMESTAMP_CHECKED_HIGH,
  TIMESTAMP_SHIFT_HIGH,
  TIMESTAMP_SHIFT_LOW,
} from './temporal.js'
import { WIRE_FORMATS } from './wire-format.js'

/**
 * Decodes whole rows from `pos` until the arena is full or something is not ordinary, and returns where it stopped.
 * `inMessages`: each row is the payload of a message whose header stands before it.
 */
export type DecodeRows = (
  bytes: Uint8Array,
  view: DataView,
  pos: number,
  end: number,
  inMessages: boolean,
) => number

export interface RowLimits {
  readonly maxFieldBytes: number
  /** Of the messages that hold a row each. */
  readonly messageType: number
}

/** Values up to this many bytes are copied in words of four; above, a native copy is faster. */
const WORD_COPY_BYTES = 96
/** The same for words of eight. */
const TEXT_COPY_BYTES = 192

const RUNTIME = {
  growText,
  dropElements,
  storeList,
  storeNumeric,
  storeDate,
  storeTime,
  storeTimestamp,
  storeTimestampNanos,
  storeInterval,
}

/** Null where the runtime forbids generated code. */
export function generateRowDecoder(
  decoders: readonly DecoderColumn[],
  arena: BatchArena,
  limits: RowLimits,
): DecodeRows | null {
  const source = rowDecoderSource(decoders, arena, limits)
  let factory: (
    arena: BatchArena,
    runtime: typeof RUNTIME,
    elements: readonly (DecoderColumn | null)[],
  ) => DecodeRows
  try {
    // The only generated code of the project; its input is numbers and wire formats.
    // eslint-disable-next-line @typescript-eslint/no-implied-eval
    factory = new Function('arena', 'runtime', 'elements', source) as typeof factory
  } catch (error) {
    if (error instanceof EvalError) return null
    throw error
  }
  return factory(arena, RUNTIME, decoders.map(elementDecoder))
}

function rowDecoderSource(
  decoders: readonly DecoderColumn[],
  arena: BatchArena,
  { maxFieldBytes, messageType }: RowLimits,
): string {
  const { columns } = arena
  const lines: string[] = [
    '"use strict"',
    `const { ${Object.keys(RUNTIME).join(', ')} } = runtime`,
    ...columns.flatMap((column, i) => declareColumn(column, i)),
    'return function decodeRows(bytes, view, start, limit, inMessages) {',
    'let end = limit, row = arena.rowCount, used = arena.usedBytes, rowText = 0, pos = start, rowStart = start, length = 0',
    ...columns.flatMap((column, i) =>
      column.variable
        ? [`let text${i} = c${i}.text, view${i} = c${i}.textView, end${i} = c${i}.textEnd`]
        : [],
    ),
    // Before each row there is room for it: the caller closes a full arena first.
    'rows: for (;;) {',
    'rowStart = pos',
    'rowText = 0',
    'if (inMessages) {',
    `if (limit - pos < ${COPY_DATA_HEADER_BYTES} || view.getUint8(pos) !== ${messageType}) break rows`,
    // A length that no message has leaves no room for a row.
    'end = pos + 1 + view.getInt32(pos + 1)',
    'if (end > limit) break rows',
    `pos += ${COPY_DATA_HEADER_BYTES}`,
    '}',
    `if (end - pos < ${2 + 4 * columns.length} || view.getInt16(pos) !== ${columns.length}) break rows`,
    'pos += 2',
    ...columns.flatMap((_, i) => decodeField(decoders[i]!, columns, i, arena, maxFieldBytes)),
    'if (inMessages && pos !== end) break rows',
    'row++',
    `used += rowText + ${arena.rowBytes}`,
    `if (used >= ${arena.batchBytes} || row >= ${arena.maxRows}) { rowStart = pos; break rows }`,
    '}',
    'arena.rowCount = row',
    'arena.usedBytes = used',
    // What a row left behind after its last complete one is overwritten: its text ends where the rows say.
    ...columns.flatMap((column, i) => {
      if (column.elements !== null) return [`dropElements(c${i}, offsets${i}[row])`]
      return column.variable ? [`c${i}.textEnd = offsets${i}[row]`] : []
    }),
    'return rowStart',
    '}',
  ]
  return lines.join('\n')
}

function declareColumn(column: ArenaColumn, i: number): string[] {
  return [
    `const c${i} = arena.columns[${i}], validity${i} = c${i}.validity`,
    ...(column.elements === null ? [] : [`const element${i} = elements[${i}]`]),
    column.variable || column.elements !== null
      ? `const offsets${i} = c${i}.offsets`
      : column.width === null
        ? `const bits${i} = c${i}.bits`
        : column.width === 2
          ? `const halves${i} = c${i}.halves`
          : `const words${i} = c${i}.words`,
  ]
}

/**
 * At each field at least four bytes are left for each field from it on, which its own length may use without a check; a
 * body is only read after a check that leaves four bytes for each field after it.
 */
function decodeField(
  decoder: DecoderColumn,
  columns: readonly ArenaColumn[],
  i: number,
  arena: BatchArena,
  maxFieldBytes: number,
): string[] {
  const column = columns[i]!
  const bytesAfter = 4 * (columns.length - i - 1)
  const fixedLength = WIRE_FORMATS[decoder.wire].length
  const markNull = `c${i}.hasNull = true; validity${i}[row >> 3] &= ~(1 << (row & 7))`
  if (column.elements !== null) {
    return [
      'length = view.getInt32(pos)',
      'pos += 4',
      'if (length >= 0) {',
      `if (length > end - pos - ${bytesAfter} || length > ${longestInMemory(arena, maxFieldBytes)}) break rows`,
      `const taken = storeList(element${i}, c${i}, row, bytes, view, pos, length)`,
      `if (taken === ${NOT_STORED}) break rows`,
      'rowText += taken',
      'pos += length',
      '} else {',
      'if (length !== -1) break rows',
      markNull,
      `offsets${i}[row + 1] = c${i}.elementCount`,
      '}',
    ]
  }
  if (column.variable) {
    return [
      'length = view.getInt32(pos)',
      'pos += 4',
      'if (length >= 0) {',
      `if (length > end - pos - ${bytesAfter}) break rows`,
      ...copyText(decoder, i, arena, maxFieldBytes),
      '} else {',
      'if (length !== -1) break rows',
      markNull,
      '}',
      `offsets${i}[row + 1] = end${i}`,
    ]
  }
  const zero =
    column.width === null
      ? `bits${i}[row >> 3] &= ~(1 << (row & 7))`
      : column.width === 2
        ? `halves${i}[row] = 0`
        : words(column)
            .map((at) => `words${i}[${at}] = 0`)
            .join('; ')
  return [
    'length = view.getInt32(pos)',
    'pos += 4',
    fixedLength === null ? 'if (length >= 0) {' : `if (length === ${fixedLength}) {`,
    `if (${fixedLength ?? 'length'} > end - pos - ${bytesAfter}) break rows`,
    ...storeFixed(decoder, column, i),
    `pos += ${fixedLength ?? 'length'}`,
    '} else {',
    'if (length !== -1) break rows',
    markNull,
    zero,
    '}',
  ]
}

/** Index expressions of the words of the row's value. */
function words(column: ArenaColumn): string[] {
  const count = column.width! / 4
  return Array.from({ length: count }, (_, word) =>
    count === 1 ? 'row' : word === 0 ? `row * ${count}` : `row * ${count} + ${word}`,
  )
}

function storeFixed(decoder: DecoderColumn, column: ArenaColumn, i: number): string[] {
  const [w0 = '', w1 = '', w2 = '', w3 = ''] = column.width !== null && column.width >= 4 ? words(column) : []
  const orBreak = (call: string): string[] => [`if (${call} !== ${STORED}) break rows`]
  switch (decoder.wire) {
    case 'bool':
      return [
        'length = view.getUint8(pos)',
        'if (length > 1) break rows',
        `if (length === 1) bits${i}[row >> 3] |= 1 << (row & 7); else bits${i}[row >> 3] &= ~(1 << (row & 7))`,
      ]
    case 'int2':
      return [`halves${i}[row] = view.getInt16(pos)`]
    case 'int4':
    case 'float4':
      return [`words${i}[${w0}] = view.getInt32(pos)`]
    case 'int8':
    case 'float8':
      return [`words${i}[${w0}] = view.getInt32(pos + 4)`, `words${i}[${w1}] = view.getInt32(pos)`]
    case 'oid':
      return [`words${i}[${w0}] = view.getInt32(pos)`, `words${i}[${w1}] = 0`]
    case 'numeric': {
      if (decoder.type.kind !== 'decimal') return ['break rows']
      const { precision, scale } = decoder.type
      return precision <= MAX_DOUBLE_PRECISION
        ? storeSmallNumeric(precision, scale, [`words${i}[${w0}]`, `words${i}[${w1}]`])
        : orBreak(`storeNumeric(view, pos, length, ${precision}, ${scale}, words${i}, ${w0})`)
    }
    case 'date':
      return [
        'length = view.getInt32(pos)',
        `if (length < ${2147483647 - DATE_SHIFT} && length !== -2147483648) words${i}[${w0}] = length + ${DATE_SHIFT}`,
        `else if (storeDate(view, pos, words${i}, ${w0}) !== ${STORED}) break rows`,
      ]
    case 'timestamp':
      if (decoder.type.kind === 'timestamp' && decoder.type.unit === 'ns')
        return orBreak(`storeTimestampNanos(view, pos, words${i}, ${w0})`)
      return [
        'length = view.getInt32(pos)',
        `if (length < ${TIMESTAMP_CHECKED_HIGH} && length !== -2147483648) {`,
        'const low = view.getInt32(pos + 4)',
        `const sum = (low + ${TIMESTAMP_SHIFT_LOW}) | 0`,
        `words${i}[${w0}] = sum`,
        // Unsigned overflow of the low word, compared with the sign bits turned.
        `words${i}[${w1}] = length + ${TIMESTAMP_SHIFT_HIGH} + ((sum ^ -2147483648) < (low ^ -2147483648) ? 1 : 0)`,
        `} else if (storeTimestamp(view, pos, words${i}, ${w0}) !== ${STORED}) break rows`,
      ]
    case 'time':
      return orBreak(`storeTime(view, pos, words${i}, ${w0})`)
    case 'interval':
      return orBreak(`storeInterval(view, pos, words${i}, ${w0})`)
    case 'uuid':
      return [w0, w1, w2, w3].map((at, k) => `words${i}[${at}] = view.getInt32(pos + ${4 * k}, true)`)
    case 'text':
    case 'bytea':
    case 'jsonb':
    case 'array':
      return ['break rows']
  }
}

/**
 * Copies a short value by its words, the last of which may overlap the one before.
 *
 * Eight bytes go through a double, which costs half of two words of four. A double that is NaN might not keep its bits, but
 * UTF-8 never has those of one: where its exponent is all ones stand 0xF0 to 0xFF and then 0x7F or 0xFF, which no character
 * has. Bytes of other text, changed or not, are not UTF-8 and are refused when the batch is packed.
 */
function copyWords(decoder: DecoderColumn, i: number): string[] {
  const copy = (type: 'Int32' | 'Float64', at: string): string =>
    `view${i}.set${type}(end${i} + ${at}, view.get${type}(pos + ${at}, true), true)`
  const words = (bytes: 4 | 8, type: 'Int32' | 'Float64'): string[] => [
    `const last = length - ${bytes}`,
    `for (let k = 0; k < last; k += ${bytes}) ${copy(type, 'k')}`,
    copy(type, 'last'),
  ]
  const doubles =
    decoder.type.kind === 'binary' ? [] : ['if (length >= 8) {', ...words(8, 'Float64'), '} else']
  return [
    ...doubles,
    'if (length >= 4) {',
    ...words(4, 'Int32'),
    `} else for (let k = 0; k < length; k++) text${i}[end${i} + k] = bytes[pos + k]`,
  ]
}

/**
 * storeNumeric for values that are exact in a double, with what the scale decides worked out beforehand: of the digit groups,
 * those up to the decimal that the scale ends in are whole, and one more may count in part.
 */
function storeSmallNumeric(
  precision: number,
  scale: number,
  [low, high]: readonly [string, string],
): string[] {
  const decimalsInPart = scale % 4
  const wholeFactor = 10 ** decimalsInPart
  const partDivisor = 10 ** (4 - decimalsInPart)
  const mostWhole = Math.ceil(precision / 4) + 1
  return [
    'if (length < 8) break rows',
    'const head = view.getInt32(pos), signs = view.getInt32(pos + 4)',
    'const digits = head >> 16',
    // int16 count and int16 weight; uint16 sign, where only 0x4000 is ordinary, and uint16 dscale.
    `if (length !== 8 + 2 * digits || (signs & ${~0x40003fff}) !== 0) break rows`,
    `const whole = ((head << 16) >> 16) + ${1 + Math.floor(scale / 4)}`,
    'let value = 0',
    'if (digits !== 0) {',
    `if (whole < 0 || whole > ${mostWhole} || digits > whole + ${decimalsInPart === 0 ? 0 : 1}) break rows`,
    'let at = pos + 8',
    'const last = pos + 8 + 2 * (digits < whole ? digits : whole)',
    'for (; at < last; at += 2) {',
    'const digit = view.getUint16(at)',
    'if (digit > 9999) break rows',
    'value = value * 10000 + digit',
    '}',
    'for (let k = digits; k < whole; k++) value *= 10000',
    ...(decimalsInPart === 0
      ? []
      : [
          `value *= ${wholeFactor}`,
          'if (digits > whole) {',
          'const digit = view.getUint16(at)',
          `const part = (digit / ${partDivisor}) | 0`,
          `if (digit > 9999 || part * ${partDivisor} !== digit) break rows`,
          'value += part',
          '}',
        ]),
    `if (value >= ${10 ** precision}) break rows`,
    'if (signs >= 0x40000000) value = -value',
    '}',
    'const high = Math.floor(value / 4294967296)',
    `${low} = value - high * 4294967296`,
    `${high} = high`,
  ]
}

/** Longer values are refused, or collected in pieces as they arrive. */
function longestInMemory(arena: BatchArena, maxFieldBytes: number): number {
  return Math.min(maxFieldBytes, arena.largeBytes - 1)
}

function copyText(decoder: DecoderColumn, i: number, arena: BatchArena, maxFieldBytes: number): string[] {
  const version =
    decoder.wire === 'jsonb'
      ? ['if (length < 2 || view.getUint8(pos) !== 1) break rows', 'pos++', 'length--']
      : []
  return [
    // Measured as it arrived: a jsonb value with its version byte.
    `if (length > ${longestInMemory(arena, maxFieldBytes)}) break rows`,
    ...version,
    `if (end${i} + length > text${i}.length) {`,
    `c${i}.textEnd = end${i}`,
    `growText(c${i}, length)`,
    `text${i} = c${i}.text`,
    `view${i} = c${i}.textView`,
    '}',
    `if (length <= ${decoder.type.kind === 'binary' ? WORD_COPY_BYTES : TEXT_COPY_BYTES}) {`,
    ...copyWords(decoder, i),
    '} else {',
    `text${i}.set(bytes.subarray(pos, pos + length), end${i})`,
    '}',
    'rowText += length',
    `end${i} += length`,
    'pos += length',
  ]
}
