/**
 * Calls a user's own function for each row of a batch. Only columns in which it changed a value are built again; the others are
 * copied, and a batch in which it changed nothing passes as it is.
 */
import type { Batch } from '../batch/batch.js'
import { buildBatch } from '../batch/build-batch.js'
import { valueReader, type Value } from '../batch/rows.js'
import { filterRows } from '../batch/select.js'
import { unreachable, type ColumnType, type Field } from '../model/column-type.js'
import { TrunklineError } from '../model/error.js'
import type { HookContext, HookRow, RowValue } from '../model/hooks.js'
import { assembleBatch, copyColumn, type Build } from './assemble.js'
import { textColumn } from './made-columns.js'
import type { RowHook, TransformSpec } from './transform-spec.js'

/** Half of a pair of UTF-16 units, which UTF-8 cannot hold. */
const HALF_CHARACTER = /\p{Surrogate}/u

export interface RowHookOptions {
  /** Of the batches, in their order. */
  readonly fields: readonly Field[]
  /** Columns that must stay as they are. */
  readonly key: readonly string[] | null
  readonly mayDrop: boolean
}

export function createRowHook(
  { stream }: Pick<TransformSpec, 'stream'>,
  hook: RowHook,
  { fields, key, mayDrop }: RowHookOptions,
): (batch: Batch) => Batch {
  const context: HookContext = Object.freeze({ stream, fields, options: hook.options })
  const isKey = fields.map(({ name }) => key?.includes(name) === true)
  const fail = (what: string, field: string | null, cause?: unknown): TrunklineError =>
    hookFailed({ stream, name: hook.name, what, field, cause })

  const call = (row: HookRow): HookRow | null => {
    let given: unknown
    try {
      given = hook.transformRow(row, context)
    } catch (cause) {
      // The message of what was thrown may hold a value of the row.
      throw fail(`threw ${cause instanceof Error ? cause.name : 'a value'}${placeOf(cause)}`, null)
    }
    if (given === null) return null
    if (typeof given !== 'object' || Array.isArray(given)) {
      throw fail(`returned ${given === undefined ? 'nothing' : 'what is no row'}`, null)
    }
    if (typeof (given as { then?: unknown }).then === 'function') {
      throw fail('returned a promise; it has to return the row itself', null)
    }
    return given as HookRow
  }
  const refuseOthers = (row: HookRow): void => {
    const extra = Object.keys(row).find((name) => !fields.some((field) => field.name === name))
    throw fail(
      extra === undefined
        ? 'returned a row with other columns'
        : `returned a column "${extra}" that the row does not have`,
      extra ?? null,
    )
  }

  return (batch) => {
    const readers = fields.map((_, index) => valueReader(batch, index))
    const keep = new Uint8Array(batch.rowCount)
    /** By column, then by row; what is not there is as it was. */
    const changed: (Value[] | undefined)[] = []
    const before: RowValue[] = []
    for (let row = 0; row < batch.rowCount; row++) {
      const record: HookRow = {}
      for (let column = 0; column < fields.length; column++) {
        const value = readers[column]!(row)
        before[column] = value
        define(record, fields[column]!.name, value)
      }
      const given = call(record)
      if (given === null) {
        if (!mayDrop) throw fail('left out a row', null)
        continue
      }
      keep[row] = 1
      for (let column = 0; column < fields.length; column++) {
        const field = fields[column]!
        const value: unknown = Object.hasOwn(given, field.name) ? given[field.name] : undefined
        // Bytes and lists may have been changed where they are.
        if (Object.is(value, before[column]) && (typeof value !== 'object' || value === null)) continue
        const problem = problemOf(field.type, value)
        if (problem !== null) throw fail(`returned ${problem} for "${field.name}"`, field.name)
        if (sameParts(value, readers[column]!(row))) continue
        if (isKey[column] === true)
          throw fail(`changed "${field.name}", which is part of the key`, field.name)
        const values = (changed[column] ??= new Array<Value>(batch.rowCount))
        values[row] = value as Value
      }
      if (Object.keys(given).length !== fields.length) refuseOthers(given)
    }
    const kept = filterRows(batch, keep)
    if (changed.every((values) => values === undefined)) return kept
    const rows = Array.from(keep.keys()).filter((row) => keep[row] === 1)
    const builds = fields.map((field, column): Build => {
      const values = changed[column]
      if (values === undefined) return copyColumn(kept, column)
      const valueOf = (index: number): Value => {
        const row = rows[index]!
        const value = values[row]
        return value === undefined ? readers[column]!(row) : value
      }
      if (field.type.kind === 'text')
        return textColumn(rows.length, (index) => valueOf(index) as string | null)
      try {
        const single = rows.map((_, index) => [valueOf(index)])
        return copyColumn(buildBatch([{ ...field, nullable: true }], single), 0)
      } catch {
        throw fail(`returned a value for "${field.name}" that is no ${field.type.kind}`, field.name)
      }
    })
    return assembleBatch(fields, kept.rowCount, builds)
  }
}

/** A column may be called what an object inherits. */
function define(record: HookRow, name: string, value: RowValue): void {
  if (name !== '__proto__') record[name] = value
  else Object.defineProperty(record, name, { value, enumerable: true, writable: true, configurable: true })
}

/** What is wrong with a value for a column; null where nothing is. Text is looked into when the column is built. */
function problemOf(type: ColumnType, value: unknown): string | null {
  if (value === undefined) return 'nothing'
  if (value === null) return null
  const wanted = wantedFor(type, value)
  return wanted === null ? null : `${nameOf(value)} where ${wanted} belongs`
}

function nameOf(value: unknown): string {
  if (value instanceof Uint8Array) return 'bytes'
  if (Array.isArray(value)) return 'an array'
  if (typeof value === 'object') return 'an object'
  return typeof value === 'number' && !Number.isInteger(value) ? 'a broken number' : `a ${typeof value}`
}

/** What had to be given; null where that is what was. */
function wantedFor(type: ColumnType, value: unknown): string | null {
  switch (type.kind) {
    case 'bool':
      return typeof value === 'boolean' ? null : 'a boolean'
    case 'int': {
      const bits = type.bits
      const fits =
        bits === 64
          ? typeof value === 'bigint' || Number.isSafeInteger(value)
          : Number.isInteger(value) &&
            BigInt.asIntN(bits, BigInt(value as number)) === BigInt(value as number)
      return fits ? null : bits === 64 ? 'a bigint' : `a whole number of ${bits} bits`
    }
    case 'float':
      return typeof value === 'number' ? null : 'a number'
    case 'json':
      return typeof value === 'string' && isJson(value) ? null : 'text of a JSON document'
    case 'binary':
      return value instanceof Uint8Array ? null : 'a Uint8Array'
    case 'decimal':
    case 'date':
    case 'time':
    case 'timestamp':
    case 'interval':
    case 'uuid':
      return typeof value === 'string' ? null : 'text'
    case 'text':
      return typeof value === 'string' && !HALF_CHARACTER.test(value) ? null : 'text'
    case 'list': {
      if (!Array.isArray(value)) return 'an array'
      const wrong = value.findIndex((part: unknown) => problemOf(type.element, part) !== null)
      return wrong < 0 ? null : `an array in which each is ${wantedFor(type.element, value[wrong]) ?? 'text'}`
    }
    default:
      return unreachable(type)
  }
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

/** Of bytes and lists: whether they hold what was there before. */
function sameParts(value: unknown, before: RowValue): boolean {
  if (value instanceof Uint8Array) return before instanceof Uint8Array && Buffer.compare(value, before) === 0
  if (!Array.isArray(value) || !Array.isArray(before) || value.length !== before.length) return false
  return value.every((part: unknown, index) => {
    const other = before[index] as RowValue
    return Object.is(part, other) || sameParts(part, other)
  })
}

/** Where in the hook's own file it was thrown: a line and a column say nothing of the row. */
function placeOf(cause: unknown): string {
  const stack = cause instanceof Error ? (cause.stack ?? '') : ''
  const place = /^\s+at .*?([^/\\()\s]+:\d+:\d+)\)?$/m.exec(stack)?.[1]
  return place === undefined ? '' : ` at ${place.replace(/\?[^:]*/, '')}`
}

function hookFailed(failure: {
  readonly stream: string
  readonly name: string
  readonly what: string
  readonly field: string | null
  readonly cause?: unknown
}): TrunklineError {
  const { stream, name, what, field } = failure
  return new TrunklineError('HOOK_FAILED', `${name} ${what}, for ${stream}.`, {
    hint:
      what === 'left out a row'
        ? 'Where deleted rows are looked for, rows may not be left out: use `where` to choose rows, or `mode: full_refresh`.'
        : 'A hook returns the row that it was given, with values of the same types, or null. Columns are added with `add_columns`.',
    context: { stream, ...(field === null ? {} : { field }) },
  })
}
