/** Bits one after the other from the lowest of the first byte on, appended from anywhere in other bits. */
export class BitBuffer {
  #bytes = new Uint8Array(0)
  #count = 0

  get count(): number {
    return this.#count
  }

  /** `count` bits from bit `from` on. */
  append(bits: Uint8Array, from: number, count: number): void {
    this.#reserve(count)
    const target = this.#bytes
    let at = this.#count
    let next = from
    const end = from + count
    // To the start of a byte, then whole bytes, then what is left; bits beyond the last are always 0 here.
    for (; next < end && (at & 7) !== 0; next++, at++) {
      target[at >> 3]! |= ((bits[next >> 3]! >> (next & 7)) & 1) << (at & 7)
    }
    const shift = next & 7
    let byte = at >> 3
    let source = next >> 3
    const whole = (end - next) >> 3
    if (shift === 0) target.set(bits.subarray(source, source + whole), byte)
    else {
      for (const last = source + whole; source < last; source++, byte++) {
        target[byte] = (bits[source]! >> shift) | (bits[source + 1]! << (8 - shift))
      }
    }
    next += 8 * whole
    at += 8 * whole
    for (; next < end; next++, at++) target[at >> 3]! |= ((bits[next >> 3]! >> (next & 7)) & 1) << (at & 7)
    this.#count = at
  }

  appendOnes(count: number): void {
    this.#reserve(count)
    const target = this.#bytes
    let at = this.#count
    const end = at + count
    for (; at < end && (at & 7) !== 0; at++) target[at >> 3]! |= 1 << (at & 7)
    const whole = (end - at) >> 3
    target.fill(0xff, at >> 3, (at >> 3) + whole)
    for (at += 8 * whole; at < end; at++) target[at >> 3]! |= 1 << (at & 7)
    this.#count = end
  }

  /** Over this buffer's memory; bits after the last are 0. */
  bytes(): Uint8Array {
    return this.#bytes.subarray(0, (this.#count + 7) >> 3)
  }

  countOnes(): number {
    let ones = 0
    for (const byte of this.bytes()) {
      let bits = byte - ((byte >> 1) & 0x55)
      bits = (bits & 0x33) + ((bits >> 2) & 0x33)
      ones += (bits + (bits >> 4)) & 0x0f
    }
    return ones
  }

  clear(): void {
    this.#bytes.fill(0, 0, (this.#count + 7) >> 3)
    this.#count = 0
  }

  #reserve(count: number): void {
    const needed = (this.#count + count + 7) >> 3
    if (needed <= this.#bytes.length) return
    const grown = new Uint8Array(Math.max(needed, 2 * this.#bytes.length, 32))
    grown.set(this.bytes())
    this.#bytes = grown
  }
}
