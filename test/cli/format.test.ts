import { expect, test } from 'vitest'
import {
  clip,
  displayWidth,
  formatBytes,
  formatCount,
  formatNoun,
  formatSeconds,
  formatTable,
} from '../../src/cli/format.js'

test('bytes have three digits and never read 1000', () => {
  expect([0, 999, 1000, 9949, 9951, 99_499, 99_501, 999_499, 999_501, 1.5e12].map(formatBytes)).toEqual([
    '0 B',
    '999 B',
    '1.00 kB',
    '9.95 kB',
    '10.0 kB',
    '99.5 kB',
    '100 kB',
    '999 kB',
    '1.00 MB',
    '1.50 TB',
  ])
})

test('counts are grouped and nouns agree', () => {
  expect(formatCount(1234567)).toBe('1,234,567')
  expect(formatNoun(1, 'row')).toBe('1 row')
  expect(formatNoun(0, 'row')).toBe('0 rows')
})

test('durations change their unit, not their meaning', () => {
  expect([0, 9.94, 9.96, 59.4, 60, 3599, 3600, 172_800].map(formatSeconds)).toEqual([
    '0.0 s',
    '9.9 s',
    '10 s',
    '59 s',
    '1 min 0 s',
    '59 min 59 s',
    '1 h 0 min',
    '2 d 0 h',
  ])
})

test('tables align by what is seen, not by code units', () => {
  expect(
    formatTable(
      [
        ['a', '1'],
        ['注文', '22'],
        ['🛒', '333'],
      ],
      new Set([1]),
    ),
  ).toBe('a       1\n注文   22\n🛒    333')
  expect(displayWidth('e\u0301')).toBe(1)
  expect(clip('注文注文', 5)).toBe('注文…')
})
