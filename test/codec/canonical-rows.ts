/**
 * Values in one form for all readers that are not ours: whole numbers, unscaled decimals, days and microseconds as text; floats as text
 * that tells −0 and NaN; texts and bytes in hexadecimal; intervals as `months/days/micros`.
 */
import { expect } from 'vitest'
import type { Batch } from '../../src/batch/batch.js'
import { columnReader } from '../../src/batch/column-reader.js'
import { TIMESTAMP_INFINITY, type ColumnType, type Field } from '../../src/model/column-type.js'

export type Canonical = string | boolean | null | readonly Canonical[]

export function canonicalRows(batches: readonly Batch[]): Canonical[][] {
  return batches.flatMap((batch) => {
    const readers = batch.fields.map(({ type }, index) => {
      const read = columnReader(batch, index)
      return (row: number) => canonicalValue(type, read(row))
    })
    return Array.from({ length: batch.rowCount }, (_, row) => readers.map((read) => read(row)))
  })
}

/** `value` as batches store it. */
export function canonicalValue(type: ColumnType, value: unknown): Canonical {
  if (value === null || value === undefined) return null
  switch (type.kind) {
    case 'list':
      return (value as unknown[]).map((element) => canonicalValue(type.element, element))
    case 'bool':
      return value as boolean
    case 'float':
      return canonicalFloat(value as number)
    case 'interval': {
      const { months, days, micros } = value as { months: number; days: number; micros: bigint }
      return `${months}/${days}/${micros}`
    }
    case 'text':
    case 'json':
    case 'uuid':
    case 'binary':
      return Buffer.from(value as Uint8Array).toString('hex')
    default:
      return (value as number | bigint).toString()
  }
}

export const canonicalFloat = (value: number): string => (Object.is(value, -0) ? '-0' : String(value))

/** PostgreSQL has microseconds; a timestamp in nanoseconds is compared as such. */
export function canonicalNanos(nanos: bigint): string {
  const infinite = nanos === TIMESTAMP_INFINITY || nanos === -TIMESTAMP_INFINITY
  return String(infinite ? nanos : nanos / 1000n)
}

/** A comparison that says where rows differ takes seconds where they do not. */
export function expectRows(reader: string, found: Canonical[][], expected: Canonical[][]): void {
  expect(found.length, `rows by ${reader}`).toBe(expected.length)
  if (JSON.stringify(found) !== JSON.stringify(expected)) expect(found, reader).toEqual(expected)
}

/** Polars has no time 24:00:00. */
export function withoutMidnight(fields: readonly Field[], rows: readonly Canonical[][]): Canonical[][] {
  const without = (value: Canonical): Canonical => {
    if (Array.isArray(value)) return value.map(without)
    return value === '86400000000' ? null : value
  }
  const isTime = fields.map(({ type }) => (type.kind === 'list' ? type.element : type).kind === 'time')
  return rows.map((row) => row.map((value, index) => (isTime[index] === true ? without(value) : value)))
}
