import { expect, test } from 'vitest'
import { list, literal, nullable, number, object, oneOf, pair, text } from '../../src/model/shape.js'

const animal = oneOf({
  cat: object({ kind: literal('cat'), lives: number }, { names: list(text) }),
  fish: object({ kind: literal('fish'), pond: nullable(object({ at: pair(number, number) })) }),
})

test('takes what it names, leaves out the rest, and keeps what may be absent apart from null', () => {
  expect(animal({ kind: 'cat', lives: 9, colour: 'red' }, '')).toEqual({ kind: 'cat', lives: 9 })
  expect(animal({ kind: 'cat', lives: 9, names: ['a'] }, '')).toEqual({ kind: 'cat', lives: 9, names: ['a'] })
  expect(animal({ kind: 'fish', pond: { at: [1, 2] } }, '')).toEqual({ kind: 'fish', pond: { at: [1, 2] } })
  expect(animal({ kind: 'fish', pond: null }, '')).toEqual({ kind: 'fish', pond: null })
})

test.each([
  [{ kind: 'dog' }, 'the value is not one of cat, fish'],
  [{ kind: 'toString' }, 'the value is not one of cat, fish'],
  [null, 'the value is not one of cat, fish'],
  [{ kind: 'cat' }, 'lives is not a number'],
  [{ kind: 'cat', lives: '9' }, 'lives is not a number'],
  [{ kind: 'cat', lives: 9, names: null }, 'names is not a list'],
  [{ kind: 'cat', lives: 9, names: ['a', 1] }, 'names[1] is not text'],
  [{ kind: 'fish' }, 'pond is not an object'],
  [{ kind: 'fish', pond: [] }, 'pond is not an object'],
  [{ kind: 'fish', pond: { at: [1] } }, 'pond.at is not a pair'],
])('refuses %j and says where', (value, message) => {
  expect(() => animal(value, '')).toThrow(message)
})
