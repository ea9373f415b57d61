/**
 * Flatbuffers (https://flatbuffers.dev/internals/), as much of them as Arrow's messages need, written front to back:
 *
 *   root:    u32 offset of the root table
 *   table:   i32 distance back to its vtable, then its fields: scalars in place, anything else by a u32 distance forward
 *   vtable:  u16 bytes of itself, u16 bytes of the table, u16 per slot: where the field is in the table, 0 where it has none
 *   text:    u32 bytes, UTF-8, NUL
 *   vector:  u32 count, then structs in place, or a u32 distance forward per table
 *
 * All little-endian. What has n bytes begins at a multiple of n; the result begins at a multiple of 8 and is a multiple of 8 long.
 */
export type FlatValue =
  | { readonly kind: 'scalar'; readonly bytes: 1 | 2 | 4 | 8; readonly value: number }
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'tables'; readonly tables: readonly FlatTable[] }
  /** `words` 64-bit words in each struct: all that Arrow has are made of these. */
  | { readonly kind: 'structs'; readonly words: number; readonly values: readonly number[] }
  | FlatTable

/** Fields by slot, in the order of the schema; null is the default. */
export interface FlatTable {
  readonly kind: 'table'
  readonly slots: readonly (FlatValue | null)[]
}

export const table = (...slots: (FlatValue | null)[]): FlatTable => ({ kind: 'table', slots })
export const tables = (values: readonly FlatTable[]): FlatValue => ({ kind: 'tables', tables: values })
export const text = (value: string): FlatValue => ({ kind: 'text', text: value })
export const u8 = (value: number): FlatValue => ({ kind: 'scalar', bytes: 1, value })
export const i16 = (value: number): FlatValue => ({ kind: 'scalar', bytes: 2, value })
export const i32 = (value: number): FlatValue => ({ kind: 'scalar', bytes: 4, value })
/** Of at most 53 bits. */
export const i64 = (value: number): FlatValue => ({ kind: 'scalar', bytes: 8, value })
export const structs = (words: number, values: readonly number[]): FlatValue => ({
  kind: 'structs',
  words,
  values,
})

const FIRST_BYTES = 1024
const TWO_32 = 2 ** 32

export function encodeFlatbuffer(root: FlatTable): Uint8Array {
  const writer = new FlatWriter()
  const slot = writer.reserve(4, 4)
  writer.point(slot, writer.write(root))
  return writer.finish()
}

class FlatWriter {
  #view = new DataView(new ArrayBuffer(FIRST_BYTES))
  #end = 0

  /** Room at the end for `bytes`, zeroed, so that the byte at `alignedAt` of it is at a multiple of `alignment`. */
  reserve(bytes: number, alignment: number, alignedAt = 0): number {
    const start = this.#end + ((alignment - ((this.#end + alignedAt) % alignment)) % alignment)
    this.#end = start + bytes
    if (this.#end > this.#view.byteLength) {
      const grown = new Uint8Array(Math.max(2 * this.#view.byteLength, this.#end + 8))
      grown.set(new Uint8Array(this.#view.buffer))
      this.#view = new DataView(grown.buffer)
    }
    return start
  }

  /** Lets the u32 at `slot` point at `target`, which comes after it. */
  point(slot: number, target: number): void {
    this.#view.setUint32(slot, target - slot, true)
  }

  /** Where the value begins. */
  write(value: Exclude<FlatValue, { kind: 'scalar' }>): number {
    switch (value.kind) {
      case 'text':
        return this.#writeText(value.text)
      case 'structs':
        return this.#writeStructs(value.words, value.values)
      case 'tables': {
        const start = this.reserve(4 + 4 * value.tables.length, 4)
        this.#view.setUint32(start, value.tables.length, true)
        value.tables.forEach((element, index) => {
          this.point(start + 4 + 4 * index, this.write(element))
        })
        return start
      }
      case 'table':
        return this.#writeTable(value.slots)
    }
  }

  finish(): Uint8Array {
    this.reserve(0, 8)
    return new Uint8Array(this.#view.buffer, 0, this.#end)
  }

  #writeTable(slots: FlatTable['slots']): number {
    const vtableBytes = 4 + 2 * slots.length
    const places: number[] = slots.map(() => 0)
    // The widest first, behind the 4 bytes that point back: then all are aligned when the first one is.
    let tableBytes = 4
    for (const width of [8, 4, 2, 1]) {
      slots.forEach((value, slot) => {
        if (value === null || widthOf(value) !== width) return
        places[slot] = tableBytes
        tableBytes += width
      })
    }
    const vtable = this.reserve(vtableBytes, 2)
    const start = this.reserve(tableBytes, 8, 4)
    this.#view.setUint16(vtable, vtableBytes, true)
    this.#view.setUint16(vtable + 2, tableBytes, true)
    this.#view.setInt32(start, start - vtable, true)
    slots.forEach((value, slot) => {
      const place = places[slot]!
      this.#view.setUint16(vtable + 4 + 2 * slot, place, true)
      if (value?.kind === 'scalar') this.#writeScalar(start + place, value.bytes, value.value)
    })
    slots.forEach((value, slot) => {
      if (value !== null && value.kind !== 'scalar') this.point(start + places[slot]!, this.write(value))
    })
    return start
  }

  #writeText(value: string): number {
    const bytes = new TextEncoder().encode(value)
    const start = this.reserve(4 + bytes.length + 1, 4)
    this.#view.setUint32(start, bytes.length, true)
    new Uint8Array(this.#view.buffer).set(bytes, start + 4)
    return start
  }

  #writeStructs(words: number, values: readonly number[]): number {
    const start = this.reserve(4 + 8 * values.length, 8, 4)
    this.#view.setUint32(start, values.length / words, true)
    values.forEach((value, index) => {
      this.#writeScalar(start + 4 + 8 * index, 8, value)
    })
    return start
  }

  #writeScalar(at: number, bytes: 1 | 2 | 4 | 8, value: number): void {
    if (bytes === 1) this.#view.setUint8(at, value)
    else if (bytes === 2) this.#view.setInt16(at, value, true)
    else {
      this.#view.setUint32(at, value % TWO_32, true)
      if (bytes === 8) this.#view.setInt32(at + 4, Math.floor(value / TWO_32), true)
    }
  }
}

function widthOf(value: FlatValue): number {
  return value.kind === 'scalar' ? value.bytes : 4
}
