/** Headers of pages and metadata of column chunks: https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift */
import { VALUE_ENCODING, type Bounds, type ValueEncoding } from './page-values.js'
import { ENCODING, PHYSICAL, type Leaf } from './schema.js'
import { binary, bool, encodeThrift, i32, i64, list, struct, type ThriftValue } from './thrift.js'

const PAGE_TYPE = { data: 0, dictionary: 2 } as const

export function dataPageHeader(
  values: number,
  encoding: ValueEncoding,
  uncompressedBytes: number,
  bytes: number,
): Uint8Array {
  return encodeThrift({
    1: i32(PAGE_TYPE.data),
    2: i32(uncompressedBytes),
    3: i32(bytes),
    5: struct({
      1: i32(values),
      2: i32(VALUE_ENCODING[encoding]),
      3: i32(ENCODING.rle),
      4: i32(ENCODING.rle),
    }),
  })
}

export function dictionaryPageHeader(values: number, uncompressedBytes: number, bytes: number): Uint8Array {
  return encodeThrift({
    1: i32(PAGE_TYPE.dictionary),
    2: i32(uncompressedBytes),
    3: i32(bytes),
    7: struct({ 1: i32(values), 2: i32(VALUE_ENCODING.plain) }),
  })
}

export interface ChunkFacts {
  readonly leaf: Leaf
  readonly codec: number
  /** Data pages of each encoding. */
  readonly encodings: ReadonlyMap<ValueEncoding, number>
  /** With nulls, and of lists with those that have no elements. */
  readonly values: number
  readonly nulls: number
  readonly distinctCount: number | null
  readonly bounds: Bounds | null
  readonly bytes: number
  readonly uncompressedBytes: number
  readonly dictionaryOffset: number | null
  readonly dataOffset: number
}

export function chunkMetadata(facts: ChunkFacts): ThriftValue {
  const { leaf, encodings, dictionaryOffset } = facts
  const used = new Set<number>([ENCODING.rle])
  if (dictionaryOffset !== null) used.add(VALUE_ENCODING.plain)
  for (const encoding of encodings.keys()) used.add(VALUE_ENCODING[encoding])
  const pages: ThriftValue[] = []
  const addPages = (type: keyof typeof PAGE_TYPE, encoding: ValueEncoding, count: number): void => {
    pages.push(struct({ 1: i32(PAGE_TYPE[type]), 2: i32(VALUE_ENCODING[encoding]), 3: i32(count) }))
  }
  if (dictionaryOffset !== null) addPages('dictionary', 'plain', 1)
  for (const [encoding, count] of encodings) addPages('data', encoding, count)
  return struct({
    2: i64(dictionaryOffset ?? facts.dataOffset),
    3: struct({
      1: i32(PHYSICAL[leaf.physical]),
      2: list('i32', Array.from(used, i32)),
      3: list('binary', leaf.path.map(binary)),
      4: i32(facts.codec),
      5: i64(facts.values),
      6: i64(facts.uncompressedBytes),
      7: i64(facts.bytes),
      9: i64(facts.dataOffset),
      11: dictionaryOffset === null ? undefined : i64(dictionaryOffset),
      12: statistics(facts),
      13: list('struct', pages),
    }),
  })
}

function statistics({ nulls, distinctCount, bounds }: ChunkFacts): ThriftValue {
  return struct({
    3: i64(nulls),
    4: distinctCount === null ? undefined : i64(distinctCount),
    5: bounds === null ? undefined : binary(bounds.most),
    6: bounds === null ? undefined : binary(bounds.least),
    7: bounds === null ? undefined : bool(bounds.mostExact),
    8: bounds === null ? undefined : bool(bounds.leastExact),
  })
}
