import { expect, test } from 'vitest'
import { escapeJson, escapeLines, escapeText } from '../../src/cli/escape.js'

const HOSTILE = [
  '\u0000',
  '\u001b',
  '\u009b',
  '\r',
  '\n',
  '\u007f',
  '\u202e',
  '\u2066',
  '\u200f',
  '\u2028',
  '\ufeff',
  '\u061c',
]

test('nothing that acts on a terminal or turns text around comes through', () => {
  for (const char of HOSTILE) {
    const escaped = escapeText(`a${char}b`)
    expect(escaped).not.toContain(char)
    expect(escaped).toMatch(/^a\\.+b$/)
  }
  expect(escapeText('a\u001b[31mb\nc')).toBe('a\\e[31mb\\nc')
})

test('what people write in names is left alone', () => {
  for (const text of ['größe', '注文', 'заказы', '🛒 cart', 'it\'s \\ "quoted"', 'شراء'])
    expect(escapeText(text)).toBe(text)
})

test('JSON stays the same value', () => {
  const value = HOSTILE.map((char) => `x${char}y`)
  const json = escapeJson(JSON.stringify(value))
  expect(JSON.parse(json)).toEqual(value)
  for (const char of HOSTILE) expect(json).not.toContain(char)
})

test('lines stay lines', () => {
  expect(escapeLines('a\u001b\nb\n', 'text')).toBe('a\\e\nb\n')
})
