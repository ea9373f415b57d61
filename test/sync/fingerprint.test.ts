import { describe, expect, test } from 'vitest'
import type { CatalogColumn, CatalogStream } from '../../src/model/catalog.js'
import type { Checkpoint, SourcePosition } from '../../src/model/checkpoint.js'
import type { StreamOptions } from '../../src/model/sync-spec.js'
import { DEFAULT_LIMITS } from '../../src/model/thresholds.js'
import { comparePositions, decideLoad, fingerprintOf, type Load } from '../../src/sync/fingerprint.js'
import { planStream, type StreamPlan } from '../../src/sync/plan.js'
import { ModelDatabase } from './model/database.js'
import { MemoryDestination, MemoryStore } from './model/memory-destination.js'
import { ModelSource, toCatalogStream } from './model/model-source.js'

const database = new ModelDatabase()
const stream = toCatalogStream(database.createTable('t'))
const source = new ModelSource(database)
const { capabilities } = new MemoryDestination(new MemoryStore())
const [id, v, note] = stream.columns as [CatalogColumn, CatalogColumn, CatalogColumn]

const POSITION: SourcePosition = {
  systemIdentifier: '1',
  database: 'shop',
  timeline: 1,
  lsn: '0/1000',
  standby: false,
  xmax: '1000',
}

function plan(options: StreamOptions = {}, changes: Partial<CatalogStream> = {}): StreamPlan {
  return planStream({
    stream: { ...stream, ...changes },
    options,
    table: { schema: 'public', name: 't' },
    savedKey: null,
    capabilities,
    mapColumns: (of, types) => source.mapColumns(of, types),
    limits: DEFAULT_LIMITS,
  })
}

function checkpoint(made: StreamPlan, changes: Partial<SourcePosition> = {}): Checkpoint {
  const common = {
    format: 1,
    source: { ...POSITION, ...changes },
    stream: fingerprintOf(made, made.columns),
  } as const
  if (made.mode === 'full_refresh') return { ...common, kind: 'full' }
  return {
    ...common,
    kind: 'horizon',
    horizon: '990',
    ...(made.landing === 'append' ? { seen: [] } : {}),
  }
}

function decide(
  saved: Checkpoint | null,
  made: StreamPlan,
  now: Partial<SourcePosition> = {},
  acceptNewSource = false,
): Load {
  return decideLoad({ plan: made, saved, position: { ...POSITION, ...now }, acceptNewSource })
}

/** What a change of the columns makes of a stream that was saved before it. */
function afterColumns(columns: readonly CatalogColumn[], options: StreamOptions = {}): Load {
  return decide(checkpoint(plan(options)), plan(options, { columns }))
}

const decimal = { ...v, typeName: 'text', sqlType: 'text' }
const extra = { ...note, name: 'extra', number: 4 }

describe('where the source is, seen from the last run', () => {
  const saved = checkpoint(plan())
  const compare = (now: Partial<SourcePosition>, then: Partial<SourcePosition> = {}): string =>
    comparePositions({ ...saved, source: { ...saved.source, ...then } }, { ...POSITION, ...now }).kind

  test('every difference is named', () => {
    expect(compare({})).toBe('forward')
    expect(compare({ lsn: '1/0', xmax: '5000' })).toBe('forward')
    expect(compare({ systemIdentifier: '2' })).toBe('other_source')
    expect(compare({ database: 'other' })).toBe('other_source')
    expect(compare({ timeline: 2, lsn: '1/0' })).toBe('rewound')
    expect(compare({ timeline: 1 }, { timeline: 2 })).toBe('rewound')
    expect(compare({ lsn: '0/FFF' })).toBe('rewound')
    expect(compare({ lsn: '0/FFF', standby: true })).toBe('behind')
    expect(compare({ lsn: '1/0', xmax: '999' })).toBe('rewound')
  })

  test('log positions are numbers, not text', () => {
    expect(compare({ lsn: '10/0' }, { lsn: '9/0' })).toBe('forward')
    expect(compare({ lsn: '0/20000000' }, { lsn: '0/9' })).toBe('forward')
  })

  test('a standby may not yet know ids that its primary handed out, but never lacks one below the horizon', () => {
    expect(compare({ standby: true, xmax: '995' })).toBe('forward')
    expect(compare({ standby: true, xmax: '989' })).toBe('rewound')
  })

  test('what the server hides is not compared', () => {
    expect(compare({ systemIdentifier: null, timeline: null, lsn: null })).toBe('forward')
    expect(compare({ systemIdentifier: '2', timeline: 9 }, { systemIdentifier: null, timeline: null })).toBe(
      'forward',
    )
  })
})

describe('what a run reads', () => {
  test('everything, the first time and after a resync', () => {
    expect(decide(null, plan())).toMatchObject({ kind: 'new_generation' })
  })

  test('what changed since the horizon', () => {
    const load = decide(checkpoint(plan()), plan())
    expect(load).toMatchObject({
      kind: 'since',
      window: { horizon: 990n, xmax: 1000n, wholeLeaves: [] },
      reconcile: false,
    })
  })

  test('joined partitions whole, and keys when one left', () => {
    const leaf = (oid: number): CatalogStream['leaves'][number] => ({
      oid,
      schema: 'public',
      name: `l${oid}`,
      filenode: oid,
      bytes: 0,
    })
    const saved = checkpoint(plan({}, { leaves: [leaf(1), leaf(2)] }))
    expect(decide(saved, plan({}, { leaves: [leaf(2), leaf(3)] }))).toMatchObject({
      window: { wholeLeaves: [3] },
      reconcile: true,
    })
    // VACUUM FULL gives a leaf another file and leaves the ids of its rows.
    const rewritten = { ...leaf(2), filenode: 77 }
    expect(decide(saved, plan({}, { leaves: [leaf(1), rewritten] }))).toMatchObject({
      window: { wholeLeaves: [] },
      reconcile: false,
    })
  })

  test('everything again when a mode without horizon came before', () => {
    const saved = checkpoint(plan({ mode: 'full_refresh' }))
    expect(decide(saved, plan())).toMatchObject({ kind: 'new_generation' })
  })

  test('everything again when rows landed another way before', () => {
    expect(decide(checkpoint(plan({ mode: 'incremental', landing: 'append' })), plan())).toMatchObject({
      kind: 'new_generation',
    })
  })

  test('another source only with a word', () => {
    const saved = checkpoint(plan())
    expect(() => decide(saved, plan(), { systemIdentifier: '2' })).toThrow(/another server/)
    expect(decide(saved, plan(), { systemIdentifier: '2' }, true)).toMatchObject({ kind: 'new_generation' })
  })
})

describe('a source that went back in time', () => {
  const back = { timeline: 2, lsn: '1/0' }
  test('is read anew', () => {
    expect(decide(checkpoint(plan()), plan(), back)).toMatchObject({ kind: 'new_generation' })
  })

  test('is read anew by key where rows are kept that it no longer has', () => {
    const soft = plan({ deletes: 'soft' })
    expect(decide(checkpoint(soft), soft, back)).toMatchObject({ kind: 'full_upsert' })
  })

  test('stops an append, which could not tell old rows from new', () => {
    const append = plan({ mode: 'incremental', landing: 'append' })
    expect(() => decide(checkpoint(append), append, back)).toThrow(
      expect.objectContaining({ code: 'SOURCE_REWOUND' }) as Error,
    )
  })
})

describe('a schema that changed', () => {
  test('evolve follows in a new generation', () => {
    expect(afterColumns([id, v, note, extra])).toMatchObject({
      kind: 'new_generation',
      reason: 'Column "extra" is new.',
    })
    expect(afterColumns([id, v])).toMatchObject({ kind: 'new_generation', reason: 'Column "note" is gone.' })
    expect(afterColumns([id, decimal, note])).toMatchObject({
      kind: 'new_generation',
      reason: 'Column "v" is now text, was int64.',
    })
    expect(afterColumns([id, v, { ...note, name: 'remark' }])).toMatchObject({
      kind: 'new_generation',
      reason: 'Column "remark" is new (it was "note"), column "note" is gone.',
    })
  })

  test('evolve adds columns to what is there where rows are kept, and stops where it cannot', () => {
    const soft = { deletes: 'soft' } as const
    const load = afterColumns([id, v, note, extra], soft)
    expect(load).toMatchObject({ kind: 'full_upsert' })
    expect('change' in load && load.change.added.map((column) => column.source)).toEqual(['extra'])
    expect(() => afterColumns([id, decimal, note], soft)).toThrow(
      expect.objectContaining({ code: 'SCHEMA_FROZEN' }) as Error,
    )
  })

  test('freeze stops and names the change', () => {
    const freeze = { onSchemaChange: 'freeze' } as const
    expect(() => afterColumns([id, v, note, extra], freeze)).toThrow(/Column "extra" is new/)
    expect(afterColumns([id, v, note], freeze)).toMatchObject({ kind: 'since' })
  })

  test('discard_value goes on with the columns that were there', () => {
    const discard = { onSchemaChange: 'discard_value' } as const
    const load = afterColumns([id, v, note, extra], discard)
    expect(load).toMatchObject({ kind: 'since' })
    expect('change' in load && load.change.columns.map((column) => column.source)).toEqual([
      'id',
      'v',
      'note',
    ])
    expect(() => afterColumns([id, decimal, note], discard)).toThrow(
      expect.objectContaining({ code: 'SCHEMA_FROZEN' }) as Error,
    )
  })

  test('an append goes on with more columns, and says what older rows have', () => {
    const append = { mode: 'incremental', landing: 'append' } as const
    const load = afterColumns([id, v, note, extra], append)
    expect(load).toMatchObject({ kind: 'since', warnings: [expect.stringContaining('"extra" is new')] })
  })

  test('a column dropped and added again, or of other labels, has other content', () => {
    expect(afterColumns([id, v, { ...note, number: 9 }])).toMatchObject({ kind: 'new_generation' })
    const mood = (labels: string[]): CatalogColumn => ({ ...note, sqlType: 'mood', enumLabels: labels })
    const saved = checkpoint(plan({}, { columns: [id, v, mood(['sad', 'ok'])] }))
    const now = (labels: string[]): Load => decide(saved, plan({}, { columns: [id, v, mood(labels)] }))
    expect(now(['sad', 'ok', 'happy'])).toMatchObject({ kind: 'since' })
    expect(now(['sad', 'fine'])).toMatchObject({ kind: 'new_generation' })
  })

  test('the expression of a virtual column is part of its content', () => {
    const virtual = (expression: string): CatalogColumn => ({
      ...v,
      generated: 'virtual',
      default: expression,
    })
    const saved = checkpoint(plan({}, { columns: [id, virtual('id + 1'), note] }))
    expect(decide(saved, plan({}, { columns: [id, virtual('id + 1'), note] }))).toMatchObject({
      kind: 'since',
    })
    expect(decide(saved, plan({}, { columns: [id, virtual('id + 2'), note] }))).toMatchObject({
      kind: 'new_generation',
    })
  })

  test('what a person changed is followed under every policy', () => {
    const freeze = { onSchemaChange: 'freeze' } as const
    const saved = checkpoint(plan(freeze))
    expect(decide(saved, plan({ ...freeze, where: 'v % 2 = 0' }))).toMatchObject({
      kind: 'new_generation',
      reason: 'The condition `where` changed.',
    })
    expect(decide(saved, plan({ ...freeze, primaryKey: ['v'] }))).toMatchObject({
      kind: 'new_generation',
      reason: 'The key changed.',
    })
    expect(decide(saved, plan({ ...freeze, deletes: 'soft' }))).toMatchObject({ kind: 'new_generation' })
  })
})

describe('dated copies', () => {
  const dated = { mode: 'full_refresh', landing: 'append' } as const
  test('add to what is there, and begin anew when copies were not dated before', () => {
    expect(decide(null, plan(dated))).toMatchObject({ kind: 'dated_copy' })
    expect(decide(checkpoint(plan(dated)), plan(dated))).toMatchObject({ kind: 'dated_copy' })
    expect(decide(checkpoint(plan({ mode: 'full_refresh' })), plan(dated))).toMatchObject({
      kind: 'new_generation',
    })
  })
})
