import { gunzipSync } from 'node:zlib'
import fc from 'fast-check'
import { compressors } from 'hyparquet-compressors'
import { beforeAll, describe, expect, it } from 'vitest'
import {
  COMPRESSION_LEVELS,
  COMPRESSIONS,
  loadCompressor,
  type Compress,
} from '../../src/codec/compression/compressor.js'
import { loadZstd } from '../../src/codec/compression/zstd.js'

/** The same content again, by a library that is not ours. */
const expand: Record<string, (bytes: Uint8Array, length: number) => Uint8Array> = {
  zstd: (bytes, length) => Uint8Array.from(compressors.ZSTD!(bytes, length)),
  snappy: (bytes, length) => Uint8Array.from(compressors.SNAPPY!(bytes, length)),
  gzip: (bytes) => Uint8Array.from(gunzipSync(bytes)),
  none: (bytes) => bytes,
}

const compress = new Map<string, Compress>()
beforeAll(async () => {
  for (const name of COMPRESSIONS) compress.set(name, await loadCompressor(name))
  compress.set('zstd in WebAssembly', await loadZstd(1, false))
})

function check(name: string, pieces: readonly Uint8Array[]): Uint8Array {
  const content = Buffer.concat(pieces)
  const compressed = compress.get(name)!(pieces)
  const back = expand[name.split(' ')[0]!]!(compressed, content.length)
  expect(Buffer.compare(content, back), `${name}, ${content.length} bytes`).toBe(0)
  return compressed
}

/** Bytes of few or many kinds, with repeats near and far. */
function material(seed: number, length: number): Uint8Array {
  let state = seed >>> 0
  const next = (): number => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32
  const bytes = new Uint8Array(length)
  for (let at = 0; at < length;) {
    const run = Math.min(length - at, 1 + Math.floor(next() * 200))
    const back = Math.floor(next() * Math.min(at, 70_000))
    const kind = next()
    for (let i = 0; i < run; i++, at++) {
      bytes[at] = kind < 0.4 && back > 0 ? bytes[at - back]! : kind < 0.7 ? 97 + next() * 4 : next() * 256
    }
  }
  return bytes
}

describe.each(['zstd', 'zstd in WebAssembly', 'snappy', 'gzip', 'none'])('%s', (name) => {
  it('is expanded to the same bytes by another library, whatever they are', () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ minLength: 1, maxLength: 400 }), { minLength: 1, maxLength: 4 }),
        (pieces) => {
          check(name, pieces)
        },
      ),
      { numRuns: 100 },
    )
    fc.assert(
      fc.property(fc.nat(), fc.integer({ min: 1, max: 300_000 }), (seed, length) => {
        check(name, [material(seed, length)])
      }),
      { numRuns: 25 },
    )
  })

  it('is right at the lengths at which blocks and runs end', () => {
    for (const length of [
      1, 2, 3, 4, 14, 15, 16, 17, 60, 61, 62, 63, 64, 65, 66, 67, 68, 69, 128, 132, 255, 256, 257,
    ]) {
      check(name, [new Uint8Array(length)])
      check(name, [material(length, length)])
      check(name, [material(1, 30), new Uint8Array(length), material(1, 30)])
    }
    for (const length of [65_535, 65_536, 65_537, 65_551, 131_072]) {
      check(name, [new Uint8Array(length)])
      check(name, [material(length, length)])
    }
  })

  it('makes what repeats small, unless nothing is to be compressed', () => {
    const compressed = check(name, [new Uint8Array(100_000)])
    if (name === 'none') expect(compressed).toHaveLength(100_000)
    else expect(compressed.length).toBeLessThan(6_000)
  })

  it('gives memory of its own', () => {
    const first = compress.get(name)!([Uint8Array.of(1, 2, 3)])
    const copy = first.slice()
    compress.get(name)!([Uint8Array.of(9, 9, 9, 9)])
    expect(first).toEqual(copy)
  })
})

it('compresses pieces of many MiB and small ones again, though memory moves', () => {
  for (const length of [10, 9_000_000, 10, 30_000_000, 5_000_000, 10]) {
    check('zstd in WebAssembly', [new Uint8Array(length).fill(7)])
    check('snappy', [new Uint8Array(length).fill(7)])
  }
})

it('takes levels where there are any', async () => {
  const text = new TextEncoder().encode(Array.from({ length: 3_000 }, (_, i) => `line ${i * 7919} `).join(''))
  for (const name of COMPRESSIONS) {
    const levels = COMPRESSION_LEVELS[name]
    if (levels === null) continue
    const least = (await loadCompressor(name, levels.least))([text])
    const most = (await loadCompressor(name, levels.most))([text])
    expect(most.length, name).toBeLessThan(least.length)
    expect(Buffer.from(expand[name]!(most, text.length))).toEqual(Buffer.from(text))
  }
})
