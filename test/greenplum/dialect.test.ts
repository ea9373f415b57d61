import { describe, expect, it } from 'vitest'
import { describeGreenplum, dialectOf, greenplumOf } from '../../src/postgres/dialect.js'
import { sessionPreamble } from '../../src/postgres/session.js'
import { toTrunklineError } from '../../src/postgres/sqlstate.js'

const reported = (version: string | null, serverVersion: number): Parameters<typeof dialectOf>[0] => ({
  parameters: new Map(version === null ? [] : [['gp_server_version', version]]),
  serverVersion,
})

describe('the dialect of a server', () => {
  it('is told by what it reports at the start, without a question', () => {
    expect(dialectOf(reported(null, 150_018))).toEqual({ kind: 'postgres' })
    expect(dialectOf(reported('6.24.3 build commit:25d3498', 90_426))).toEqual({
      kind: 'greenplum',
      product: 'Greenplum',
      version: [6, 24, 3],
      verified: true,
    })
  })

  it.each([
    ['6.24.2', 90_426, false],
    ['6.24.3', 90_426, true],
    ['6.26.10', 90_426, true],
    ['7.0.0', 120_012, false],
    ['7.1.0-beta build dev', 120_012, false],
  ])('trusts the shared snapshots of Greenplum %s (base %s): %s', (version, base, verified) => {
    expect(greenplumOf(reported(version, base))?.verified).toBe(verified)
  })

  it('takes a cluster on a newer base for Cloudberry, whose versions count from 1', () => {
    const dialect = greenplumOf(reported('1.6.0 build 79708', 140_004))
    expect(dialect).toMatchObject({ product: 'Cloudberry', verified: false })
    expect(dialect === null ? null : describeGreenplum(dialect)).toBe('Cloudberry 1.6.0')
  })

  it.each([
    ['5.28.0', 80_323],
    ['of a kind nobody knows', 90_426],
  ])('refuses %s', (version, base) => {
    expect(() => dialectOf(reported(version, base))).toThrow(/older than 6/)
  })
})

describe('what is sent to a server with the settings of 9.4', () => {
  it('sets nothing that would end the transaction with 42704', () => {
    const preamble = sessionPreamble(90_426, { lockTimeoutMs: 1000 })
    expect(preamble).not.toMatch(/row_security|idle_in_transaction|jit|parallel_workers|transaction_timeout/)
    expect(preamble).toContain('SET LOCAL lock_timeout = 1000')
    expect(sessionPreamble(120_000, { lockTimeoutMs: 1000 })).toMatch(/row_security[^]*jit/)
  })
})

describe('what a segment says when it fails', () => {
  const error = toTrunklineError({
    severity: 'ERROR',
    code: '58M01',
    message: 'interconnect error: connection closed prematurely  (seg1 slice1 10.20.30.40:6001 pid=4242)',
  })

  it('is told without its address and process', () => {
    expect(error.message).toBe('interconnect error: connection closed prematurely  (seg1) (58M01)')
  })

  it('is tried again, as a segment that was lost comes back', () => {
    expect([error.code, error.retry]).toEqual(['SERVER_RESTARTING', 'backoff'])
  })
})
