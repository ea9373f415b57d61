import { expect, test } from 'vitest'
import { looksLikeDestination, parseDestination } from '../../src/config/destination-text.js'

test('a file name and the duckdb: form mean the same', () => {
  const plain = { format: 'duckdb', path: 'shop.duckdb', publish: 'direct' }
  expect(parseDestination('shop.duckdb')).toEqual(plain)
  expect(parseDestination('duckdb:shop.duckdb')).toEqual(plain)
  expect(parseDestination('duckdb:/data/a b.db?publish=atomic')).toEqual({
    format: 'duckdb',
    path: '/data/a b.db',
    publish: 'atomic',
  })
  expect(parseDestination('duckdb:odd?name')).toEqual({
    format: 'duckdb',
    path: 'odd?name',
    publish: 'direct',
  })
})

test.each([
  ['shop', 'CONFIG_INVALID', 'duckdb:FILE'],
  ['/tmp', 'CONFIG_INVALID', 'duckdb:FILE'],
  ['duckdb:', 'CONFIG_INVALID', 'duckdb:FILE'],
  ['duckdb::memory:', 'CONFIG_INVALID', 'end with the run'],
  ['parquet:dir', 'CONFIG_UNSUPPORTED', 'duckdb:FILE'],
  ['postgresql://u:geheim@h/d', 'CONFIG_UNSUPPORTED', 'duckdb:FILE'],
  ['dukdb:x', 'CONFIG_INVALID', 'Did you mean `duckdb:`?'],
  ['s3:x', 'CONFIG_INVALID', 'duckdb:FILE'],
  ['duckdb:x?publish=later', 'CONFIG_INVALID', 'atomic'],
  ['duckdb:x?publsh=atomic', 'CONFIG_UNKNOWN_KEY', 'publish='],
])('%s is refused with %s', (text, code, hint) => {
  expect(() => parseDestination(text)).toThrow(
    expect.objectContaining({
      code,
      hint: expect.stringContaining(hint) as string,
      message: expect.not.stringContaining('geheim') as string,
    }),
  )
})

test('a destination is told from a stream and from a name of the file', () => {
  expect(looksLikeDestination('shop.duckdb')).toBe(true)
  expect(looksLikeDestination('duckdb:x')).toBe(true)
  expect(looksLikeDestination('public.orders')).toBe(false)
  expect(looksLikeDestination('shop')).toBe(false)
})
