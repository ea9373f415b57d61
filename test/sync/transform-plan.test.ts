/** What transforms do to plans, to the decision how to load, and to loads that go on. */
import { describe, expect, test } from 'vitest'
import type { PartialLoad } from '../../src/destination/contract.js'
import type { ResolvedCursor } from '../../src/source/contract.js'
import type { Checkpoint, SourcePosition } from '../../src/model/checkpoint.js'
import { formatCheckpoint, parseCheckpoint } from '../../src/model/checkpoint.js'
import type { SplitRange } from '../../src/model/split-range.js'
import type { StreamOptions } from '../../src/model/sync-spec.js'
import { DEFAULT_LIMITS } from '../../src/model/thresholds.js'
import { decideLoad, fingerprintOf, type Load } from '../../src/sync/fingerprint.js'
import { decideContinuation, savingObstacle } from '../../src/sync/first-load.js'
import { planStream, type StreamPlan } from '../../src/sync/plan.js'
import { showMasked } from '../../src/sync/plan-transform.js'
import { resolveOptions } from '../../src/sync/resolve-options.js'
import { describeLanding } from '../../src/sync/stream-landing.js'
import { ModelDatabase } from './model/database.js'
import { MemoryDestination, MemoryStore } from './model/memory-destination.js'
import { ModelSource, toCatalogStream } from './model/model-source.js'

const database = new ModelDatabase()
const stream = toCatalogStream(database.createTable('t'))
const source = new ModelSource(database)
const { capabilities } = new MemoryDestination(new MemoryStore())
const KEY = 'a secret of enough characters'

const POSITION: SourcePosition = {
  systemIdentifier: '1',
  database: 'shop',
  timeline: 1,
  lsn: '0/1000',
  standby: false,
  xmax: '1000',
}

function plan(options: StreamOptions = {}, cursor: ResolvedCursor | null = null): StreamPlan {
  return planStream({
    stream,
    cursor,
    options,
    table: { schema: 'public', name: 't' },
    savedKey: null,
    capabilities,
    mapColumns: (of, types) => source.mapColumns(of, types),
    limits: DEFAULT_LIMITS,
  })
}

function checkpoint(made: StreamPlan): Checkpoint {
  const common = { format: 1, source: POSITION, stream: fingerprintOf(made, made.columns) } as const
  return made.mode === 'full_refresh'
    ? { ...common, kind: 'full' }
    : { ...common, kind: 'horizon', horizon: '990', ...(made.landing === 'append' ? { seen: [] } : {}) }
}

function decide(before: StreamOptions, now: StreamOptions): Load {
  const saved = parseCheckpoint(formatCheckpoint(checkpoint(plan(before))))
  return decideLoad({ plan: plan(now), saved, position: POSITION, acceptNewSource: false })
}

const masked: StreamOptions = { mask: { note: 'redact' } }
const hook: StreamOptions = { transformRow: (row) => row }

describe('the plan of a stream', () => {
  test('lands masked and renamed fields and added ones, and keeps calling columns as the source does', () => {
    const made = plan({ mask: { v: 'redact' }, rename: { id: 'key' }, addColumns: { region: 'eu' } })
    const { fields, comments } = describeLanding(made, made.columns, POSITION)
    expect(fields.map(({ name, type }) => `${name} ${type.kind}`)).toEqual([
      'key int',
      'v text',
      'note text',
      'region text',
    ])
    expect(comments.columns).toEqual({})
    expect(made.key).toEqual(['id'])
    expect(fingerprintOf(made, made.columns).columns.map(({ name }) => name)).toEqual(['id', 'v', 'note'])
  })

  test('says in its promise what is done to rows, and nothing where nothing is', () => {
    expect(plan().promise).not.toContain('Narrowed')
    expect(plan({ ...masked, rename: { v: 'w' }, addColumns: { region: 'eu' } }).promise).toMatch(
      /Narrowed: note masked: every value is \[redacted\]; v lands as w; with region added\.$/,
    )
    expect(fingerprintOf(plan(), plan().columns)).not.toHaveProperty('transforms')
  })

  test('matches rows by masked keys only where the mask keeps them apart', () => {
    expect(plan({ mask: { id: `hmac:${KEY}` } })).toMatchObject({ mode: 'mirror', key: ['id'] })
    expect(plan({ mask: { id: 'redact' }, mode: 'full_refresh' })).toMatchObject({
      landing: 'replace',
      key: null,
    })
    for (const options of [{}, { mode: 'mirror' }, { mode: 'full_refresh', landing: 'upsert' }] as const) {
      expect(() => plan({ ...options, mask: { id: 'hash' } })).toThrow(/the mask of "id"/)
    }
  })

  test('keeps neither positions in a masked column nor digests of masked rows', () => {
    const byCursor = (options: StreamOptions): StreamPlan =>
      plan(
        { mode: 'incremental', cursorField: 'v', lookback: { kind: 'amount', amount: '1' }, ...options },
        cursor,
      )
    const cursor = { name: 'v', afterStart: null }
    expect(() => byCursor({ mask: { v: 'redact' } })).toThrow(/cursor field "v" is masked/)
    expect(byCursor(masked).cursor).not.toBeNull()
    const append: StreamOptions = { landing: 'append', cursorBound: 'lookback' }
    expect(byCursor(append).cursor).not.toBeNull()
    expect(() => byCursor({ ...masked, ...append })).toThrow(/remembers digests of unmasked rows/)
    expect(byCursor({ ...masked, landing: 'append', cursorBound: 'xmin' }).cursor).not.toBeNull()
  })

  test('saves no part of a load that is told by values of a masked column', () => {
    const { transform } = plan({ mask: { id: `hmac:${KEY}` } })
    const keys = (columns: string[]): SplitRange => ({ kind: 'keys', columns, from: ['7'], to: null })
    expect(showMasked([{ kind: 'all' }, keys(['v', 'id'])], transform)).toBe(true)
    expect(showMasked([{ kind: 'blocks', leaf: 1, from: 0, to: null }, keys(['v'])], transform)).toBe(false)
  })

  test('reads in full where a hook may leave rows out, unless a mirror is asked for, which then may not', () => {
    expect(plan(hook)).toMatchObject({ mode: 'full_refresh', landing: 'replace', mayDrop: true })
    expect(plan({ ...hook, mode: 'mirror' })).toMatchObject({ mode: 'mirror', mayDrop: false })
    expect(plan({ ...hook, mode: 'mirror', deletes: 'ignore' })).toMatchObject({ mayDrop: true })
    expect(savingObstacle(plan(hook), capabilities)).toContain('hook')
    expect(savingObstacle(plan({ ...hook, mode: 'mirror' }), capabilities)).toBeNull()
  })
})

describe('what is done to rows, changed', () => {
  const changes: readonly (readonly [string, StreamOptions, StreamOptions])[] = [
    ['a mask', {}, masked],
    ['no mask any more', masked, {}],
    ['another name', {}, { rename: { v: 'w' } }],
    ['an added column', {}, { addColumns: { region: 'eu' } }],
    ['another constant', { addColumns: { region: 'eu' } }, { addColumns: { region: 'us' } }],
    ['another hook', { ...hook, mode: 'mirror' }, { ...hook, mode: 'mirror', hookVersion: '2' }],
  ]

  test.each(changes)('%s is another generation', (_, before, now) => {
    const load = decide(before, now)
    expect(load).toMatchObject({ kind: 'new_generation' })
    expect('reason' in load ? load.reason : '').toMatch(/^What is done to its rows changed: /)
  })

  test.each(changes)('%s stops where rows would be lost that only the destination has', (_, before, now) => {
    for (const kept of [
      { mode: 'mirror', deletes: 'soft' },
      { mode: 'incremental', landing: 'append' },
    ] as const) {
      expect(() => decide({ ...before, ...kept }, { ...now, ...kept })).toThrow(
        /would have to be loaded anew/,
      )
    }
  })

  test.each(changes)('%s is nothing that a load can go on over', (_, before, now) => {
    const partial = (of: StreamPlan): PartialLoad => ({
      generation: 1,
      table: of.table,
      savedAt: new Date(0),
      progress: {
        format: 1,
        kind: 'partial',
        source: POSITION,
        stream: fingerprintOf(of, of.columns),
        horizon: '990',
        rows: 5,
        parts: 2,
        remaining: [{ kind: 'blocks', leaf: stream.oid, from: 5, to: null }],
      },
    })
    const goOn = (made: StreamPlan): string =>
      decideContinuation({
        plan: made,
        columns: made.columns,
        position: POSITION,
        capabilities,
        generation: 1,
        partial: partial(plan(before)),
      }).kind
    expect(goOn(plan(before))).toBe('resume')
    expect(goOn(plan(now))).toBe('start')
  })

  test('to a column that came or went with the source is no change to the rows that are there', () => {
    const kept: StreamOptions = { mode: 'mirror', deletes: 'soft' }
    const whole = checkpoint(plan({ ...kept, mask: { note: 'redact', v: 'hash' }, rename: { note: 'text' } }))
    const ofNote = { mask: { v: 'hash' }, excludeColumns: ['note'] }
    const decideOn = (saved: Checkpoint, made: StreamPlan): Load =>
      decideLoad({ plan: made, saved, position: POSITION, acceptNewSource: false })
    expect(decideOn(whole, plan({ ...kept, ...ofNote }))).toMatchObject({ kind: 'full_upsert' })
    const without = checkpoint(plan({ ...kept, ...ofNote }))
    const added = plan({ ...kept, mask: { note: 'redact', v: 'hash' }, rename: { note: 'text' } })
    expect(decideOn(without, added)).toMatchObject({
      kind: 'full_upsert',
      change: { added: [{ source: 'note' }] },
    })
  })

  test('the same is no change, in whatever order it is stated', () => {
    const one: StreamOptions = { mask: { v: 'redact', note: 'hash' }, rename: { v: 'a', note: 'b' } }
    const other: StreamOptions = { rename: { note: 'b', v: 'a' }, mask: { note: 'hash', v: 'redact' } }
    expect(decide(one, other)).toMatchObject({ kind: 'since' })
  })
})

test('options of columns are laid over column by column, and hold for the columns that many streams have', () => {
  const { streams } = resolveOptions([stream], {
    defaults: { mask: { v: 'redact', missing: 'redact' }, addColumns: { a: 1 } },
    streams: {
      'public.*': { mask: { note: 'hash', absent: 'hash' }, addColumns: { b: 2 } },
      [stream.name]: { mask: { v: 'null', stated: 'null' } },
    },
  })
  expect(streams[0]?.options).toEqual({
    mask: { v: 'null', note: 'hash', stated: 'null' },
    addColumns: { a: 1, b: 2 },
  })
})
