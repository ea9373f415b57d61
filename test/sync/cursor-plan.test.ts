import { describe, expect, test } from 'vitest'
import type { CatalogStream } from '../../src/model/catalog.js'
import type { StreamOptions } from '../../src/model/sync-spec.js'
import { DEFAULT_LIMITS, LARGE_HEAP_BYTES } from '../../src/model/thresholds.js'
import { planStream, type StreamPlan } from '../../src/sync/plan.js'
import { suggestCursor } from '../../src/sync/cursor-suggestion.js'
import { resolveCursor } from '../../src/source/cursor-field.js'
import { mapColumns } from '../../src/source/column-mapping.js'
import { makeColumn, makeStream } from '../source/make-stream.js'

const ORDERS = makeStream({
  name: 'public.orders',
  schema: 'public',
  table: 'orders',
  columns: [
    makeColumn({ name: 'id', typeName: 'int8', sqlType: 'bigint', nullable: false, identity: 'always' }),
    makeColumn({ name: 'at', number: 2, typeName: 'timestamptz', sqlType: 'timestamp with time zone' }),
    makeColumn({ name: 'local', number: 3, typeName: 'timestamp', sqlType: 'timestamp without time zone' }),
    makeColumn({ name: 'word', number: 4 }),
    makeColumn({ name: 'place', number: 5, typeName: 'point', sqlType: 'point' }),
  ],
  key: { columns: ['id'], from: 'primary_key', index: 'orders_pkey' },
  leaves: [{ oid: 1, schema: 'public', name: 'orders', filenode: 7, bytes: 8192 }],
})
const AT_INDEX = { name: 'i', columns: ['at'], unique: false, partial: false, valid: true }
const LARGE = { bytes: LARGE_HEAP_BYTES + 1, indexes: [AT_INDEX] }

async function plan(stream: Partial<CatalogStream>, options: StreamOptions): Promise<StreamPlan> {
  const made = { ...ORDERS, ...stream }
  const { cursorField: field = 'at', cursorStart: start = null } = options
  return planStream({
    stream: made,
    options: { mode: 'incremental', cursorField: field, ...options },
    table: { schema: 'public', name: 'orders' },
    savedKey: null,
    capabilities: {
      landings: new Set(['replace', 'upsert', 'append']),
      deletes: true,
      verify: true,
      resume: true,
      foldName: (name) => name.toLowerCase(),
      maxNameBytes: 1000,
    },
    mapColumns,
    limits: DEFAULT_LIMITS,
    cursor: await resolveCursor(made, { field, start }),
  })
}
const boundOf = async (
  stream: Partial<CatalogStream>,
  options: StreamOptions = {},
): Promise<string | undefined> => (await plan(stream, options)).cursor?.bound

describe('what bounds a cursor', () => {
  test('is the transaction id for tables, time for large ones with an index, lookback for the rest', async () => {
    expect(await boundOf({})).toBe('xmin')
    expect(await boundOf(LARGE)).toBe('in_flight')
    expect(await boundOf(LARGE, { landing: 'append' })).toBe('xmin')
    expect(await boundOf(LARGE, { cursorField: 'local' })).toBe('xmin')
    expect(await boundOf({ ...LARGE, indexes: [] })).toBe('xmin')
    expect(await boundOf(LARGE, { landing: 'append', lookback: { kind: 'duration', ms: 1 } })).toBe(
      'lookback',
    )
    expect(await boundOf({ kind: 'view' }, { primaryKey: ['id'] })).toBe('lookback')
    expect(await boundOf({ oddity: 'greenplum' })).toBe('lookback')
  })

  test('can be stated, where it can hold', async () => {
    expect(await boundOf({}, { cursorBound: 'in_flight' })).toBe('in_flight')
    expect(await boundOf({}, { cursorBound: 'lookback' })).toBe('lookback')
    const refusals: [Partial<CatalogStream>, StreamOptions, RegExp][] = [
      [{ kind: 'view' }, { primaryKey: ['id'], cursorBound: 'xmin' }, /a view has no transaction ids/],
      [{}, { cursorField: 'local', cursorBound: 'in_flight' }, /needs a cursor of type timestamptz/],
      [{}, { landing: 'append', cursorBound: 'in_flight' }, /lands by upsert alone/],
    ]
    for (const [stream, options, message] of refusals) {
      await expect(plan(stream, options)).rejects.toMatchObject({
        code: 'STREAM_UNSUPPORTED',
        message: expect.stringMatching(message) as string,
      })
    }
  })

  test('is said in the promise, with what it rests on', async () => {
    const promiseOf = async (...args: Parameters<typeof plan>): Promise<string> =>
      (await plan(...args)).promise
    expect(await promiseOf({}, {})).toContain('late commits included; rows deleted at the source stay')
    expect(await promiseOf(LARGE, { auditEvery: { kind: 'runs', runs: 4 } })).toMatch(
      /as long as each change sets "at" from the server's clock.*an audit every 4 runs finds and repairs/,
    )
    expect(
      await promiseOf(
        { kind: 'view' },
        { primaryKey: ['id'], lookback: { kind: 'duration', ms: 3_600_000 } },
      ),
    ).toContain('is visible before the highest value seen lies more than 3600 s above its own')
  })
})

describe('a cursor field', () => {
  test('of a type without one lasting order is refused by name', async () => {
    await expect(plan({}, { cursorField: 'place' })).rejects.toMatchObject({
      code: 'STREAM_UNSUPPORTED',
      message: '"place" of public.orders cannot be a cursor: it is of type point.',
    })
  })

  test('asks for a lookback of its own kind', async () => {
    const amount = { kind: 'amount', amount: '5' } as const
    const hour = { kind: 'duration', ms: 1 } as const
    expect((await plan({}, { cursorField: 'id', lookback: amount })).cursor?.lookback).toEqual(amount)
    for (const [cursorField, lookback] of [
      ['at', amount],
      ['id', hour],
      ['word', amount],
    ] as const) {
      await expect(plan({}, { cursorField, lookback })).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
    }
  })

  test('implies incremental, and has no effect where everything is replaced', async () => {
    const { mode: _mode, ...rest } = await plan({}, {})
    expect(rest.cursor).not.toBeNull()
    const replaced = await plan({}, { landing: 'replace' })
    expect(replaced).toMatchObject({ mode: 'full_refresh', cursor: null })
    expect(replaced.warnings.join()).toContain('reads the whole stream each run')
    expect((await plan({}, { mode: 'mirror' })).warnings).toEqual([
      '`cursor_field` has no effect in mode mirror.',
    ])
  })

  test('without an index is told, with the statement that makes one', async () => {
    const { warnings } = await plan({}, { cursorBound: 'lookback' })
    expect(warnings).toEqual([
      '"at" has no index, so each run scans all of public.orders: CREATE INDEX CONCURRENTLY ON public.orders (at).',
    ])
    expect((await plan({ indexes: [AT_INDEX] }, { cursorBound: 'lookback' })).warnings).toEqual([])
  })

  test('with a start leaves out what is not greater, as a condition of every read', async () => {
    const { where, promise } = await plan(
      {},
      { where: 'id > 5 -- note', cursorStart: '1990-01-01T00:00:00+00:00' },
    )
    expect(where).toBe(
      `(id > 5 -- note\n) AND "at" > '1990-01-01T00:00:00+00:00'::"pg_catalog"."timestamptz"`,
    )
    expect(promise).toContain('none at or below it, and none without a value')
  })
})

describe('the cursor that plan suggests', () => {
  const statistics = (distinct: number, nullFraction = 0) => ({ distinct, nullFraction, correlation: 0.1 })
  const withColumns = (...names: string[]): CatalogStream =>
    makeStream({
      estimatedRows: 1_000_000,
      columns: names.map((name, index) =>
        makeColumn({ name, number: index + 1, typeName: 'timestamptz', sqlType: 'timestamp with time zone' }),
      ),
    })

  test('is set by each change rather than once, and says so', () => {
    const found = suggestCursor(withColumns('created_at', 'updated_at', 'shipped'), new Map())
    expect(found).toEqual({
      column: 'updated_at',
      why: 'timestamp with time zone, not indexed; by its name it is set by each change',
    })
    expect(suggestCursor(withColumns('created_at', 'shipped'), new Map())?.why).toContain(
      'updates of old rows would be missed',
    )
  })

  test('is none that is mostly NULL, has a handful of values, or that nothing speaks for', () => {
    expect(suggestCursor(withColumns('shipped'), new Map())).toBeNull()
    expect(
      suggestCursor(withColumns('updated_at'), new Map([['updated_at', statistics(-0.9, 0.5)]])),
    ).toBeNull()
    expect(suggestCursor(withColumns('updated_at'), new Map([['updated_at', statistics(4)]]))).toBeNull()
    expect(
      suggestCursor(withColumns('updated_at'), new Map([['updated_at', statistics(-0.9)]])),
    ).not.toBeNull()
  })
})
