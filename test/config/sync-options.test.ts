import { expect, test } from 'vitest'
import { checkSyncOptions } from '../../src/config/check-options.js'
import { overlayStreamOptions, toSyncSpec } from '../../src/config/sync-options.js'
import { TrunklineError } from '../../src/model/error.js'

test('options of a program are checked by the rules of the file, in their own spelling', () => {
  const cases: [unknown, string, string, string][] = [
    [{ streams: { 'public.*': { mod: 'mirror' } } }, 'CONFIG_UNKNOWN_KEY', 'streams["public.*"].mod', 'mode'],
    [{ targetSchem: 'x' }, 'CONFIG_UNKNOWN_KEY', 'targetSchem', 'targetSchema'],
    [{ defaults: { auditEvery: 'often' } }, 'CONFIG_INVALID', 'defaults.auditEvery', ''],
    [{ defaults: { mode: 'mirored' } }, 'CONFIG_INVALID', 'defaults.mode', ''],
    [{ limits: { maxConnection: 1 } }, 'CONFIG_UNKNOWN_KEY', 'limits.maxConnection', 'maxConnections'],
    [{ limits: { maxConnections: '4' } }, 'CONFIG_INVALID', 'limits.maxConnections', ''],
    [{ limits: { maxConnections: null } }, 'CONFIG_INVALID', 'limits.maxConnections', ''],
  ]
  for (const [options, code, place, hint] of cases) {
    const error = errorOf(options)
    expect(error.code, place).toBe(code)
    expect(error.message).toContain(place)
    expect(error.hint).toContain(hint)
  }
})

test('what a cursor needs may be stated in the words of files and in those of programs', () => {
  const lookback = { kind: 'duration', ms: 3_600_000 } as const
  const auditEvery = { kind: 'runs', runs: 10 } as const
  const asFile = { cursorField: 'at', lookback: '1h', auditEvery: 10 }
  expect(checkSyncOptions({ defaults: asFile as never }).defaults).toEqual({
    cursorField: 'at',
    lookback,
    auditEvery,
  })
  expect(checkSyncOptions({ defaults: { lookback, auditEvery } }).defaults).toEqual({ lookback, auditEvery })
  expect(checkSyncOptions({ defaults: { lookback: 1000 as never } }).defaults?.lookback).toEqual({
    kind: 'amount',
    amount: '1000',
  })
})

test('names of streams and columns are never taken for options', () => {
  const options = {
    streams: { 'public.camelCase': { types: { totalAmount: 'text' }, excludeColumns: ['userName'] } },
  }
  expect(checkSyncOptions(options).streams).toEqual(options.streams)
})

test('a limit that may be absent may be null', () => {
  expect(checkSyncOptions({ limits: { maxReplicaLagMs: null } }).limits).toEqual({ maxReplicaLagMs: null })
})

test('flags beat the most specific pattern, and one for a pattern only that', () => {
  const file = {
    streams: { 'public.*': { mode: 'mirror' as const }, 'public.a': { where: 'x', mode: 'mirror' as const } },
  }
  const laid = overlayStreamOptions(file, { mode: 'full_refresh' }, { 'public.a': { where: 'y' } })
  expect(laid.streams).toEqual({
    'public.*': { mode: 'full_refresh' },
    'public.a': { mode: 'full_refresh', where: 'y' },
  })
  expect(laid.defaults).toEqual({ mode: 'full_refresh' })
})

test('a pattern that only a flag names does not narrow the selection', () => {
  const laid = overlayStreamOptions({}, {}, { 'public.a': { where: 'y' } })
  expect(toSyncSpec(laid, 'x').selection.select).toEqual([])
  const listed = overlayStreamOptions({ streams: { 'public.b': {} } }, {}, { 'public.a': { where: 'y' } })
  expect(toSyncSpec(listed, 'x').selection.select).toEqual(['public.b'])
})

function errorOf(options: unknown): TrunklineError {
  try {
    checkSyncOptions(options as object)
  } catch (error) {
    if (error instanceof TrunklineError) return error
    throw error
  }
  throw new Error('was accepted')
}
