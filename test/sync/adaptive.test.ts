import { describe, expect, test } from 'vitest'
import type { AdaptiveOptions } from '../../src/model/adaptive-options.js'
import { DEFAULT_ADAPTIVE } from '../../src/model/thresholds.js'
import {
  adaptiveParameters,
  categorizeRows,
  describeParameters,
  estimateRows,
  reduceBatchRows,
  reduceReaders,
  withCommas,
} from '../../src/sync/adaptive.js'
import { describePlan, SizeOrder, sizeTables } from '../../src/sync/adaptive-order.js'

const CALM = { memory: 10, cpu: 10 }

describe('the size of a table', () => {
  test.each([
    [0, 'small'],
    [999_999, 'small'],
    [1_000_000, 'medium'],
    [49_999_999, 'medium'],
    [50_000_000, 'large'],
  ] as const)('of %i rows is %s', (rows, category) => {
    expect(categorizeRows(rows, DEFAULT_ADAPTIVE)).toBe(category)
  })

  test.each([
    [
      'small',
      10,
      { batchRows: 5000, partitionRows: 50_000, queueRows: 10_000, readers: 4, checkpointRows: 1_000_000 },
    ],
    [
      'medium',
      2e6,
      { batchRows: 2500, partitionRows: 25_000, queueRows: 5000, readers: 2, checkpointRows: 500_000 },
    ],
    [
      'large',
      1e8,
      { batchRows: 1000, partitionRows: 5000, queueRows: 1000, readers: 1, checkpointRows: 100_000 },
    ],
  ] as const)(
    'gives a %s one its batch, partition, queue, threads and checkpoint interval',
    (category, rows, figures) => {
      expect(adaptiveParameters(rows, CALM)).toEqual({
        ...figures,
        category,
        underPressure: false,
        remarks: [],
      })
    },
  )

  test('is the planner’s estimate, and by its bytes before the first ANALYZE', () => {
    expect(estimateRows({ estimatedRows: 7, bytes: 1e9 })).toBe(7)
    expect(estimateRows({ estimatedRows: null, bytes: 1e9 })).toBe(1e7)
  })

  test('and its figures can be stated otherwise', () => {
    const options: AdaptiveOptions = {
      ...DEFAULT_ADAPTIVE,
      smallBelowRows: 10,
      medium: { ...DEFAULT_ADAPTIVE.medium, batchRows: 7 },
    }
    expect(adaptiveParameters(10, CALM, options)).toMatchObject({
      category: 'medium',
      batchRows: 7,
      readers: 2,
    })
  })
})

describe('memory', () => {
  test.each([
    [80, 5000, null],
    [80.01, 3750, 'info'],
    [90, 3750, 'info'],
    [90.01, 2500, 'warn'],
    [100, 2500, 'warn'],
  ] as const)('at %f%% leaves %i of 5,000 rows in a batch', (memory, batchRows, level) => {
    const reduced = reduceBatchRows(5000, memory)
    expect(reduced.batchRows).toBe(batchRows)
    expect(reduced.remark?.level ?? null).toBe(level)
  })

  test('never leaves fewer than 100 rows, and does not make a batch larger that had fewer', () => {
    expect(reduceBatchRows(150, 95).batchRows).toBe(100)
    expect(reduceBatchRows(110, 85).batchRows).toBe(100)
    expect(reduceBatchRows(60, 95).batchRows).toBe(60)
  })

  test('says what it did in the words that people search their logs for', () => {
    expect(reduceBatchRows(5000, 95).remark?.text).toBe(
      'CRITICAL MEMORY PRESSURE: Reducing batch size from 5,000 to 2,500 records',
    )
    expect(reduceBatchRows(2500, 85).remark?.text).toBe(
      'HIGH MEMORY PRESSURE: Reducing batch size from 2,500 to 1,875 records',
    )
  })

  test('and processors that nobody can measure change nothing', () => {
    expect(adaptiveParameters(5, { memory: null, cpu: null })).toMatchObject({
      batchRows: 5000,
      readers: 4,
      underPressure: false,
    })
  })
})

describe('processors', () => {
  test.each([
    [85, 4, 4],
    [85.1, 4, 2],
    [95, 4, 2],
    [95.1, 4, 1],
    [90, 1, 1],
    [90, 3, 1],
  ])('at %f%% leave of %i threads %i', (cpu, readers, left) => {
    expect(reduceReaders(readers, cpu).readers).toBe(left)
  })

  test('say what they did', () => {
    expect(reduceReaders(4, 96).remark).toEqual({
      figure: 'readers',
      level: 'warn',
      text: 'CRITICAL CPU PRESSURE: Reducing threads from 4 to 1',
    })
    expect(reduceReaders(4, 90).remark).toEqual({
      figure: 'readers',
      level: 'info',
      text: 'HIGH CPU PRESSURE: Reducing threads from 4 to 2',
    })
  })

  test('and memory together give the parameters and their line', () => {
    const parameters = adaptiveParameters(2_345_678, { memory: 91, cpu: 90 })
    expect(parameters).toMatchObject({ batchRows: 1250, readers: 1, underPressure: true })
    expect(parameters.remarks).toHaveLength(2)
    expect(describeParameters(2_345_678, parameters)).toBe(
      'Resource-aware parameters for 2,345,678 row table: 1 threads, 1,250 batch size, 25,000 partition size',
    )
  })
})

test('numbers have commas every three digits', () => {
  expect([0, 999, 1000, 123_456, 1_234_567].map(withCommas)).toEqual([
    '0',
    '999',
    '1,000',
    '123,456',
    '1,234,567',
  ])
})

function stream(name: string, estimatedRows: number): { name: string; estimatedRows: number; bytes: number } {
  return { name, estimatedRows, bytes: 1 }
}

describe('the order of tables', () => {
  const streams = [
    stream('public.huge', 6e7),
    stream('public.b', 20),
    stream('public.medium', 2e6),
    stream('sales.b', 10),
    stream('public.large', 5e7),
  ]

  test('is small, medium, large, and fewest rows first', () => {
    expect(sizeTables(streams, DEFAULT_ADAPTIVE).map(({ name, category }) => [name, category])).toEqual([
      ['sales.b', 'small'],
      ['public.b', 'small'],
      ['public.medium', 'medium'],
      ['public.large', 'large'],
      ['public.huge', 'large'],
    ])
  })

  test('begins nothing larger while something smaller runs', () => {
    const entries = streams.map((one) => ({ stream: one, bytes: 1 }))
    const order = new SizeOrder(entries, DEFAULT_ADAPTIVE)
    const running = new Set<(typeof entries)[number]>()
    const take = (): string | null => {
      const next = order.take(running, { most: 4 })
      if (next !== null) running.add(next)
      return next?.stream.name ?? null
    }
    expect([take(), take(), take()]).toEqual(['sales.b', 'public.b', null])
    running.clear()
    expect([take(), take()]).toEqual(['public.medium', null])
    running.clear()
    expect([take(), take(), take()]).toEqual(['public.large', 'public.huge', null])
    expect(order.isEmpty).toBe(true)
  })

  test('has room for so many at once', () => {
    const entries = streams.map((one) => ({ stream: one, bytes: 1 }))
    const order = new SizeOrder(entries, DEFAULT_ADAPTIVE)
    const first = order.take(new Set(), { most: 1 })
    expect(order.take(new Set(first === null ? [] : [first]), { most: 1 })).toBeNull()
    expect(order.rest).toHaveLength(4)
  })
})

describe('the plan in the log', () => {
  test('names ten small and ten medium tables, all large ones, and sums up', () => {
    const many = Array.from({ length: 12 }, (_, index) => stream(`public.t${index}`, index * 100))
    const tables = sizeTables(
      [...many, stream('public.events', 3e6), stream('public.log', 7e7)],
      DEFAULT_ADAPTIVE,
    )
    const lines = describePlan(tables, DEFAULT_ADAPTIVE)
    expect(lines).toContain('SYNC PROCESSING PLAN')
    expect(lines).toContain('SMALL TABLES (12 tables, <1M rows each):')
    expect(lines).toContain('  ... and 2 more small tables')
    expect(lines).toContain('MEDIUM TABLES (1 tables, 1M-50M rows each):')
    expect(lines).toContain('LARGE TABLES (1 tables, 50M+ rows each):')
    expect(lines).toContain('   1. public.events                             3,000,000 rows')
    expect(lines).toContain('SUMMARY STATISTICS')
    expect(lines).toContain('Total tables: 14')
    expect(lines).toContain('Total rows: 73,006,600')
    expect(lines).toContain('Large tables: 1 tables, 70,000,000 rows (95.9%)')
    expect(lines.filter((line) => /^ +\d+\. public\.t/.test(line))).toHaveLength(10)
  })

  test('of empty tables has no shares', () => {
    const lines = describePlan(sizeTables([stream('public.a', 0)], DEFAULT_ADAPTIVE), DEFAULT_ADAPTIVE)
    expect(lines.join('\n')).not.toContain('NaN')
    expect(lines).toContain('Total rows: 0')
  })
})
