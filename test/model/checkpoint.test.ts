import { describe, expect, test } from 'vitest'
import {
  formatCheckpoint,
  formatLoadProgress,
  parseCheckpoint,
  parseLoadProgress,
  type Checkpoint,
  type LoadProgress,
} from '../../src/model/checkpoint.js'

const checkpoint: Checkpoint = {
  format: 1,
  kind: 'horizon',
  horizon: '9007199254740993',
  seen: [['9007199254740993', '9007199254740999']],
  source: {
    systemIdentifier: '7300000000000000001',
    database: 'shop',
    timeline: 1,
    lsn: '16/B374D848',
    standby: false,
    xmax: '9007199254741000',
  },
  stream: {
    oid: 16384,
    leaves: [{ oid: 16384, filenode: 16390 }],
    columns: [{ name: 'id', number: 1, sqlType: 'bigint', landing: 'int64' }],
    key: ['id'],
    where: null,
    sql: null,
  },
}

const codeOf = (run: () => unknown): unknown => {
  try {
    run()
  } catch (error) {
    return (error as { code?: unknown }).code
  }
  return 'no error'
}

describe('a checkpoint', () => {
  test('survives being written and read, ids above 2^53 included', () => {
    expect(parseCheckpoint(formatCheckpoint(checkpoint))).toEqual(checkpoint)
  })

  test('of a newer format is refused by name, not misread', () => {
    expect(codeOf(() => parseCheckpoint(JSON.stringify({ ...checkpoint, format: 2 })))).toBe('STATE_TOO_NEW')
  })

  test.each(['', 'null', '{}', '[]', '{"format":1,"kind":"moon"}', '{"format":"1"}'])(
    '%j is malformed',
    (text) => {
      expect(codeOf(() => parseCheckpoint(text))).toBe('STATE_MALFORMED')
    },
  )
})

const progress: LoadProgress = {
  format: 1,
  kind: 'partial',
  source: checkpoint.source,
  stream: checkpoint.stream,
  horizon: '9007199254740993',
  rows: 1_234_567,
  parts: 4,
  remaining: [
    { kind: 'blocks', leaf: 16384, from: 100, to: null },
    { kind: 'keys', columns: ['id'], from: ['7'], to: null },
    { kind: 'all' },
  ],
}

describe('how far a load is', () => {
  test('survives being written and read', () => {
    expect(parseLoadProgress(formatLoadProgress(progress))).toEqual(progress)
  })

  test('is not taken from what another kind, a newer version or nobody wrote', () => {
    const other = formatCheckpoint(checkpoint)
    expect(codeOf(() => parseLoadProgress(other))).toBe('STATE_MALFORMED')
    expect(codeOf(() => parseCheckpoint(formatLoadProgress(progress)))).toBe('STATE_MALFORMED')
    expect(codeOf(() => parseLoadProgress(other.replace('"format":1', '"format":2')))).toBe('STATE_TOO_NEW')
    expect(codeOf(() => parseLoadProgress('{"format":1'))).toBe('STATE_MALFORMED')
    const { horizon, ...without } = progress
    expect(horizon).toBeDefined()
    expect(codeOf(() => parseLoadProgress(JSON.stringify(without)))).toBe('STATE_MALFORMED')
  })
})
