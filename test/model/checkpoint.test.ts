import { describe, expect, test } from 'vitest'
import { formatCheckpoint, parseCheckpoint, type Checkpoint } from '../../src/model/checkpoint.js'

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
