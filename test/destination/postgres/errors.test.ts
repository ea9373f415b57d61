import { expect, test } from 'vitest'
import { isLost, toTargetError } from '../../../src/destination/postgres/errors.js'
import { TrunklineError } from '../../../src/model/error.js'
import { toTrunklineError } from '../../../src/postgres/sqlstate.js'

const said = (code: string): TrunklineError =>
  toTrunklineError({ severity: 'ERROR', code, message: 'said', hint: undefined })
const meant = (error: unknown): TrunklineError =>
  toTargetError(error, { description: 'postgresql://db/shop', doing: 'loading', stream: 'public.t' })

test.each([
  ['53100', 'DESTINATION_FULL', 'never'],
  ['53300', 'DESTINATION_UNREACHABLE', 'backoff'],
  ['53200', 'DESTINATION_UNREACHABLE', 'backoff'],
  ['42501', 'DESTINATION_FAILED', 'never'],
  ['25006', 'DESTINATION_READ_ONLY', 'never'],
  ['28P01', 'DESTINATION_DENIED', 'never'],
  ['3D000', 'DESTINATION_INVALID', 'never'],
  ['40P01', 'DESTINATION_FAILED', 'safe'],
  ['55P03', 'LOCK_TIMEOUT', 'backoff'],
  ['57P01', 'DESTINATION_UNREACHABLE', 'backoff'],
  ['57014', 'DESTINATION_FAILED', 'backoff'],
  ['08006', 'DESTINATION_UNREACHABLE', 'backoff'],
  ['22P02', 'VALUE_UNREPRESENTABLE', 'never'],
  ['22P05', 'VALUE_UNREPRESENTABLE', 'never'],
  ['23503', 'DESTINATION_FAILED', 'never'],
  ['2BP01', 'DESTINATION_FAILED', 'never'],
  ['42804', 'DESTINATION_FAILED', 'never'],
])('SQLSTATE %s at the target is %s', (sqlstate, code, retry) => {
  const error = meant(said(sqlstate))
  expect(error).toMatchObject({ code, retry, context: { sqlstate, stream: 'public.t' } })
  expect(error.hint).not.toBe(undefined)
  expect(error.message).toContain('postgresql://db/shop: loading failed: ')
})

test('a unique index of somebody else is named, with what can be done about it', () => {
  const cause = toTrunklineError({
    severity: 'ERROR',
    code: '23505',
    message: 'duplicate key value violates unique constraint "by_code"',
    constraint: 'by_code',
  })
  expect(meant(cause)).toMatchObject({
    code: 'DESTINATION_FAILED',
    message: expect.stringContaining('by_code') as string,
    hint: expect.stringContaining('DEFERRABLE') as string,
    context: { stream: 'public.t', sqlstate: '23505', constraint: 'by_code' },
  })
})

test('what is already said in words of a destination, or of the sync, is passed on as it is', () => {
  for (const error of [
    new TrunklineError('FENCED', 'x'),
    new TrunklineError('KEY_DUPLICATE', 'x'),
    new TrunklineError('ABORTED', 'x'),
  ]) {
    expect(meant(error)).toBe(error)
  }
  expect(meant(new Error('boom'))).toMatchObject({ code: 'DESTINATION_FAILED' })
})

test('a denial stops the run where it is of all streams', () => {
  const context = { description: 'postgresql://db/shop', doing: 'opening' }
  expect(toTargetError(said('42501'), context)).toMatchObject({ code: 'DESTINATION_DENIED' })
})

test('a connection that ended is told from a statement that failed', () => {
  expect(isLost(new TrunklineError('CONNECTION_LOST', 'x'))).toBe(true)
  expect(isLost(said('57P01'))).toBe(true)
  expect(isLost(said('40001'))).toBe(false)
  expect(isLost(new Error('x'))).toBe(false)
})
