import { describe, expect, test } from 'vitest'
import { describeStream } from '../../src/cli/event-lines.js'
import type { Terminal } from '../../src/cli/terminal.js'
import type { StreamReport } from '../../src/model/report.js'

const same = (text: string): string => text
const terminal = { style: { dim: same, red: same, green: same, bold: same } } as unknown as Terminal

const report: StreamReport = {
  stream: 'public.orders',
  outcome: 'done',
  mode: 'mirror',
  landing: 'upsert',
  deletes: 'hard',
  table: 'public.orders',
  promise: '',
  fullLoadReason: 'It has not been loaded before.',
  generation: 1,
  runSeq: 1,
  rowsRead: 1000,
  rowsLanded: 1000,
  rowsDeleted: 0,
  bytesRead: 10_000,
  sourceCount: 1000,
  destinationCount: 1000,
  verified: null,
  attempts: 1,
  seconds: 2,
  phases: { count: 0.1, read: 1.2, land: 0.5, finish: 0.2 },
  warnings: [],
  error: null,
}

describe('the line of a finished stream', () => {
  test('of a first load says no reason', () => {
    expect(describeStream(report, terminal)).toBe('✓ public.orders: 1,000 rows in 2.0 s')
  })

  test('of a later full load says why', () => {
    const later = { ...report, generation: 2, fullLoadReason: 'The column note was added.' }
    expect(describeStream(later, terminal)).toBe(
      '✓ public.orders: 1,000 rows in 2.0 s. The column note was added.',
    )
  })

  test('says that a comparison found nothing, also where nothing had changed', () => {
    const verified = { equal: true, missing: 0, unexpected: 0 }
    expect(describeStream({ ...report, outcome: 'unchanged', verified }, terminal)).toBe(
      '✓ public.orders: unchanged, every value equal in 2.0 s',
    )
  })

  test('says what a comparison found', () => {
    const verified = { equal: false, missing: 2, unexpected: 1 }
    expect(describeStream({ ...report, verified }, terminal)).toBe(
      '≠ public.orders: 1,000 rows, 2 missing and 1 unexpected at the destination in 2.0 s',
    )
  })
})
