import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ERROR_CODES, TrunklineError, type ErrorCode } from '../../src/model/error.js'
import { DEFAULT_LIMITS } from '../../src/model/thresholds.js'
import { backoffDelay, decideFirstContactRetry, decideRetry, stopsTheRun } from '../../src/sync/retry.js'

const limits = { ...DEFAULT_LIMITS, maxAttempts: 5, firstRetryDelayMs: 1000 }
const half = (): number => 0.5
const decide = (code: ErrorCode, attempt: number): ReturnType<typeof decideRetry> =>
  decideRetry({ error: new TrunklineError(code, ''), attempt, limits, random: half })

describe('retry', () => {
  test('every code is tried again exactly as its entry says', () => {
    for (const [code, { retry }] of Object.entries(ERROR_CODES)) {
      expect(decide(code as ErrorCode, 1).again, code).toBe(retry !== 'never')
    }
  })

  test('the last attempt is the last', () => {
    expect(decide('CONNECTION_LOST', 4).again).toBe(true)
    expect(decide('CONNECTION_LOST', 5).again).toBe(false)
  })

  test('a statement that a timeout of ours may have ended gets one more try, otherwise as many as any', () => {
    const tried = (statementTimeoutMs: number, attempt: number): boolean =>
      decideRetry({
        error: new TrunklineError('QUERY_CANCELED', ''),
        attempt,
        limits: { ...limits, statementTimeoutMs },
        random: half,
      }).again
    expect([tried(300_000, 1), tried(300_000, 2)]).toEqual([true, false])
    expect([tried(0, 2), tried(0, 4)]).toEqual([true, true])
  })

  test('what is safe is tried at once, the second time after a pause', () => {
    expect(decide('CONNECTION_LOST', 1)).toEqual({ again: true, delayMs: 0 })
    expect(decide('CONNECTION_LOST', 2)).toEqual({ again: true, delayMs: 1500 })
    expect(decide('SERVER_BUSY', 1)).toEqual({ again: true, delayMs: 750 })
  })

  test('whoever waited for our locks gets a turn before we ask again', () => {
    expect(decide('YIELDED_TO_DDL', 1)).toEqual({ again: true, delayMs: 750 })
  })

  test('an error that is not ours is a defect, and not repeated', () => {
    const input = { error: new Error('x'), attempt: 1, limits, random: half }
    expect(decideRetry(input)).toEqual({ again: false })
  })

  test('a wrong host is told at once, a restarting server is waited for', () => {
    const first = (code: ErrorCode): boolean =>
      decideFirstContactRetry({ error: new TrunklineError(code, ''), attempt: 1, limits, random: half }).again
    expect(first('CONNECT_FAILED')).toBe(false)
    expect(first('AUTH_FAILED')).toBe(false)
    expect(first('SERVER_RESTARTING')).toBe(true)
    expect(first('CONNECTION_LOST')).toBe(true)
  })

  test('pauses double up to a minute, half of each left to chance', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 30 }),
        fc.double({ min: 0, max: 0.999, noNaN: true }),
        (n, chance) => {
          const full = Math.min(1000 * 2 ** (n - 1), 60_000)
          const delay = backoffDelay(n, limits, () => chance)
          expect(delay).toBeGreaterThanOrEqual(full / 2)
          expect(delay).toBeLessThanOrEqual(full)
        },
      ),
    )
  })

  test('the longest pause and the share of chance are those of the limits', () => {
    // As a connector of documents has it: min(5 s · 2ⁿ, 300 s), times a number from 0.5 to 1.5.
    const stated = { firstRetryDelayMs: 5000, maxRetryDelayMs: 300_000, retryJitter: [0.5, 1.5] } as const
    expect([1, 2, 6, 7, 30].map((n) => backoffDelay(n, stated, half))).toEqual([
      5000, 10_000, 160_000, 300_000, 300_000,
    ])
    expect(backoffDelay(1, stated, () => 0)).toBe(2500)
    expect(backoffDelay(30, stated, () => 0.999_999)).toBe(450_000)
  })

  test('only errors of the destination as a whole end the run', () => {
    expect(stopsTheRun(new TrunklineError('DESTINATION_FULL', ''))).toBe(true)
    expect(stopsTheRun(new TrunklineError('FENCED', ''))).toBe(true)
    expect(stopsTheRun(new TrunklineError('TABLE_OWNED', ''))).toBe(false)
    expect(stopsTheRun(new TrunklineError('CONNECTION_LOST', ''))).toBe(false)
  })
})
