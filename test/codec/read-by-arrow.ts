/** Values out of Arrow vectors, past the conversions of their accessors, in the form that `exactRows` has. */
import { DataType, TimeUnit, type RecordBatch, type Vector } from 'apache-arrow'

const MAX_LONG = 2n ** 63n - 1n

/** By row, by column. Nanoseconds are microseconds again, as whoever reads single values has them. */
export function rowsOf(batches: readonly RecordBatch[]): unknown[][] {
  return batches.flatMap((batch) => {
    const vectors = batch.schema.fields.map((_, index) => batch.getChildAt(index)!)
    return Array.from({ length: batch.numRows }, (_, row) => vectors.map((vector) => exactValue(vector, row)))
  })
}

function exactValue(vector: Vector, row: number): unknown {
  if (!vector.isValid(row)) return null
  const { type } = vector
  const [data] = vector.data
  const values = data!.values as Int32Array | BigInt64Array | Uint8Array
  if (DataType.isList(type)) {
    const list = vector.get(row) as Vector
    return Array.from({ length: list.length }, (_, index) => exactValue(list, index))
  }
  if (DataType.isDate(type) || DataType.isTime(type)) return String(values[row])
  if (DataType.isTimestamp(type)) {
    const stored = values[row] as bigint
    const infinite = stored === MAX_LONG || stored === -MAX_LONG
    return String(type.unit === TimeUnit.NANOSECOND && !infinite ? stored / 1000n : stored)
  }
  if (DataType.isDecimal(type)) {
    const words = Uint32Array.from((values as Int32Array).subarray(4 * row, 4 * row + 4))
    const [low = 0n, high = 0n] = new BigInt64Array(words.buffer)
    return String((high << 64n) | BigInt.asUintN(64, low))
  }
  if (DataType.isInterval(type)) {
    const words = Int32Array.from((values as Int32Array).subarray(4 * row, 4 * row + 4))
    return `${words[0]} ${words[1]} ${new BigInt64Array(words.buffer)[1]! / 1000n}`
  }
  const value: unknown = vector.get(row)
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex')
  if (typeof value === 'number') return Object.is(value, -0) ? '-0' : String(value)
  return typeof value === 'string' ? value : String(value)
}
