import { describe, expect, test } from 'vitest'
import {
  DecodeError,
  ERROR_CODES,
  fromErrorData,
  toErrorData,
  TrunklineError,
} from '../../src/model/error.js'

describe('an error', () => {
  test('takes its retry from the table unless told otherwise', () => {
    expect(new TrunklineError('DEADLOCK', 'x').retry).toBe('safe')
    expect(new TrunklineError('DEADLOCK', 'x', { retry: 'never' }).retry).toBe('never')
    expect(new TrunklineError('DEADLOCK', 'x').area).toBe('source')
  })

  test('crosses a thread boundary with code, hint, context and class', () => {
    const error = new DecodeError('a date of 3 bytes', { stream: 'public.t', field: 'd', byteOffset: 77 })
    const copy = fromErrorData(structuredClone(toErrorData(error)))
    expect(copy).toBeInstanceOf(DecodeError)
    expect(copy).toMatchObject({
      code: 'DECODE_FAILED',
      message: error.message,
      hint: error.hint,
      retry: 'never',
      context: { stream: 'public.t', field: 'd', byteOffset: 77 },
    })
  })

  test('of a foreign class becomes INTERNAL and is not retried', () => {
    expect(toErrorData(new RangeError('boom'))).toMatchObject({
      code: 'INTERNAL',
      message: 'boom',
      retry: 'never',
    })
    expect(toErrorData('text')).toMatchObject({ code: 'INTERNAL', message: 'text' })
  })

  test('every code says in a sentence what it means', () => {
    for (const { summary } of Object.values(ERROR_CODES)) expect(summary).toMatch(/^[A-Z].*\.$/)
  })
})
