import { describe, expect, test } from 'vitest'
import type { AdaptiveOptions } from '../../src/model/adaptive-options.js'
import { DEFAULT_ADAPTIVE } from '../../src/model/thresholds.js'
import {
  nextLevel,
  nextLevels,
  NO_PRESSURE,
  reliefFor,
  type PressureLevels,
  type PressureReading,
} from '../../src/sync/adaptive-pressure.js'

const CALM: PressureReading = {
  memory: 10,
  cpu: 10,
  connections: 10,
  replicaLagMs: null,
  replayBlocked: false,
  waitingSessions: 0,
}
const BY_SIZE: AdaptiveOptions = { ...DEFAULT_ADAPTIVE, strategy: 'table_size' }

function pressed(levels: Partial<PressureLevels>): PressureLevels {
  return { ...NO_PRESSURE, ...levels }
}

describe('a level', () => {
  const threshold = { high: 80, critical: 90, easeBy: 5 }
  test.each([
    ['normal', 80, 'normal'],
    ['normal', 80.1, 'high'],
    ['normal', 91, 'critical'],
    ['high', 90, 'high'],
    ['high', 76, 'high'],
    ['high', 75, 'normal'],
    ['critical', 86, 'critical'],
    ['critical', 85, 'high'],
    ['critical', 75, 'normal'],
    ['critical', null, 'normal'],
  ] as const)('that was %s is, at %s, %s', (before, value, after) => {
    expect(nextLevel(before, value, threshold)).toBe(after)
  })

  test('of processors is only looked at where tables are read by their size', () => {
    const reading = { ...CALM, cpu: 99 }
    expect(nextLevels(NO_PRESSURE, reading, DEFAULT_ADAPTIVE)).toEqual(NO_PRESSURE)
    expect(nextLevels(NO_PRESSURE, reading, BY_SIZE)).toEqual(pressed({ cpu: 'critical' }))
  })

  test('follows what the server says', () => {
    const reading = {
      ...CALM,
      connections: 96,
      replicaLagMs: 31_000,
      replayBlocked: true,
      waitingSessions: 2,
    }
    expect(nextLevels(NO_PRESSURE, reading, DEFAULT_ADAPTIVE)).toEqual(
      pressed({ connections: 'critical', replica_lag: 'high', replay: 'high', lock: 'high' }),
    )
    expect(
      nextLevels(pressed({ replica_lag: 'high' }), { ...CALM, replicaLagMs: 29_000 }, DEFAULT_ADAPTIVE),
    ).toEqual(pressed({ replica_lag: 'high' }))
  })
})

describe('relief', () => {
  const relief = (levels: Partial<PressureLevels>, options = DEFAULT_ADAPTIVE): object =>
    reliefFor(pressed(levels), 4, options)

  test('is none where nothing presses', () => {
    expect(relief({})).toEqual({ readers: 4, batchShare: 1, pause: null, save: false })
  })

  test('of memory is half the readers and three quarters of a batch, then one reader, half a batch and a pause', () => {
    expect(relief({ memory: 'high' })).toEqual({ readers: 2, batchShare: 0.75, pause: null, save: false })
    expect(relief({ memory: 'critical' })).toEqual({
      readers: 1,
      batchShare: 0.5,
      pause: 'memory',
      save: false,
    })
  })

  test('of connections leaves batches as they are', () => {
    expect(relief({ connections: 'high' })).toMatchObject({ readers: 2, batchShare: 1 })
    expect(relief({ connections: 'critical' })).toMatchObject({ readers: 1, batchShare: 1, pause: null })
  })

  test('never leaves less than one reader', () => {
    expect(reliefFor(pressed({ memory: 'high' }), 1, DEFAULT_ADAPTIVE).readers).toBe(1)
  })

  test('of a standby that is behind is a pause, but not where replay waits for a snapshot such as ours', () => {
    expect(relief({ replica_lag: 'high' })).toMatchObject({ pause: 'replica_lag', save: false })
    expect(relief({ replica_lag: 'high', replay: 'high' })).toMatchObject({ pause: null, save: true })
  })

  test('of a session that waits for a lock of ours is a save', () => {
    expect(relief({ lock: 'high' })).toMatchObject({ readers: 4, pause: null, save: true })
  })

  test('of memory goes table by table where tables are read by their size', () => {
    expect(relief({ memory: 'critical', cpu: 'critical' }, BY_SIZE)).toEqual({
      readers: 4,
      batchShare: 1,
      pause: null,
      save: false,
    })
  })
})
