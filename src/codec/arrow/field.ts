/**
 * Which Arrow type a field has, as data: what IPC messages and `toArrow` are both made from.
 * https://arrow.apache.org/docs/format/Columnar.html, https://arrow.apache.org/docs/format/CanonicalExtensions.html
 */
import { unreachable, type ColumnType, type Field } from '../../model/column-type.js'

export type ArrowType =
  | { readonly kind: 'bool' | 'date' | 'time' | 'interval' | 'utf8' | 'binary' }
  /** Signed. */
  | { readonly kind: 'int'; readonly bits: 16 | 32 | 64 }
  | { readonly kind: 'float'; readonly bits: 32 | 64 }
  /** Of 128 bits, whatever the precision: many consumers know no other width. */
  | { readonly kind: 'decimal'; readonly precision: number; readonly scale: number }
  | { readonly kind: 'timestamp'; readonly unit: 'us' | 'ns'; readonly zone: 'UTC' | null }
  | { readonly kind: 'fixed'; readonly bytes: number }
  | { readonly kind: 'list'; readonly element: ArrowField }

/** Always nullable: a column that may not be null at the source can still have been read as null. */
export interface ArrowField {
  readonly name: string
  readonly type: ArrowType
  readonly metadata: Readonly<Record<string, string>>
}

/** What elements of lists are called by most that write them. */
const ELEMENT_NAME = 'item'

export function toArrowField({ name, type }: Pick<Field, 'name' | 'type'>): ArrowField {
  return { name, type: toArrowType(type), metadata: extensionOf(type) }
}

function toArrowType(type: ColumnType): ArrowType {
  switch (type.kind) {
    case 'bool':
    case 'date':
    case 'time':
    case 'interval':
    case 'binary':
      return { kind: type.kind }
    case 'int':
      return { kind: 'int', bits: type.bits }
    case 'float':
      return { kind: 'float', bits: type.bits }
    case 'decimal':
      return { kind: 'decimal', precision: type.precision, scale: type.scale }
    case 'timestamp':
      return { kind: 'timestamp', unit: type.unit ?? 'us', zone: type.utc ? 'UTC' : null }
    case 'text':
    case 'json':
      return { kind: 'utf8' }
    case 'uuid':
      return { kind: 'fixed', bytes: 16 }
    case 'list':
      return { kind: 'list', element: toArrowField({ name: ELEMENT_NAME, type: type.element }) }
    default:
      return unreachable(type)
  }
}

/** Arrow's canonical extension types, which have no parameters. */
function extensionOf(type: ColumnType): Readonly<Record<string, string>> {
  if (type.kind !== 'json' && type.kind !== 'uuid') return {}
  return { 'ARROW:extension:name': `arrow.${type.kind}`, 'ARROW:extension:metadata': '' }
}
