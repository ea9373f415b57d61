/** Flatbuffers read, as `flatbuffer.ts` lays them out. They come from outside: whatever they say of themselves is checked. */

/** Bytes are not what Arrow has; the message says in what, without its end. */
export class MalformedArrow extends Error {}

const TWO_32 = 2 ** 32
/** A byte order mark is part of a name that begins with it. */
const utf8 = new TextDecoder('utf-8', { ignoreBOM: true })

export class FlatTableView {
  readonly #view: DataView
  readonly #start: number
  readonly #vtable: number
  readonly #vtableBytes: number

  private constructor(view: DataView, start: number) {
    this.#view = view
    this.#start = start
    this.#vtable = start - checked(view, start, 4).getInt32(start, true)
    this.#vtableBytes = checked(view, this.#vtable, 4).getUint16(this.#vtable, true)
    checked(view, this.#vtable, this.#vtableBytes)
  }

  /** @throws MalformedArrow, as every method */
  static root(bytes: Uint8Array): FlatTableView {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    return new FlatTableView(view, checked(view, 0, 4).getUint32(0, true))
  }

  /** `absent`: what it is where the slot has none. Of 8 bytes at most 53 bits. */
  number(slot: number, bytes: 1 | 2 | 4 | 8, absent = 0): number {
    const at = this.#place(slot)
    if (at === null) return absent
    const view = checked(this.#view, at, bytes)
    if (bytes === 1) return view.getUint8(at)
    if (bytes === 2) return view.getInt16(at, true)
    return bytes === 4 ? view.getInt32(at, true) : readLong(view, at)
  }

  table(slot: number): FlatTableView | null {
    const at = this.#target(slot)
    return at === null ? null : new FlatTableView(this.#view, at)
  }

  text(slot: number): string | null {
    const vector = this.#vector(slot, 1)
    if (vector === null) return null
    const { buffer, byteOffset } = this.#view
    return utf8.decode(new Uint8Array(buffer, byteOffset + vector.at, vector.count))
  }

  /** None where the slot has none. */
  tables(slot: number): readonly FlatTableView[] {
    const vector = this.#vector(slot, 4)
    if (vector === null) return []
    return Array.from({ length: vector.count }, (_, index) => {
      const at = vector.at + 4 * index
      return new FlatTableView(this.#view, at + this.#view.getUint32(at, true))
    })
  }

  /** The words of structs of 64-bit words, one struct after the other. */
  structs(slot: number, words: number): readonly number[] {
    const vector = this.#vector(slot, 8 * words)
    if (vector === null) return []
    return Array.from({ length: words * vector.count }, (_, index) =>
      readLong(this.#view, vector.at + 8 * index),
    )
  }

  #place(slot: number): number | null {
    const entry = 4 + 2 * slot
    if (entry + 2 > this.#vtableBytes) return null
    const place = this.#view.getUint16(this.#vtable + entry, true)
    return place === 0 ? null : this.#start + place
  }

  #target(slot: number): number | null {
    const at = this.#place(slot)
    return at === null ? null : at + checked(this.#view, at, 4).getUint32(at, true)
  }

  #vector(slot: number, elementBytes: number): { readonly at: number; readonly count: number } | null {
    const start = this.#target(slot)
    if (start === null) return null
    const count = checked(this.#view, start, 4).getUint32(start, true)
    checked(this.#view, start + 4, count * elementBytes)
    return { at: start + 4, count }
  }
}

function checked(view: DataView, at: number, bytes: number): DataView {
  if (at >= 0 && at + bytes <= view.byteLength) return view
  throw new MalformedArrow('its metadata points outside of itself')
}

function readLong(view: DataView, at: number): number {
  const value = view.getInt32(at + 4, true) * TWO_32 + view.getUint32(at, true)
  if (Number.isSafeInteger(value)) return value
  throw new MalformedArrow('its metadata has a number beyond all sizes')
}
