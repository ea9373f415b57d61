import { expect, test } from 'vitest'
import { interpolate } from '../../src/config/interpolate.js'
import { TrunklineError } from '../../src/model/error.js'

const env = { HOST: 'db', EMPTY: '', NESTED: '${HOST}' }

test('a variable is replaced wherever it stands', () => {
  expect(interpolate('a ${HOST} b ${HOST}', env, 'here')).toBe('a db b db')
})

test('what a variable holds is not looked into again', () => {
  expect(interpolate('${NESTED}', env, 'here')).toBe('${HOST}')
})

test('a default stands in for a variable that is not set or empty', () => {
  expect(interpolate('${NONE:-x}|${EMPTY:-y}|${HOST:-z}|${NONE:-}', env, 'here')).toBe('x|y|db|')
})

test('a doubled dollar keeps a reference as it is', () => {
  expect(interpolate('$${HOST} $HOST $', env, 'here')).toBe('${HOST} $HOST $')
})

test('a variable that is not set is an error that names the place and the variable', () => {
  expect(() => interpolate('${NONE}', env, 'trunkline.yaml:3:5')).toThrow(
    expect.objectContaining({
      code: 'CONFIG_UNSET_VARIABLE',
      message: 'trunkline.yaml:3:5: the environment variable NONE is not set.',
    }),
  )
})

test('a malformed reference is an error that does not repeat the value', () => {
  for (const text of ['geheim${HOST', 'geheim${}', 'geheim${1A}', 'geheim${A B}']) {
    const error = catchError(() => interpolate(text, env, 'here'))
    expect(error.code, text).toBe('CONFIG_INVALID')
    expect(error.message).not.toContain('geheim')
  }
})

function catchError(call: () => unknown): TrunklineError {
  try {
    call()
  } catch (error) {
    if (error instanceof TrunklineError) return error
  }
  throw new Error('did not throw')
}
