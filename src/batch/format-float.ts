/**
 * Floats as PostgreSQL prints them with extra_float_digits > 0 (src/common/d2s.c, f2s.c): the fewest digits that lie strictly
 * nearer to the number than to any other, of those the nearest, of two as near the even one.
 *
 * JavaScript also takes a decimal exactly half way to a neighbour where that reads back, so its text can be one digit shorter.
 */
interface FloatFormat {
  /** Bits of the mantissa, the hidden one included. */
  readonly precision: number
  readonly exponentBias: number
  /** Digits that tell any two numbers apart. */
  readonly maxDigits: number
  /** Powers of ten from here on are printed with an exponent: DBL_DIG and FLT_DIG. */
  readonly fixedBelow: number
}

const FORMATS: Record<32 | 64, FloatFormat> = {
  32: { precision: 24, exponentBias: 149, maxDigits: 9, fixedBelow: 6 },
  64: { precision: 53, exponentBias: 1074, maxDigits: 17, fixedBelow: 15 },
}

/** With more binary places than this, no decimal of 18 digits is half way between two doubles, and JavaScript's text holds. */
const MAX_EXACT_PLACES = 30

/** What is in [FIXED_FROM, FIXED_BELOW) is printed without an exponent, by PostgreSQL and by JavaScript. */
const FIXED_FROM = 1e-4
const FIXED_BELOW = 1e15
const scratch = new DataView(new ArrayBuffer(8))

export function formatFloat(value: number, bits: 32 | 64): string {
  if (Number.isNaN(value)) return 'NaN'
  if (!Number.isFinite(value)) return value > 0 ? 'Infinity' : '-Infinity'
  if (value === 0) return Object.is(value, -0) ? '-0' : '0'
  if (bits === 64 && Math.abs(value) >= FIXED_FROM && Math.abs(value) < FIXED_BELOW) {
    const text = String(value)
    if (isSure(value, text)) return text
  }
  const sign = value < 0 ? '-' : ''
  const { digits, exponent } = shortest(Math.abs(value), bits)
  if (exponent < -4 || exponent >= FORMATS[bits].fixedBelow) {
    const fraction = digits.length > 1 ? `.${digits.slice(1)}` : ''
    const exponentDigits = String(Math.abs(exponent)).padStart(2, '0')
    return `${sign}${digits[0]!}${fraction}e${exponent < 0 ? '-' : '+'}${exponentDigits}`
  }
  if (exponent < 0) return `${sign}0.${'0'.repeat(-exponent - 1)}${digits}`
  if (digits.length <= exponent + 1) return sign + digits.padEnd(exponent + 1, '0')
  return `${sign}${digits.slice(0, exponent + 1)}.${digits.slice(exponent + 1)}`
}

const double = new Float64Array(1)
/** Low word, high word. */
const words = new Int32Array(double.buffer)

/**
 * Whether JavaScript's text is PostgreSQL's. The number is mantissa × 2^-places; half way to its neighbours lies what has one binary
 * place more, and so as many decimals: a text of fewer is not there. Nor is it one of two texts that are as near, if the number itself
 * does not have exactly one decimal more.
 */
function isSure(value: number, text: string): boolean {
  double[0] = value
  const low = words[0]!
  const high = words[1]!
  const places = 1075 - ((high >>> 20) & 0x7ff)
  const zeros = low === 0 ? 32 + trailingZerosOf(high | 0x100000) : trailingZerosOf(low)
  const point = text.indexOf('.')
  const decimals = point === -1 ? 0 : text.length - 1 - point
  return decimals <= places && decimals + 1 !== places - zeros
}

function trailingZerosOf(word: number): number {
  return 31 - Math.clz32(word & -word)
}

interface Decimal {
  /** Without leading and trailing zeros. */
  readonly digits: string
  /** Power of ten of the first digit. */
  readonly exponent: number
}

function shortest(value: number, bits: 32 | 64): Decimal {
  const { mantissa, exponent } = split(value, bits)
  if (bits === 64) {
    const places = -exponent - trailingZeros(mantissa)
    if (places > MAX_EXACT_PLACES) return fromExponential(value.toExponential())
  }
  return shortestExactly(mantissa, exponent, FORMATS[bits], fromExponential(value.toExponential()).exponent)
}

/** value = mantissa × 2^exponent. */
function split(value: number, bits: 32 | 64): { mantissa: bigint; exponent: number } {
  if (bits === 64) scratch.setFloat64(0, value)
  else scratch.setFloat32(0, value)
  const raw = bits === 64 ? scratch.getBigUint64(0) : BigInt(scratch.getUint32(0))
  const { precision, exponentBias } = FORMATS[bits]
  const fractionBits = BigInt(precision - 1)
  const biased = Number(raw >> fractionBits)
  const fraction = BigInt.asUintN(precision - 1, raw)
  return biased === 0
    ? { mantissa: fraction, exponent: -exponentBias }
    : { mantissa: fraction | (1n << fractionBits), exponent: biased - 1 - exponentBias }
}

/** `magnitude`: the power of ten of the value's first digit. */
function shortestExactly(
  mantissa: bigint,
  exponent: number,
  format: FloatFormat,
  magnitude: number,
): Decimal {
  // Below a power of two the neighbour is half as far.
  const narrow = mantissa === 1n << BigInt(format.precision - 1) && exponent > -format.exponentBias
  // All in quarters of the last place: value, and half way to its neighbours.
  const value = 4n * mantissa
  const low = value - (narrow ? 1n : 2n)
  const high = value + 2n
  const binaryExponent = exponent - 2
  const up = binaryExponent > 0 ? 1n << BigInt(binaryExponent) : 1n
  const down = binaryExponent < 0 ? 1n << BigInt(-binaryExponent) : 1n
  for (let count = 1; ; count++) {
    const decimalExponent = magnitude - count + 1
    const tenUp = decimalExponent > 0 ? 10n ** BigInt(decimalExponent) : 1n
    const tenDown = decimalExponent < 0 ? 10n ** BigInt(-decimalExponent) : 1n
    // Common denominator: a decimal n is n × unit, a float q is q × quarter.
    const unit = tenUp * down
    const quarter = up * tenDown
    const floor = (value * quarter) / unit
    const twiceRest = 2n * (value * quarter - floor * unit)
    const roundUp = twiceRest > unit || (twiceRest === unit && (floor & 1n) === 1n)
    const nearest = roundUp ? floor + 1n : floor
    for (const candidate of [nearest, roundUp ? floor : floor + 1n]) {
      const place = candidate * unit
      if ((place > low * quarter && place < high * quarter) || count === format.maxDigits) {
        const text = candidate.toString()
        return { digits: text.replace(/0+$/, ''), exponent: text.length - 1 + decimalExponent }
      }
    }
  }
}

function fromExponential(text: string): Decimal {
  const [mantissa = '', exponent = ''] = text.split('e')
  return { digits: mantissa.replace('.', ''), exponent: Number(exponent) }
}

function trailingZeros(value: bigint): number {
  let zeros = 0
  for (let rest = value; (rest & 1n) === 0n; rest >>= 1n) zeros++
  return zeros
}
