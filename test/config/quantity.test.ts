import { expect, test } from 'vitest'
import { parseDuration, parseSize } from '../../src/config/quantity.js'

test('durations are a number and a unit, several in a row add up', () => {
  expect(parseDuration('500ms')).toBe(500)
  expect(parseDuration('30s')).toBe(30_000)
  expect(parseDuration('1h30m')).toBe(5_400_000)
  expect(parseDuration('2d')).toBe(172_800_000)
  expect(parseDuration('0.5h')).toBe(1_800_000)
})

test('a duration without a unit, or with an unknown one, is none', () => {
  for (const text of ['', '30', 's', '2 h', '5w', '-3s', '1e3s']) expect(parseDuration(text), text).toBeNull()
})

test('sizes tell decimal from binary units', () => {
  expect(parseSize('8MiB')).toBe(8 * 2 ** 20)
  expect(parseSize('8 MB')).toBe(8_000_000)
  expect(parseSize('1.5GiB')).toBe(1.5 * 2 ** 30)
  expect(parseSize('4096')).toBe(4096)
})

test('what is not a size, or too large to count, is none', () => {
  for (const text of ['', 'MiB', '1XB', '-1MB', '99999999999TiB']) expect(parseSize(text), text).toBeNull()
})
