/**
 * The lossless types a column can have while it is inside Trunkline, and how a batch stores each.
 *
 * Storage is Arrow's layout (https://arrow.apache.org/docs/format/Columnar.html), little-endian, with the
 * deviations named here. Every value is exactly what the server sent; mappings that lose something are applied
 * by a destination and announced by `plan`.
 */
export type ColumnType = ElementType | ListType

/** int32 offsets into the elements, which are a column of their own and can be null: one-dimensional, lists of lists do not exist. */
export interface ListType {
  readonly kind: 'list'
  readonly element: ElementType
}

/** Every type but the list. */
export type ElementType =
  /** Bit-packed, least significant bit first. */
  | { readonly kind: 'bool' }
  /** Two's complement of `bits` bits. */
  | { readonly kind: 'int'; readonly bits: 16 | 32 | 64 }
  /** IEEE 754; −0, NaN and infinities are values like any other. */
  | { readonly kind: 'float'; readonly bits: 32 | 64 }
  /**
   * Unscaled two's complement integer: 8 bytes where precision ≤ 18, else 16 bytes.
   * 1 ≤ precision ≤ 38, 0 ≤ scale ≤ precision.
   */
  | { readonly kind: 'decimal'; readonly precision: number; readonly scale: number }
  /** int32 days since 1970-01-01; ±infinity is ±{@link DATE_INFINITY}. */
  | { readonly kind: 'date' }
  /** int64 microseconds since midnight, 0 to 86 400 000 000 inclusive (24:00:00 is a time in PostgreSQL). */
  | { readonly kind: 'time' }
  /**
   * int64 microseconds since 1970-01-01T00:00:00 (UTC where `utc`), nanoseconds where `unit` says so, which reach from 1677-09-22
   * to 2262-04-11; ±infinity is ±{@link TIMESTAMP_INFINITY} in both.
   */
  | { readonly kind: 'timestamp'; readonly utc: boolean; readonly unit?: 'ns' }
  /** 16 bytes: int32 months, int32 days, int64 microseconds. */
  | { readonly kind: 'interval' }
  /** int32 offsets and UTF-8 bytes: the value itself, or the server's own output text of a type without a kind. */
  | { readonly kind: 'text' }
  /** int32 offsets and UTF-8 bytes of one JSON document. */
  | { readonly kind: 'json' }
  /** 16 bytes in network order. */
  | { readonly kind: 'uuid' }
  /** int32 offsets and bytes. */
  | { readonly kind: 'binary' }

export type ColumnKind = ColumnType['kind']

/** `date` infinity; −DATE_INFINITY is −infinity. Outside PostgreSQL's range (to the year 5 874 897). */
export const DATE_INFINITY = 2_147_483_647
/** `timestamp` infinity; −TIMESTAMP_INFINITY is −infinity. */
export const TIMESTAMP_INFINITY = 9_223_372_036_854_775_807n

export interface Field {
  readonly name: string
  readonly type: ColumnType
  readonly nullable: boolean
}

/** Bytes of one value, or null for kinds of variable width and for bit-packed bool. */
export function fixedWidth(type: ColumnType): number | null {
  switch (type.kind) {
    case 'int':
    case 'float':
      return type.bits / 8
    case 'decimal':
      return type.precision <= 18 ? 8 : 16
    case 'date':
      return 4
    case 'time':
    case 'timestamp':
      return 8
    case 'interval':
    case 'uuid':
      return 16
    case 'bool':
    case 'text':
    case 'json':
    case 'binary':
    case 'list':
      return null
    default:
      return unreachable(type)
  }
}

/** Marks a branch that the type system has proved empty. */
export function unreachable(value: never): never {
  throw new Error(`unreachable: ${JSON.stringify(value)}`)
}
