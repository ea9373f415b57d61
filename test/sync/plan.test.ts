import { describe, expect, test } from 'vitest'
import type { DestinationCapabilities } from '../../src/destination/contract.js'
import type { CatalogStream } from '../../src/model/catalog.js'
import type { StreamOptions } from '../../src/model/sync-spec.js'
import { DEFAULT_LIMITS } from '../../src/model/thresholds.js'
import { planStream, type PlanInput, type StreamPlan } from '../../src/sync/plan.js'
import { ModelDatabase } from './model/database.js'
import { MemoryDestination, MemoryStore } from './model/memory-destination.js'
import { ModelSource, toCatalogStream } from './model/model-source.js'

const database = new ModelDatabase()
const orders = toCatalogStream(database.createTable('orders'))
const source = new ModelSource(database)
const { capabilities } = new MemoryDestination(new MemoryStore())

function plan(
  stream: Partial<CatalogStream> = {},
  options: StreamOptions = {},
  more: Partial<PlanInput> = {},
): StreamPlan {
  return planStream({
    stream: { ...orders, ...stream },
    options,
    table: { schema: 'public', name: 'orders' },
    savedKey: null,
    capabilities,
    mapColumns: (of, types) => source.mapColumns(of, types),
    limits: DEFAULT_LIMITS,
    ...more,
  })
}

function refusal(
  stream: Partial<CatalogStream>,
  options: StreamOptions = {},
): { code: string; hint: string } {
  try {
    plan(stream, options)
  } catch (error) {
    const { code, hint } = error as { code: string; hint?: string }
    return { code, hint: hint ?? '' }
  }
  return { code: 'none', hint: '' }
}

describe('the mode of a stream', () => {
  test('is mirror for tables, partitioned tables and materialized views with a key', () => {
    for (const kind of ['table', 'partitioned', 'matview', 'inherited'] as const) {
      expect(plan({ kind }), kind).toMatchObject({
        mode: 'mirror',
        landing: 'upsert',
        deletes: 'hard',
        key: ['id'],
      })
    }
  })

  test('is full_refresh for everything else, and says why', () => {
    const cases: [Partial<CatalogStream>, RegExp][] = [
      [{ key: null }, /no key/],
      [{ kind: 'view' }, /a view has no transaction ids/],
      [{ kind: 'foreign' }, /a foreign table has no/],
      [{ kind: 'query', sql: 'SELECT 1' }, /a query has no/],
      [{ oddity: 'hypertable' }, /hypertable/],
      [{ oddity: 'distributed' }, /several servers/],
      [{ oddity: 'foreign_leaf' }, /partitions is a foreign table/],
      [{ oddity: 'unknown_access_method' }, /not heap/],
      [{ tablePrivilege: false }, /not the whole table/],
    ]
    for (const [stream, reason] of cases) {
      const made = plan(stream)
      expect(made).toMatchObject({ mode: 'full_refresh', landing: 'replace' })
      expect(made.reason).toMatch(reason)
    }
  })

  test('is full_refresh where the destination replaces whole tables', () => {
    const files = { ...capabilities, landings: new Set(['replace'] as const), deletes: false }
    expect(plan({}, {}, { capabilities: files })).toMatchObject({ mode: 'full_refresh', landing: 'replace' })
  })

  test('mirror without a key is refused, naming both ways out', () => {
    const { code, hint } = refusal({ key: null }, { mode: 'mirror' })
    expect(code).toBe('KEY_MISSING')
    expect(hint).toContain('--primary-key public.orders=COLUMN')
    expect(hint).toContain('full_refresh')
  })

  test('mirror of a view is refused', () => {
    expect(refusal({ kind: 'view' }, { mode: 'mirror' }).code).toBe('STREAM_UNSUPPORTED')
    expect(refusal({ kind: 'view' }, { mode: 'incremental' }).code).toBe('STREAM_UNSUPPORTED')
  })

  test('incremental without a cursor where nothing else tells what changed asks for one', () => {
    const { code, hint } = refusal({ kind: 'view' }, { mode: 'incremental' })
    expect(code).toBe('STREAM_UNSUPPORTED')
    expect(hint).toContain('`cursor_field`')
  })
})

describe('how rows are read', () => {
  test('by COPY in batches as the limits say, or as asked', () => {
    expect(plan({}, {})).toMatchObject({ readMethod: 'copy', limits: { batchRows: 122_880 } })
    expect(plan({}, { batchSize: 500 })).toMatchObject({ readMethod: 'copy', limits: { batchRows: 500 } })
  })

  test('through a cursor or by a query 10,000 rows at a time, or as many as asked', () => {
    for (const readMethod of ['named', 'client'] as const) {
      expect(plan({}, { readMethod })).toMatchObject({ readMethod, limits: { batchRows: 10_000 } })
      const asked = plan({}, { readMethod, batchSize: 50_000 })
      expect(asked).toMatchObject({ readMethod, limits: { batchRows: 50_000 } })
    }
  })
})

test('what the destination cannot keep is said beside what the columns lose, by the names that land', () => {
  const losses: DestinationCapabilities['losses'] = (fields) => [
    `${fields.map(({ name }) => name).join(', ')}: not all of it.`,
  ]
  const made = plan({}, { rename: { note: 'remark' } }, { capabilities: { ...capabilities, losses } })
  expect(made.losses).toEqual([expect.stringMatching(/^id, .*remark.*: not all of it\.$/)])
  expect(plan().losses).toEqual([])
})

describe('landing and deletes', () => {
  test('follow from the mode', () => {
    expect(plan({}, { mode: 'incremental' })).toMatchObject({ landing: 'upsert', deletes: 'ignore' })
    expect(plan({ key: null }, { mode: 'incremental' })).toMatchObject({ landing: 'append', key: null })
    const files = { ...capabilities, landings: new Set(['replace', 'append'] as const), deletes: false }
    expect(plan({}, { mode: 'incremental' }, { capabilities: files })).toMatchObject({ landing: 'append' })
    expect(plan({}, { mode: 'full_refresh' })).toMatchObject({ landing: 'replace', dated: false })
    expect(plan({}, { mode: 'full_refresh', landing: 'append' })).toMatchObject({ dated: true })
    expect(plan({}, { mode: 'full_refresh', landing: 'upsert' })).toMatchObject({ deletes: 'ignore' })
    expect(plan({}, { landing: 'replace' })).toMatchObject({ mode: 'full_refresh' })
  })

  test('that contradict the mode are refused', () => {
    expect(refusal({}, { mode: 'mirror', landing: 'append' }).code).toBe('CONFIG_INVALID')
    expect(refusal({ key: null }, { mode: 'full_refresh', landing: 'upsert' }).code).toBe('KEY_MISSING')
  })

  test('rows that row security may hide are not taken as deleted', () => {
    const made = plan({ rowSecurity: true })
    expect(made.deletes).toBe('ignore')
    expect(made.promise).toContain('only rows that row security lets this role see')
    expect(made.warnings).toHaveLength(1)
  })
})

describe('columns and keys', () => {
  test('a column that does not exist is named together with those that do', () => {
    const { code, hint } = refusal({}, { excludeColumns: ['notes'] })
    expect(code).toBe('STREAM_MISSING')
    expect(hint).toContain('id, v, note')
  })

  test('a column that may not be read is an error until it is left out', () => {
    const columns = orders.columns.map((column) => ({ ...column, selectable: column.name !== 'note' }))
    const { code, hint } = refusal({ columns })
    expect(code).toBe('PERMISSION_DENIED')
    expect(hint).toContain('exclude_columns: [note]')
    expect(plan({ columns }, { excludeColumns: ['note'] }).columns).toHaveLength(2)
  })

  test('a table of no columns is refused', () => {
    expect(refusal({ columns: [] }).code).toBe('STREAM_UNSUPPORTED')
  })

  test('a key whose column is left out is no key', () => {
    expect(plan({}, { excludeColumns: ['id'] })).toMatchObject({ mode: 'full_refresh' })
    expect(refusal({}, { excludeColumns: ['id'], mode: 'mirror' }).code).toBe('KEY_MISSING')
  })

  test('a declared key must exist and hold no null', () => {
    expect(plan({ key: null }, { primaryKey: ['v'] })).toMatchObject({ mode: 'mirror', keyDeclared: true })
    expect(refusal({}, { primaryKey: ['note'] }).code).toBe('KEY_MISSING')
    expect(refusal({}, { primaryKey: ['nothing'] }).code).toBe('KEY_MISSING')
  })

  test('the saved key is kept while an index still enforces it', () => {
    const index = { name: 'v_key', columns: ['v'], unique: true, partial: false, valid: true }
    const kept = (changes: Partial<typeof index>): readonly string[] | null =>
      plan({ indexes: [{ ...index, ...changes }] }, {}, { savedKey: ['v'] }).key
    expect(kept({})).toEqual(['v'])
    expect(kept({ unique: false })).toEqual(['id'])
    expect(kept({ partial: true })).toEqual(['id'])
    expect(kept({ valid: false })).toEqual(['id'])
    expect(kept({ columns: ['v', 'id'] })).toEqual(['id'])
  })
})

describe('the promise', () => {
  test('says what narrows it', () => {
    const made = plan(
      {},
      {
        where: 'v > 0',
        excludeColumns: ['note'],
        deletes: 'soft',
        onSchemaChange: 'discard_value',
        primaryKey: ['id'],
      },
    )
    expect(made.promise).toBe(
      "After each run public.orders holds every row of public.orders as of that run's snapshot, late commits included; rows deleted at the source stay, marked in _trunkline_deleted_at. Narrowed: only rows where v > 0; without note; columns added at the source later are left out; as long as the declared key is unique; a run that finds it is not fails.",
    )
  })

  test('has a sentence for every mode and landing', () => {
    const sentences = [
      plan({}, {}),
      plan({}, { mode: 'full_refresh' }),
      plan({}, { mode: 'full_refresh', landing: 'append' }),
      plan({}, { mode: 'full_refresh', landing: 'upsert' }),
      plan({}, { mode: 'incremental' }),
      plan({}, { mode: 'incremental', landing: 'append' }),
    ].map(({ promise }) => promise)
    expect(new Set(sentences).size).toBe(sentences.length)
  })
})
