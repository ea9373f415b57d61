/** What each wire format lands as, and how many bytes it has. */
import type { ColumnKind, ColumnType } from '../model/column-type.js'
import { TrunklineError } from '../model/error.js'
import type { DecoderColumn, WireFormat } from './decoder-column.js'

interface WireEntry {
  /** Bytes of every value that is not null; null for variable ones. */
  readonly length: number | null
  readonly lands: readonly ColumnKind[]
  /** Bits, where the kind has several widths. */
  readonly bits?: number
}

export const WIRE_FORMATS: Record<WireFormat, WireEntry> = {
  bool: { length: 1, lands: ['bool'] },
  int2: { length: 2, lands: ['int'], bits: 16 },
  int4: { length: 4, lands: ['int'], bits: 32 },
  int8: { length: 8, lands: ['int'], bits: 64 },
  oid: { length: 4, lands: ['int'], bits: 64 },
  float4: { length: 4, lands: ['float'], bits: 32 },
  float8: { length: 8, lands: ['float'], bits: 64 },
  numeric: { length: null, lands: ['decimal'] },
  date: { length: 4, lands: ['date'] },
  time: { length: 8, lands: ['time'] },
  timestamp: { length: 8, lands: ['timestamp'] },
  interval: { length: 16, lands: ['interval'] },
  uuid: { length: 16, lands: ['uuid'] },
  text: { length: null, lands: ['text', 'json', 'binary'] },
  bytea: { length: null, lands: ['binary'] },
  jsonb: { length: null, lands: ['json', 'text'] },
  array: { length: null, lands: ['list'] },
}

/** @throws INTERNAL for a wire format that cannot become the column's type: a plan that is wrong, not data. */
export function assertDecodable(column: DecoderColumn): void {
  const fits =
    landsAs(column.wire, column.type) &&
    (column.type.kind !== 'list' ||
      (column.elementWire !== undefined && landsAs(column.elementWire, column.type.element)))
  if (!fits) {
    const { wire, elementWire } = column
    const bytes = elementWire === undefined ? wire : `${wire} of ${elementWire}`
    throw new TrunklineError(
      'INTERNAL',
      `Column ${column.name} cannot be decoded: ${bytes} does not land as ${JSON.stringify(column.type)}.`,
      { context: { field: column.name } },
    )
  }
}

function landsAs(format: WireFormat, type: ColumnType): boolean {
  const wire = WIRE_FORMATS[format]
  return (
    wire.lands.includes(type.kind) &&
    (wire.bits === undefined || !('bits' in type) || type.bits === wire.bits) &&
    (type.kind !== 'decimal' ||
      (type.precision >= 1 && type.precision <= 38 && type.scale >= 0 && type.scale <= type.precision))
  )
}
