import { expect, test } from 'vitest'
import { checkSyncOptions } from '../../src/config/check-options.js'
import { limitsSchema } from '../../src/config/file-schema.js'

test('limits of surviving have the units of their keys', () => {
  expect(
    limitsSchema.parse({
      statement_timeout: '300s',
      max_attempts: 3,
      first_retry_delay: '5s',
      max_retry_delay: '5m',
      retry_jitter: [0.5, 1.5],
      min_connections: '0',
      idle_timeout: '300s',
      connection_max_age: '3h',
      breaker_failures: 0,
      breaker_pause: '30s',
      max_requests_per_minute: 300,
      request_burst: 50,
    }),
  ).toEqual({
    statementTimeoutMs: 300_000,
    maxAttempts: 3,
    firstRetryDelayMs: 5000,
    maxRetryDelayMs: 300_000,
    retryJitter: [0.5, 1.5],
    minConnections: 0,
    idleTimeoutMs: 300_000,
    connectionMaxAgeMs: 10_800_000,
    breakerFailures: 0,
    breakerPauseMs: 30_000,
    maxRequestsPerMinute: 300,
    requestBurst: 50,
  })
  expect(limitsSchema.parse({ max_requests_per_minute: null })).toEqual({ maxRequestsPerMinute: null })
})

test.each([
  [{ statement_timeout: 300 }],
  [{ statement_timeout: '300' }],
  [{ retry_jitter: [1.5, 0.5] }],
  [{ retry_jitter: 1 }],
  [{ retry_jitter: [0, 1, 2] }],
  [{ retry_jitter: [-1, 1] }],
  [{ min_connections: -1 }],
  [{ max_requests_per_minute: 0 }],
  [{ request_burst: 0 }],
])('%o is refused', (limits) => {
  expect(limitsSchema.safeParse(limits).success).toBe(false)
})

test('a program states them in camel case, by the same rules', () => {
  const limits = { retryJitter: [0.9, 1.1], statementTimeoutMs: 1000, maxRequestsPerMinute: null } as const
  expect(checkSyncOptions({ limits }).limits).toEqual(limits)
  for (const retryJitter of [
    [1, 0.5],
    [1, Number.NaN],
  ] as [number, number][])
    expect(() => checkSyncOptions({ limits: { retryJitter } })).toThrow(/retryJitter/)
})
