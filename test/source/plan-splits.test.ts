import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { CatalogStream } from '../../src/model/catalog.js'
import type { SplitRange } from '../../src/model/split-range.js'
import { DEFAULT_LIMITS } from '../../src/model/thresholds.js'
import type { Xid8 } from '../../src/model/xid.js'
import { mapColumns } from '../../src/source/column-mapping.js'
import type { Split, StreamRead } from '../../src/source/contract.js'
import { type PlanOptions, planSplits, whatToAsk } from '../../src/source/plan-splits.js'
import { NO_SURVEY } from '../../src/source/survey-stream.js'
import { makeColumn, makeStream } from './make-stream.js'
import { TYPE_OPTIONS } from './open-source.js'

const MIB = 1024 * 1024
const BLOCK = 8192

function tableOf(leafBytes: readonly number[], stream: Partial<CatalogStream> = {}): CatalogStream {
  return makeStream({
    oid: 7,
    leaves: leafBytes.map((bytes, index) => ({
      oid: 100 + index,
      schema: 's',
      name: `leaf_${index}`,
      filenode: 1,
      bytes,
    })),
    bytes: leafBytes.reduce((sum, bytes) => sum + bytes, 0),
    ...stream,
  })
}

function readOf(stream: CatalogStream, read: Partial<StreamRead> = {}): StreamRead {
  return {
    stream,
    columns: mapColumns(stream, TYPE_OPTIONS),
    rows: { kind: 'full' },
    where: null,
    withXmin: false,
    limits: DEFAULT_LIMITS,
    ...read,
  }
}

function plan(
  stream: CatalogStream,
  options: Partial<PlanOptions> = {},
  read: Partial<StreamRead> = {},
): readonly Split[] {
  return planSplits(readOf(stream, read), {
    settings: { rowSecurity: false },
    readers: 1,
    serverVersion: 180_000,
    blockSize: BLOCK,
    survey: NO_SURVEY,
    ...options,
  })
}

const rangesOf = (splits: readonly Split[]): readonly SplitRange[] => splits.map((split) => split.range)

test('a small table is one split', () => {
  for (const bytes of [0, 1, BLOCK, 31 * MIB]) {
    expect(rangesOf(plan(tableOf([bytes]), { readers: 4 }))).toEqual([{ kind: 'all' }])
  }
})

test('a large table is divided by 64 MiB of heap, the last split without an end', () => {
  const splits = plan(tableOf([2048 * MIB]))
  expect(splits.length).toBe(32)
  expect(splits[1]?.range).toEqual({ kind: 'blocks', leaf: 7, from: 8192, to: 16384 })
  expect(splits[31]?.range).toEqual({ kind: 'blocks', leaf: 7, from: 31 * 8192, to: null })
  expect(splits[1]?.selectSql).toContain(
    `WHERE ctid >= '(8192,0)'::pg_catalog.tid AND ctid < '(16384,0)'::pg_catalog.tid`,
  )
  expect(splits[31]?.selectSql).toMatch(/WHERE ctid >= '\(253952,0\)'::pg_catalog.tid$/)
  expect(splits.map((split) => split.index)).toEqual([...splits.keys()])
})

test('each reader has several splits to take, none of them small', () => {
  expect(plan(tableOf([512 * MIB]), { readers: 1 }).length).toBe(16)
  expect(plan(tableOf([512 * MIB]), { readers: 8 }).length).toBe(32)
  expect(plan(tableOf([128 * MIB]), { readers: 8 }).length).toBe(8)
})

test('what several readers read last is in smaller splits, so that none waits long for another', () => {
  const sizesOf = (readers: number): readonly number[] =>
    rangesOf(plan(tableOf([1024 * MIB]), { readers })).map((range) =>
      range.kind === 'blocks' ? ((range.to ?? (1024 * MIB) / BLOCK) - range.from) * (BLOCK / MIB) : 0,
    )
  expect(sizesOf(1)).toEqual(Array.from({ length: 16 }, () => 64))
  expect(sizesOf(2)).toEqual([
    ...Array.from({ length: 14 }, () => 64),
    ...Array.from({ length: 8 }, () => 16),
  ])
})

test('the largest tables have no more splits than a checkpoint can list', () => {
  const splits = plan(tableOf([32 * 1024 * 1024 * MIB]))
  expect(splits.length).toBe(2000)
})

test('many leaves make for fewer splits, as each of them is opened in each', () => {
  const leaves = Array.from({ length: 1000 }, () => 2 * MIB)
  expect(plan(tableOf(leaves, { kind: 'partitioned' })).length).toBe(16)
})

test.each([
  ['before PostgreSQL 14', {}, { serverVersion: 130_022 }],
  ['a view', { kind: 'view' }, {}],
  ['a query', { kind: 'query', sql: 'SELECT 1 AS c' }, {}],
  ['a foreign table', { kind: 'foreign' }, {}],
  ['a hypertable', { oddity: 'hypertable' }, {}],
  ['a tree with a foreign leaf', { kind: 'partitioned', oddity: 'foreign_leaf' }, {}],
  ['rows that a policy filters', { rowSecurity: true }, {}],
  ['grants on columns alone', { tablePrivilege: false }, {}],
] as const)('%s is read whole', (_name, stream, options) => {
  expect(rangesOf(plan(tableOf([1024 * MIB], stream), options))).toEqual([{ kind: 'all' }])
})

test('blocks of the server of another size make other bounds', () => {
  expect(plan(tableOf([2048 * MIB]), { blockSize: 32768 })[1]?.range).toMatchObject({ from: 2048, to: 4096 })
})

test('rows that pass undecoded come in smaller batches', () => {
  expect(plan(tableOf([MIB]))[0]?.batchBytes).toBe(8 * MIB)
  expect(plan(tableOf([MIB]), {}, { undecoded: true })[0]?.batchBytes).toBe(MIB)
  const limits = { ...DEFAULT_LIMITS, batchBytes: 1000 }
  expect(plan(tableOf([MIB]), {}, { undecoded: true, limits })[0]?.batchBytes).toBe(1000)
})

test('ranges that are given are the splits', () => {
  const ranges: SplitRange[] = [
    { kind: 'blocks', leaf: 7, from: 5, to: null },
    { kind: 'keys', columns: ['c'], from: null, to: ["a'b"] },
    { kind: 'keys', columns: ['c'], from: ["a'b"], to: null },
  ]
  const splits = plan(tableOf([1024 * MIB]), {}, { rows: { kind: 'full', ranges } })
  expect(rangesOf(splits)).toEqual(ranges)
  expect(splits[1]?.selectSql).toContain(`WHERE ("c") < ('a''b'::"pg_catalog"."text")`)
  expect(splits[2]?.selectSql).toContain(`WHERE ("c") >= ('a''b'::"pg_catalog"."text")`)
  expect(plan(tableOf([1024 * MIB]), {}, { rows: { kind: 'full', ranges: [] } })).toEqual([])
})

const KEYED: Partial<CatalogStream> = {
  columns: [makeColumn({ name: 'id', typeName: 'int8', nullable: false }), makeColumn({ number: 2 })],
  key: { columns: ['id', 'c'], from: 'primary_key', index: 't_pkey' },
}

test('before PostgreSQL 14 a large table is divided by its key where the statistics say that it lies in its order', () => {
  const stream = tableOf([1024 * MIB], KEYED)
  const facts = { serverVersion: 130_022, readers: 2 }
  const values = Array.from({ length: 101 }, (_, index) => String(index * 10))
  expect(whatToAsk(readOf(stream), facts)).toBe('key_bounds')
  const ranges = rangesOf(
    plan(stream, { ...facts, survey: { sequential: true, keyBounds: { column: 'id', values } } }),
  )
  expect(ranges.length).toBe(8)
  expect(ranges[0]).toEqual({ kind: 'keys', columns: ['id'], from: null, to: ['130'] })
  expect(ranges[1]).toEqual({ kind: 'keys', columns: ['id'], from: ['130'], to: ['250'] })
  expect(ranges[7]).toEqual({ kind: 'keys', columns: ['id'], from: ['880'], to: null })
  const twins = { column: 'id', values: Array.from({ length: 101 }, () => '5') }
  expect(rangesOf(plan(stream, { ...facts, survey: { sequential: true, keyBounds: twins } })).length).toBe(2)
  expect(rangesOf(plan(stream, facts))).toEqual([{ kind: 'all' }])
})

test.each([
  ['one reader', {}, { readers: 1 }],
  ['a table that is not large', { bytes: 100 * MIB }, {}],
  ['a partitioned table', { kind: 'partitioned' }, {}],
  ['no key', { key: null }, {}],
  ['a key without an index', { key: { columns: ['id'], from: 'declared', index: null } }, {}],
  [
    'a key that begins with a text, whose order a collation makes',
    { key: { columns: ['c'], from: 'primary_key', index: 'i' } },
    {},
  ],
  ['a server that can read blocks', {}, { serverVersion: 140_000 }],
] as const)('nothing is asked for %s', (_name, stream, facts) => {
  const table = tableOf([1024 * MIB], { ...KEYED, ...stream })
  expect(whatToAsk(readOf(table), { serverVersion: 130_022, readers: 2, ...facts })).toBe(null)
})

test('what a condition selects by an index is one split', () => {
  const stream = tableOf([1024 * MIB])
  const facts = { serverVersion: 180_000, readers: 2 }
  expect(whatToAsk(readOf(stream, { where: 'c = 1' }), facts)).toBe('scan')
  expect(whatToAsk(readOf(tableOf([MIB]), { where: 'c = 1' }), facts)).toBe(null)
  expect(rangesOf(plan(stream, { survey: { sequential: false, keyBounds: null } }))).toEqual([
    { kind: 'all' },
  ])
})

test('a window and a condition hold in each split', () => {
  const window = { horizon: 5n as Xid8, xmax: 9n as Xid8, wholeLeaves: [3] }
  for (const split of plan(tableOf([512 * MIB]), {}, { rows: { kind: 'since', window }, where: 'c > 1' })) {
    expect(split.selectSql).toMatch(
      /WHERE ctid >= .* AND \(\nc > 1\n\) AND \(\(pg_catalog\.age\(xmin\).* OR tableoid IN \(3\)\)/s,
    )
  }
})

test('only what is stored in tables keeps its order', () => {
  expect(plan(tableOf([MIB]))[0]?.repeatable).toBe(true)
  expect(plan(tableOf([MIB], { kind: 'matview' }))[0]?.repeatable).toBe(true)
  expect(plan(tableOf([MIB], { kind: 'view' }))[0]?.repeatable).toBe(undefined)
  expect(plan(tableOf([MIB], { kind: 'partitioned', oddity: 'foreign_leaf' }))[0]?.repeatable).toBe(undefined)
})

test('whatever the leaves, the ranges follow each other from the first block on, of about equal size but for the last ones', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 0, max: 4096 }), { minLength: 1, maxLength: 40 }),
      fc.integer({ min: 1, max: 16 }),
      (sizes, readers) => {
        const stream = tableOf(
          sizes.map((size) => size * MIB),
          { kind: 'partitioned' },
        )
        const ranges = rangesOf(plan(stream, { readers }))
        if (ranges[0]?.kind === 'all') return
        let from = 0
        let before = Infinity
        const total = sizes.reduce((sum, size) => sum + size, 0)
        for (const [index, range] of ranges.entries()) {
          if (range.kind !== 'blocks') throw new Error('not a range of blocks')
          expect(range.from).toBe(from)
          const end = range.to ?? Number.MAX_SAFE_INTEGER
          const blocks = sizes.reduce((sum, size) => {
            const count = (size * MIB) / BLOCK
            return sum + Math.min(count, end) - Math.min(count, range.from)
          }, 0)
          expect(blocks).toBeLessThanOrEqual(before + 2 * sizes.length)
          const least = readers === 1 ? (total * MIB) / ranges.length : 16 * MIB
          expect(blocks).toBeGreaterThanOrEqual(least / BLOCK - 2 * sizes.length)
          before = Math.min(before, blocks)
          expect(range.to === null).toBe(index === ranges.length - 1)
          from = end
        }
      },
    ),
  )
})
