/** Columns that are added to rows: their types and values, from what a configuration says. */
import { buildBatch } from '../batch/build-batch.js'
import type { Value } from '../batch/rows.js'
import type { AddedColumn, AddedConstant, ConstantType, RowFact } from '../model/added-column.js'
import { unreachable, type ColumnType, type Field } from '../model/column-type.js'
import { TrunklineError } from '../model/error.js'

export interface AddedField {
  readonly field: Field
  readonly content: { readonly kind: 'constant'; readonly value: Value } | { readonly kind: RowFact }
}

export function isConstant({ content }: AddedField): boolean {
  return content.kind === 'constant'
}

/** A column that tells of the run rather than of the row: another value in each run. */
export function isRunFact({ content }: AddedField): boolean {
  return content.kind === 'run_at' || content.kind === 'epoch_seconds'
}

/** @throws CONFIG_INVALID */
export function parseAdded(stream: string, name: string, stated: AddedColumn): AddedField {
  const column = typeof stated === 'object' ? stated : { value: stated }
  if ('from' in column) {
    return { field: { name, type: factType(column.from), nullable: false }, content: { kind: column.from } }
  }
  const type = constantType(column)
  if (type === null) {
    throw invalidConstant(stream, name, 'null needs a `type`: text, bigint, double, boolean or timestamp')
  }
  const field = { name, type: columnTypeOf(type), nullable: column.value === null }
  const value = convertConstant(column.value, type)
  if (value === undefined) throw invalidConstant(stream, name, `the value is no ${type}`)
  try {
    buildBatch([field], [[value]])
  } catch {
    throw invalidConstant(stream, name, `the value is no ${type}`)
  }
  return { field, content: { kind: 'constant', value } }
}

function invalidConstant(stream: string, name: string, what: string): TrunklineError {
  return new TrunklineError('CONFIG_INVALID', `The added column "${name}" of ${stream}: ${what}.`, {
    hint: "For example `add_columns: { region: eu, since: { value: '2024-01-01T00:00:00Z', type: timestamp }, synced_at: { from: run_at } }`.",
    context: { stream, field: name },
  })
}

function constantType({ value, type }: AddedConstant): ConstantType | null {
  if (type !== undefined) return type
  switch (typeof value) {
    case 'string':
      return 'text'
    case 'boolean':
      return 'boolean'
    case 'bigint':
      return 'bigint'
    case 'number':
      return Number.isSafeInteger(value) ? 'bigint' : 'double'
    default:
      return null
  }
}

/** Also from text, which is all that a `${VAR}` gives; undefined where the value is of another type. */
function convertConstant(value: AddedConstant['value'], type: ConstantType): Value | undefined {
  if (value === null) return null
  const text = typeof value === 'string' ? value.trim() : String(value)
  switch (type) {
    case 'text':
      return String(value)
    case 'bigint':
      return /^-?\d+$/.test(text) ? BigInt(text) : undefined
    case 'double':
      return typeof value === 'boolean' || text === '' || Number.isNaN(Number(text))
        ? undefined
        : Number(text)
    case 'boolean':
      return text === 'true' ? true : text === 'false' ? false : undefined
    case 'timestamp':
      return typeof value === 'string' ? withoutOffset(text) : undefined
    default:
      return unreachable(type)
  }
}

/** As the instant in UTC, which is also what a text without an offset is in. */
function withoutOffset(text: string): string {
  const instant = /[+-]\d\d:?\d\d$/.test(text) ? Date.parse(text) : Number.NaN
  return Number.isNaN(instant) ? text : new Date(instant).toISOString()
}

function columnTypeOf(type: ConstantType): ColumnType {
  switch (type) {
    case 'text':
      return { kind: 'text' }
    case 'bigint':
      return { kind: 'int', bits: 64 }
    case 'double':
      return { kind: 'float', bits: 64 }
    case 'boolean':
      return { kind: 'bool' }
    case 'timestamp':
      return { kind: 'timestamp', utc: true }
    default:
      return unreachable(type)
  }
}

function factType(fact: RowFact): ColumnType {
  switch (fact) {
    case 'run_at':
      return columnTypeOf('timestamp')
    case 'epoch_seconds':
      return columnTypeOf('double')
    case 'row_id':
      return columnTypeOf('text')
    default:
      return unreachable(fact)
  }
}
