/** Arrow files read by apache-arrow, value by value over its own memory, as its getters round times to milliseconds. */
import { readFile } from 'node:fs/promises'
import { tableFromIPC, type Data } from 'apache-arrow'
import type { Field } from '../../../src/model/column-type.js'
import type { Plain } from '../../../src/testing/plain.js'

/** Of columns that are no lists. A table that lacks a column has nulls. */
export async function readArrow(
  files: readonly string[],
  columns: readonly Field[],
): Promise<readonly (readonly Plain[])[]> {
  const rows: Plain[][] = []
  for (const file of files) {
    const table = tableFromIPC(await readFile(file))
    const read = columns.map(({ name, type }) => {
      const vector = table.getChild(name)
      if (vector === null) return Array.from({ length: table.numRows }, () => null)
      return vector.data.flatMap((data) =>
        Array.from({ length: data.length }, (_, row) =>
          data.getValid(row) ? readValue(type, data, row) : null,
        ),
      )
    })
    for (let row = 0; row < table.numRows; row++) rows.push(read.map((values) => values[row] ?? null))
  }
  return rows
}

function readValue(type: Field['type'], data: Data, row: number): Plain {
  // What apache-arrow types as any: memory in the layout of the column's type.
  const { values, valueOffsets } = data as { values: unknown; valueOffsets: Int32Array | undefined }
  const bytesOf = (width: number): DataView => {
    const { buffer, byteOffset } = values as Uint8Array
    return new DataView(buffer, byteOffset + row * width, width)
  }
  switch (type.kind) {
    case 'bool': {
      const at = data.offset + row
      return (((values as Uint8Array)[at >> 3] ?? 0) >> (at & 7)) % 2 === 1
    }
    case 'int':
    case 'float':
    case 'date':
    case 'time':
    case 'timestamp':
      return (values as ArrayLike<number | bigint>)[row] ?? null
    case 'decimal': {
      const view = bytesOf(16)
      const unscaled = (view.getBigInt64(8, true) << 64n) | view.getBigUint64(0, true)
      const digits = String(unscaled < 0n ? -unscaled : unscaled).padStart(type.scale + 1, '0')
      const point = digits.length - type.scale
      const text = type.scale === 0 ? digits : `${digits.slice(0, point)}.${digits.slice(point)}`
      return unscaled < 0n ? `-${text}` : text
    }
    case 'interval': {
      const view = bytesOf(16)
      return [view.getInt32(0, true), view.getInt32(4, true), view.getBigInt64(8, true) / 1000n]
    }
    case 'uuid': {
      const hex = Buffer.from((values as Uint8Array).subarray(row * 16, row * 16 + 16)).toString('hex')
      return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')
    }
    case 'text':
    case 'json':
    case 'binary': {
      const bytes = (values as Uint8Array).subarray(valueOffsets?.[row] ?? 0, valueOffsets?.[row + 1] ?? 0)
      return type.kind === 'binary' ? bytes : Buffer.from(bytes).toString()
    }
    case 'list':
      throw new Error('lists are read elsewhere')
  }
}
