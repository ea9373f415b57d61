import { expect, test } from 'vitest'
import { exitCodeOfError, exitCodeOfRun } from '../../src/cli/exit-code.js'
import { ERROR_CODES, TrunklineError } from '../../src/model/error.js'
import type { ErrorCode } from '../../src/model/error.js'
import type { RunReport, StreamReport } from '../../src/model/report.js'

test('every code has an exit code of the documented ones', () => {
  const of = (code: string): number => exitCodeOfError(new TrunklineError(code as ErrorCode, 'x'))
  for (const code of Object.keys(ERROR_CODES)) expect([1, 2, 3, 75, 130], code).toContain(of(code))
  expect(of('CONFIG_INVALID')).toBe(2)
  expect(of('CONNECT_FAILED')).toBe(1)
  expect(of('DESTINATION_LOCKED')).toBe(75)
  expect(of('SOURCE_PRESSURE')).toBe(75)
  expect(of('SOME_STREAMS_FAILED')).toBe(3)
  expect(of('ABORTED')).toBe(130)
  expect(exitCodeOfError(new Error('defect'))).toBe(1)
})

const stream = (fields: Partial<StreamReport>): StreamReport =>
  ({ error: null, verified: null, ...fields }) as StreamReport
const failed = (code: ErrorCode): StreamReport =>
  stream({ error: { code, message: '', retry: 'never', context: {} } })
const run = (outcome: RunReport['outcome'], streams: readonly StreamReport[] = []): number =>
  exitCodeOfRun({ outcome, streams } as RunReport)

test('a run tells done, some failed, failed, different, try later and interrupted apart', () => {
  expect(run('done', [stream({ verified: { equal: true, missing: 0, unexpected: 0 } })])).toBe(0)
  expect(run('done', [stream({ verified: { equal: false, missing: 1, unexpected: 0 } })])).toBe(4)
  expect(run('some_failed', [stream({}), failed('PERMISSION_DENIED')])).toBe(3)
  expect(run('failed', [failed('PERMISSION_DENIED')])).toBe(1)
  expect(run('failed', [failed('LOCK_TIMEOUT'), failed('SERVER_BUSY')])).toBe(75)
  expect(run('failed', [failed('LOCK_TIMEOUT'), failed('PERMISSION_DENIED')])).toBe(1)
  expect(run('aborted')).toBe(130)
})
