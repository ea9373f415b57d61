/** What the decoder is told about each column of a COPY: how its bytes arrive and what they become. */
import type { Field } from '../model/column-type.js'

/**
 * How a field's bytes are laid out in COPY BINARY, from each type's `typsend` in the PostgreSQL source.
 * `text` takes any bytes as they are: text-like types, and every type selected as its own output text.
 */
export type WireFormat =
  | ElementWire
  /** A one-dimensional array, of elements that each have a format of their own. */
  | 'array'

/** What the elements of an array can be, as any value else. */
export type ElementWire =
  | 'bool'
  | 'int2'
  | 'int4'
  | 'int8'
  | 'float4'
  | 'float8'
  | 'numeric'
  | 'date'
  | 'time'
  | 'timestamp'
  | 'interval'
  | 'uuid'
  | 'text'
  | 'bytea'
  /** One version byte, then JSON text. */
  | 'jsonb'
  /** 32-bit unsigned, landed as int64: oid and, for the window, xmin. */
  | 'oid'

export interface DecoderColumn extends Field {
  readonly wire: WireFormat
  /** Of an array. */
  readonly elementWire?: ElementWire
  /** A value outside the landing type (NaN in a decimal, a date past the type's range): fail or become null. */
  readonly unrepresentable: 'error' | 'null'
}
