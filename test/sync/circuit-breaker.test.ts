import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { TrunklineError, type ErrorCode } from '../../src/model/error.js'
import { silentLogger } from '../../src/model/log.js'
import { createCircuitBreaker, type CircuitBreaker } from '../../src/sync/circuit-breaker.js'

const name = 'reader@db:5432/shop'
const make = (breakerFailures = 5): CircuitBreaker =>
  createCircuitBreaker({ limits: { breakerFailures, breakerPauseMs: 30_000 }, name, logger: silentLogger })
const failing = (code: ErrorCode) => () => Promise.reject(new TrunklineError(code, 'no'))
const codeOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'done',
    (error: unknown) => (error instanceof TrunklineError ? error.code : 'other'),
  )
const fine = (): Promise<string> => Promise.resolve('fine')

describe('the circuit breaker', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['Date'] })
  })
  afterEach(() => {
    vi.useRealTimers()
  })

  test('opens after so many failures in a row, and then nothing reaches the source', async () => {
    const breaker = make()
    for (let n = 0; n < 5; n++)
      expect(await codeOf(breaker(failing('CONNECT_FAILED')))).toBe('CONNECT_FAILED')
    let reached = 0
    const work = (): Promise<void> => {
      reached++
      return Promise.resolve()
    }
    await expect(breaker(work)).rejects.toMatchObject({
      code: 'CIRCUIT_OPEN',
      retry: 'backoff',
      context: { host: name },
      cause: { code: 'CONNECT_FAILED' },
    })
    expect(reached).toBe(0)
  })

  test('is closed again by one success in between', async () => {
    const breaker = make()
    for (let n = 0; n < 20; n++) {
      for (let failures = 0; failures < 4; failures++) await codeOf(breaker(failing('SERVER_BUSY')))
      expect(await breaker(fine)).toBe('fine')
    }
  })

  test('lets one contact try after the pause: it closes the circuit, or opens it for as long again', async () => {
    const breaker = make()
    for (let n = 0; n < 5; n++) await codeOf(breaker(failing('CONNECTION_LOST')))
    vi.advanceTimersByTime(29_999)
    expect(await codeOf(breaker(fine))).toBe('CIRCUIT_OPEN')
    vi.advanceTimersByTime(1)
    expect(await codeOf(breaker(failing('CONNECT_TIMEOUT')))).toBe('CONNECT_TIMEOUT')
    expect(await codeOf(breaker(fine))).toBe('CIRCUIT_OPEN')
    vi.advanceTimersByTime(30_000)
    let finish = (): void => undefined
    const probe = breaker(
      () =>
        new Promise<string>((resolve) => {
          finish = () => {
            resolve('fine')
          }
        }),
    )
    let second = 'waits'
    const other = breaker(fine).then((answer) => {
      second = answer
    })
    await Promise.resolve()
    expect(second).toBe('waits')
    finish()
    expect(await probe).toBe('fine')
    await other
    expect(second).toBe('fine')
  })

  test('does not count what says nothing of the source, and defects', async () => {
    const breaker = make(2)
    const others: ErrorCode[] = [
      'CONFIG_INVALID',
      'STREAM_MISSING',
      'PERMISSION_DENIED',
      'YIELDED_TO_DDL',
      'LOCK_TIMEOUT',
      'VALUE_UNREPRESENTABLE',
    ]
    for (const code of [...others, ...others]) expect(await codeOf(breaker(failing(code)))).toBe(code)
    for (let n = 0; n < 5; n++)
      expect(await codeOf(breaker(() => Promise.reject(new Error('x'))))).toBe('other')
    expect(await breaker(fine)).toBe('fine')
  })

  test('counts what shows that the source cannot be reached or does not serve', async () => {
    for (const code of [
      'CONNECT_FAILED',
      'CONNECT_TIMEOUT',
      'AUTH_FAILED',
      'SERVER_RESTARTING',
      'QUERY_CANCELED',
    ] as const) {
      const breaker = make(1)
      await codeOf(breaker(failing(code)))
      expect(await codeOf(breaker(fine)), code).toBe('CIRCUIT_OPEN')
    }
  })

  test('with no number of failures is never open', async () => {
    const breaker = make(0)
    for (let n = 0; n < 50; n++)
      expect(await codeOf(breaker(failing('CONNECT_FAILED')))).toBe('CONNECT_FAILED')
  })
})
