/** What is remembered of each landed column, so that the next run notices when its content can be another. Pure. */
import type { CatalogStream } from '../model/catalog.js'
import type { StreamFingerprint } from '../model/checkpoint.js'
import { unreachable, type ColumnType } from '../model/column-type.js'
import type { ReadColumn } from '../source/contract.js'
import type { StreamPlan } from './plan.js'

export type ColumnFingerprint = StreamFingerprint['columns'][number]

export function fingerprintColumn(stream: CatalogStream, column: ReadColumn): ColumnFingerprint {
  const source = stream.columns.find((candidate) => candidate.name === column.source)
  return {
    name: column.field.name,
    number: source?.number ?? 0,
    sqlType: `${source === undefined ? '' : describeContent(source)}${asNull(column)}`,
    landing: describeType(column.field.type),
  }
}

/**
 * Columns that the plan adds at the destination, so that turning them on or off is seen like any other change of shape.
 * Numbers below zero: no attribute of a table has one that could be landed.
 */
export function ownColumns(plan: Pick<StreamPlan, 'dated' | 'deletes'>): ColumnFingerprint[] {
  const own: ColumnFingerprint[] = []
  if (plan.dated) own.push({ name: '_trunkline_run_at', number: -1, sqlType: '', landing: 'timestamp utc' })
  if (plan.deletes === 'soft')
    own.push({ name: '_trunkline_deleted_at', number: -2, sqlType: '', landing: 'timestamp utc' })
  return own
}

/**
 * The type, and what can change a column's content without touching a row: the labels of an enum and the expression of a
 * virtual column.
 */
function describeContent(column: CatalogStream['columns'][number]): string {
  if (column.enumLabels !== null) return `${column.sqlType} ${JSON.stringify(column.enumLabels)}`
  if (column.generated === 'virtual') return `${column.sqlType} as ${column.default ?? ''}`
  return column.sqlType
}

/** Rows that landed with NULL for what does not fit are other rows than those that would have stopped the stream. */
function asNull(column: ReadColumn): string {
  return column.unrepresentable === 'null' ? ', or null' : ''
}

export function describeType(type: ColumnType): string {
  switch (type.kind) {
    case 'int':
    case 'float':
      return `${type.kind}${type.bits}`
    case 'decimal':
      return `decimal(${type.precision},${type.scale})`
    case 'timestamp':
      return `timestamp${type.utc ? ' utc' : ''}${type.unit === 'ns' ? ' ns' : ''}`
    case 'bool':
    case 'date':
    case 'time':
    case 'interval':
    case 'text':
    case 'json':
    case 'uuid':
    case 'binary':
      return type.kind
    case 'list':
      return `list of ${describeType(type.element)}`
    default:
      return unreachable(type)
  }
}

export interface LandedColumns {
  readonly columns: readonly ReadColumn[]
  /** Those that the present generation does not have yet. */
  readonly added: readonly ReadColumn[]
}
