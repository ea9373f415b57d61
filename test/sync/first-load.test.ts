import { describe, expect, test } from 'vitest'
import type { PartialLoad } from '../../src/destination/contract.js'
import type { CatalogStream } from '../../src/model/catalog.js'
import type { LoadProgress, SourcePosition } from '../../src/model/checkpoint.js'
import type { StreamOptions } from '../../src/model/sync-spec.js'
import type { SplitRange } from '../../src/model/split-range.js'
import { DEFAULT_LIMITS } from '../../src/model/thresholds.js'
import { parseXid8 } from '../../src/model/xid.js'
import { fingerprintOf } from '../../src/sync/fingerprint.js'
import {
  beginParts,
  decideContinuation,
  describeParts,
  formatProgress,
  savingObstacle,
  SaveSchedule,
  type Continuation,
} from '../../src/sync/first-load.js'
import { planStream, type StreamPlan } from '../../src/sync/plan.js'
import { ModelDatabase } from './model/database.js'
import { MemoryDestination, MemoryStore } from './model/memory-destination.js'
import { ModelSource, toCatalogStream } from './model/model-source.js'

const database = new ModelDatabase()
const stream = toCatalogStream(database.createTable('t'))
const tree = toCatalogStream(database.createTable('tree', 4))
const source = new ModelSource(database)
const { capabilities } = new MemoryDestination(new MemoryStore())

const POSITION: SourcePosition = {
  systemIdentifier: '1',
  database: 'shop',
  timeline: 1,
  lsn: '0/1000',
  standby: false,
  xmax: '1000',
}

const RANGES: readonly SplitRange[] = [
  { kind: 'blocks', leaf: 1, from: 0, to: 10 },
  { kind: 'blocks', leaf: 1, from: 10, to: 20 },
  { kind: 'blocks', leaf: 1, from: 20, to: null },
]

function plan(options: StreamOptions = {}, of: CatalogStream = stream): StreamPlan {
  return planStream({
    stream: of,
    options,
    table: { schema: 'public', name: of.table },
    savedKey: null,
    capabilities,
    mapColumns: (columns, types) => source.mapColumns(columns, types),
    limits: DEFAULT_LIMITS,
  })
}

/** What a load of the plan left after its first part. */
function partialOf(made: StreamPlan, changes: Partial<LoadProgress> = {}): PartialLoad {
  const parts = beginParts(RANGES, {
    horizon: parseXid8('990'),
    stream: fingerprintOf(made, made.columns),
  })
  if (parts === null) throw new Error('the ranges cannot be told apart')
  const progress = formatProgress(parts, { position: POSITION, rows: 100, remaining: RANGES.slice(1) })
  return {
    generation: 1,
    table: made.table,
    savedAt: new Date(0),
    progress: { ...progress, ...changes },
  }
}

function goOn(
  made: StreamPlan,
  partial: PartialLoad | null,
  now: Partial<SourcePosition> = {},
  generation = 1,
): Continuation {
  return decideContinuation({
    plan: made,
    columns: made.columns,
    position: { ...POSITION, ...now },
    capabilities,
    generation,
    partial,
  })
}

/** Why a load is begun anew. */
function dropped(...input: Parameters<typeof goOn>): string | null {
  const found = goOn(...input)
  return found.kind === 'start' ? found.dropped : 'it is gone on with'
}

const withLeaves = (leaves: CatalogStream['leaves']): CatalogStream => ({ ...tree, leaves })
const rewritten = (leaf: CatalogStream['leaves'][number]): CatalogStream['leaves'][number] => ({
  ...leaf,
  filenode: (leaf.filenode ?? 0) + 1,
})

describe('a load that was interrupted', () => {
  test('is gone on with: the parts that remain, then everything since the first snapshot', () => {
    const found = goOn(plan(), partialOf(plan()), { lsn: '0/2000', xmax: '1200' })
    expect(found).toEqual({
      kind: 'resume',
      load: {
        horizon: 990n,
        stream: fingerprintOf(plan(), plan().columns),
        parts: 3,
        rowsBefore: 100,
      },
      remaining: RANGES.slice(1),
      window: { horizon: 990n, xmax: 1200n, wholeLeaves: [] },
      reconcile: false,
    })
  })

  test('keeps its first horizon and takes the newest position when it is saved again', () => {
    const found = goOn(plan(), partialOf(plan()), { lsn: '0/2000', xmax: '1200' })
    if (found.kind !== 'resume') throw new Error(found.dropped ?? '')
    const position = { ...POSITION, lsn: '0/2000', xmax: '1200' }
    expect(formatProgress(found.load, { position, rows: 170, remaining: RANGES.slice(2) })).toMatchObject({
      horizon: '990',
      source: position,
      rows: 170,
      parts: 3,
      remaining: RANGES.slice(2),
    })
  })

  test('is nothing where nothing is there', () => {
    expect(dropped(plan(), null)).toBeNull()
  })

  test('is begun anew where the source is not the one, or went back in time', () => {
    const partial = partialOf(plan())
    expect(dropped(plan(), partial, { systemIdentifier: '2' })).toMatch(/another one/)
    expect(dropped(plan(), partial, { database: 'other' })).toMatch(/another one/)
    expect(dropped(plan(), partial, { timeline: 2 })).toMatch(/back in time/)
    expect(dropped(plan(), partial, { lsn: '0/FFF' })).toMatch(/back in time/)
    expect(dropped(plan(), partial, { lsn: '0/2000', xmax: '995' })).toMatch(/back in time/)
  })

  test('waits for a standby that has not replayed what is there', () => {
    const call = (): unknown => goOn(plan(), partialOf(plan()), { lsn: '0/FFF', standby: true })
    expect(call).toThrow(expect.objectContaining({ code: 'SOURCE_PRESSURE' }) as Error)
  })

  test('is begun anew where 32-bit ids no longer tell which rows are later', () => {
    const far = { lsn: '0/2000', xmax: String(990n + 2n ** 31n) }
    expect(dropped(plan(), partialOf(plan()), far)).toMatch(/2\^31/)
    const near = { lsn: '0/2000', xmax: String(989n + 2n ** 31n) }
    expect(goOn(plan(), partialOf(plan()), near).kind).toBe('resume')
  })

  test('is begun anew where rows could be others without having been written', () => {
    const partial = partialOf(plan())
    const [id, v, note] = stream.columns
    if (id === undefined || v === undefined || note === undefined) throw new Error('three columns')
    const after = (columns: CatalogStream['columns']): string | null =>
      dropped(plan({}, { ...stream, columns }), partial)
    expect(after([id, v, note, { ...note, name: 'extra', number: 4 }])).toMatch(/"extra" is new/)
    expect(after([id, v])).toMatch(/"note" is gone/)
    expect(after([id, { ...v, number: 9 }, note])).toMatch(/dropped and added again/)
    expect(after([id, { ...v, enumLabels: ['a'] }, note])).toMatch(/"v" is now/)
    expect(after([v, id, note])).toMatch(/columns changed/)
    expect(dropped(plan({ types: { v: 'text' } }), partial)).toMatch(/"v" is now text/)
    expect(dropped(plan({ deletes: 'soft' }), partial)).toMatch(/_trunkline_deleted_at/)
    expect(dropped(plan({ where: 'v % 2 = 0' }), partial)).toMatch(/where/)
    expect(dropped(plan({ primaryKey: ['id', 'v'] }), partial)).toMatch(/key changed/)
    expect(dropped(plan({}, { ...stream, oid: 1 }), partial)).toMatch(/created again/)
  })

  test('is begun anew where more labels of an enum might have been in use', () => {
    const [id, v, note] = stream.columns
    if (id === undefined || v === undefined || note === undefined) throw new Error('three columns')
    const labels = (enumLabels: string[]): StreamPlan =>
      plan({}, { ...stream, columns: [id, { ...v, enumLabels }, note] })
    expect(dropped(labels(['a', 'b']), partialOf(labels(['a'])))).toMatch(/columns changed/)
  })

  test('is begun anew where the table was emptied or rewritten', () => {
    const leaves = stream.leaves.map(rewritten)
    expect(dropped(plan({}, { ...stream, leaves }), partialOf(plan()))).toMatch(/emptied or rewritten/)
  })

  test('is begun anew for another generation and another table', () => {
    expect(dropped(plan(), partialOf(plan()), {}, 2)).toMatch(/generation/)
    const partial = { ...partialOf(plan()), table: { schema: 'public', name: 'other' } }
    expect(dropped(plan(), partial)).toMatch(/another name/)
  })

  test('is begun anew where what is read by now cannot be saved', () => {
    const partial = partialOf(plan())
    expect(dropped(plan({ mode: 'full_refresh', where: 'true' }), partial)).toMatch(/condition/)
    expect(
      decideContinuation({
        plan: plan(),
        columns: plan().columns,
        position: POSITION,
        capabilities: { resume: false },
        generation: 1,
        partial,
      }),
    ).toMatchObject({ kind: 'start', dropped: expect.stringMatching(/destination/) as string })
  })
})

describe('a load of a partitioned table', () => {
  const partial = partialOf(plan({}, tree))
  const [first, second, third, fourth] = tree.leaves
  if (!first || !second || !third || !fourth) throw new Error('four leaves')
  const joined = { ...first, oid: 4711, filenode: 4711 }

  test('reads partitions whole that joined, and forgets those that left', () => {
    const left = goOn(plan({}, withLeaves([first, second, third])), partial)
    expect(left).toMatchObject({
      reconcile: true,
      window: { wholeLeaves: [] },
      load: { stream: { leaves: [first, second, third].map(({ oid, filenode }) => ({ oid, filenode })) } },
    })
    const came = goOn(plan({}, withLeaves([...tree.leaves, joined])), partial)
    expect(came).toMatchObject({ reconcile: false, window: { wholeLeaves: [4711] } })
    if (came.kind === 'resume') expect(came.load.stream.leaves).toHaveLength(4)
  })

  test('reads a partition whole that left between two snapshots and came back', () => {
    const left = goOn(plan({}, withLeaves([first, second, third])), partial)
    if (left.kind !== 'resume') throw new Error(left.dropped ?? '')
    const saved = formatProgress(left.load, { position: POSITION, rows: 120, remaining: RANGES.slice(2) })
    const back = goOn(plan({}, tree), { ...partial, progress: saved })
    expect(back).toMatchObject({ kind: 'resume', window: { wholeLeaves: [fourth.oid] } })
  })

  test('reads a partition whole that was emptied or rewritten, and begins anew where that is most of it', () => {
    const one = goOn(plan({}, withLeaves([rewritten(first), second, third, fourth])), partial)
    expect(one).toMatchObject({ reconcile: true, window: { wholeLeaves: [first.oid] } })
    const three = withLeaves([rewritten(first), rewritten(second), rewritten(third), fourth])
    expect(dropped(plan({}, three), partial)).toMatch(/emptied or rewritten/)
    const large = withLeaves([{ ...rewritten(first), bytes: 1e9 }, second, third, fourth])
    expect(dropped(plan({}, large), partial)).toMatch(/emptied or rewritten/)
    const empty = [rewritten(first), second, third, fourth].map((leaf) => ({ ...leaf, bytes: 0 }))
    expect(goOn(plan({}, withLeaves(empty)), partial).kind).toBe('resume')
  })
})

describe('a load is not saved', () => {
  test.each<[string, StreamOptions, Partial<CatalogStream>, RegExp]>([
    ['without a key', { mode: 'full_refresh' }, { key: null }, /no key/],
    ['as one of several dated copies', { mode: 'full_refresh', landing: 'append' }, {}, /no key/],
    ['of a view', { primaryKey: ['id'] }, { kind: 'view' }, /transaction ids/],
    ['of a hypertable', {}, { oddity: 'hypertable' }, /hypertable/],
    ['behind row security', {}, { rowSecurity: true }, /row security/],
    ['under a condition that may be anything', { mode: 'full_refresh', where: 'true' }, {}, /condition/],
    [
      'of storage that is not known',
      {},
      { leaves: stream.leaves.map((leaf) => ({ ...leaf, filenode: null })) },
      /storage/,
    ],
  ])('%s', (_, options, changes, why) => {
    expect(savingObstacle(plan(options, { ...stream, ...changes }), { resume: true })).toMatch(why)
  })

  test('to a destination that cannot', () => {
    expect(savingObstacle(plan(), { resume: false })).toMatch(/destination/)
  })

  test('but is of any table with a key, mirrored or refreshed in full', () => {
    expect(savingObstacle(plan(), { resume: true })).toBeNull()
    expect(savingObstacle(plan({ where: 'v % 2 = 0' }), { resume: true })).toBeNull()
    expect(savingObstacle(plan({ mode: 'full_refresh' }), { resume: true })).toBeNull()
  })

  test('where it is not divided', () => {
    const first = { horizon: parseXid8('990'), stream: fingerprintOf(plan(), plan().columns) }
    expect(beginParts([{ kind: 'all' }], first)).toBeNull()
    expect(beginParts(RANGES.slice(2), first)).toBeNull()
    expect(beginParts([], first)).toBeNull()
    expect(beginParts([{ kind: 'all' }, ...RANGES], first)).toBeNull()
    expect(beginParts(RANGES, first)).toMatchObject({ parts: 3, rowsBefore: 0 })
  })
})

describe('when a load is saved', () => {
  test('not before a while, and then after as long again', () => {
    const schedule = new SaveSchedule(1000, 60_000)
    expect(schedule.isDue(60_999)).toBe(false)
    expect(schedule.isDue(61_000)).toBe(true)
    schedule.saved(70_000, 71_000)
    expect(schedule.isDue(130_999)).toBe(false)
    expect(schedule.isDue(131_000)).toBe(true)
  })

  test('less often where saving takes long', () => {
    const schedule = new SaveSchedule(0, 60_000)
    schedule.saved(60_000, 70_000)
    expect(schedule.isDue(269_999)).toBe(false)
    expect(schedule.isDue(270_000)).toBe(true)
  })
})

test('how far a load is, is said in parts', () => {
  expect(describeParts({ parts: 64, remaining: RANGES })).toBe('61 of 64 parts')
})
