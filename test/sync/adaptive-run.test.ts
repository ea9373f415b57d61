import { describe, expect, test } from 'vitest'
import { TrunklineError } from '../../src/model/error.js'
import type { ProgressEvent } from '../../src/model/report.js'
import type { SyncSpec } from '../../src/model/sync-spec.js'
import { DEFAULT_ADAPTIVE, DEFAULT_LIMITS } from '../../src/model/thresholds.js'
import type { Split } from '../../src/source/contract.js'
import { addRowFilter } from '../../src/sync/row-filter.js'
import { makeColumn } from '../source/make-stream.js'
import { keepLog } from './keep-log.js'
import type { ModelSource } from './model/model-source.js'
import { only, World, type RunOptions } from './model/world.js'

const BY_SIZE: Partial<SyncSpec> = { adaptive: { ...DEFAULT_ADAPTIVE, strategy: 'table_size' } }

function shop(...tables: readonly string[]): World {
  const world = new World()
  for (const table of tables) {
    world.db.createTable(table)
    world.db.auto((tx) => {
      for (let id = 1n; id <= 8n; id++) tx.insert(table, { id, v: 0n })
    })
  }
  return world
}

/** The planner says that the tables have so many rows; what is read of them is kept. */
function withRows(rows: Readonly<Record<string, number>>): RunOptions & { readonly read: Split[] } {
  const read: Split[] = []
  const told = <Stream extends { readonly table: string }>(streams: readonly Stream[]): Stream[] =>
    streams.map((stream) => ({ ...stream, estimatedRows: rows[stream.table] ?? null }))
  return {
    read,
    wrapSource(source: ModelSource) {
      const discover = source.discover.bind(source)
      source.discover = async (...call) => {
        const catalog = await discover(...call)
        return { ...catalog, streams: told(catalog.streams) }
      }
      const open = source.openSnapshot.bind(source)
      source.openSnapshot = async (...call) => {
        const snapshot = await open(...call)
        Object.defineProperty(snapshot, 'streams', { value: told(snapshot.streams) })
        const readSplit = snapshot.read.bind(snapshot)
        snapshot.read = (split, options) => {
          read.push(split)
          return readSplit(split, options)
        }
        return snapshot
      }
      return source
    },
  }
}

describe('tables that are read by their size', () => {
  test('are begun small ones first, and read in batches of their size', async () => {
    const world = shop('a', 'b', 'c', 'd')
    const { logger, lines } = keepLog()
    const options = withRows({ a: 60_000_000, b: 2_000_000, c: 10, d: 20_000_000 })
    const started: string[] = []
    await world.sync({
      ...options,
      logger,
      spec: BY_SIZE,
      onProgress: (event) => {
        if (event.kind === 'stream_started') started.push(event.stream)
      },
    })
    expect(started).toEqual(['public.c', 'public.b', 'public.d', 'public.a'])
    expect(options.read.map(({ stream, batchRows }) => [stream, batchRows])).toEqual([
      ['public.c', 5000],
      ['public.b', 2500],
      ['public.d', 2500],
      ['public.a', 1000],
    ])
    expect(lines).toContain('info SYNC PROCESSING PLAN')
    expect(lines).toContain(`info    1. ${'public.a'.padEnd(40)} 60,000,000 rows`)
    expect(lines).toContain(
      'info Resource-aware parameters for 60,000,000 row table: 1 threads, 1,000 batch size, 5,000 partition size',
    )
    world.expectExact('a')
  })

  test('may have as many readers as their threads, where connections are left', async () => {
    const world = shop('a')
    await world.sync({ spec: { ...BY_SIZE, limits: { ...DEFAULT_LIMITS, maxConnections: 9 } } })
    expect(world.source.readersAsked).toEqual([4])
    await world.sync({ spec: { ...BY_SIZE, jobs: 2, limits: { ...DEFAULT_LIMITS, maxConnections: 9 } } })
    expect(world.source.readersAsked).toEqual([2])
  })

  test('keep a batch size that is stated for them', async () => {
    const world = shop('a')
    const options = withRows({})
    await world.sync({ ...options, spec: { ...BY_SIZE, defaults: { batchSize: 17 } } })
    expect(options.read[0]?.batchRows).toBe(17)
  })
})

describe('a load that is saved by rows', () => {
  const saving = (rows: number | null): RunOptions => ({
    source: { blockRows: 1, batchRows: 1 },
    spec: { limits: { ...DEFAULT_LIMITS, saveEveryRows: rows } },
  })

  async function savesOf(options: RunOptions): Promise<number> {
    let saves = 0
    const world = shop('t')
    await world.sync({
      ...options,
      step: (name) => {
        if (name === 'save:after') saves++
      },
    })
    world.expectExact('t')
    return saves
  }

  test('is saved whenever so many have come, and else not before its time', async () => {
    expect(await savesOf(saving(null))).toBe(0)
    // A part is taken ahead while the one before is read.
    expect(await savesOf(saving(1))).toBe(3)
    expect(await savesOf(saving(4))).toBe(1)
  })

  test('is saved by the checkpoint interval of its size', async () => {
    const adaptive = { ...DEFAULT_ADAPTIVE, strategy: 'table_size' as const }
    const small = { ...DEFAULT_ADAPTIVE.small, checkpointRows: 1 }
    const options = saving(null)
    expect(
      await savesOf({ ...options, spec: { ...options.spec, jobs: 1, adaptive: { ...adaptive, small } } }),
    ).toBe(3)
  })

  test('says so when a later run goes on with it', async () => {
    const world = shop('t')
    let saved = false
    await world
      .run({
        ...saving(1),
        step: (name) => {
          if (saved) throw new Error('the process dies')
          if (name === 'save:after') saved = true
        },
      })
      .catch(() => undefined)
    const { logger, lines } = keepLog()
    const events: ProgressEvent[] = []
    const report = await world.sync({ ...saving(1), logger, onProgress: (event) => events.push(event) })
    expect(events).toContainEqual({
      kind: 'stream_resumed',
      stream: 'public.t',
      parts: 8,
      partsDone: 2,
      rows: 2,
    })
    expect(lines).toContain(
      'info Going on with a load that was interrupted: 2 of 8 parts and 2 rows are there.',
    )
    expect(only(report).rowsRead).toBe(6)
    world.expectExact('t')
  })
})

describe('the words of the Connector SDK', () => {
  const limits = {
    ...DEFAULT_LIMITS,
    maxAttempts: 3,
    firstRetryDelayMs: 5000,
    retryJitter: [0.5, 1.5] as const,
  }
  const failing = (code: 'SERVER_BUSY' | 'QUERY_FAILED'): RunOptions => ({
    wrapSource(source: ModelSource) {
      const open = source.openSnapshot.bind(source)
      source.openSnapshot = async (...call) => {
        const snapshot = await open(...call)
        snapshot.count = () => Promise.reject(new TrunklineError(code, 'it fails'))
        return snapshot
      }
      return source
    },
  })

  test('tell of each attempt and of the end', async () => {
    const world = shop('t')
    const { logger, lines } = keepLog()
    await world.run({ ...failing('SERVER_BUSY'), logger, spec: { wording: 'connector_sdk', limits } })
    expect(lines).toHaveLength(3)
    expect(lines[0]).toMatch(/^warn Retrying public\.t after backoff \d+\.\d\ds \(attempt 1\/3\)$/)
    expect(lines[1]).toMatch(/^warn Retrying public\.t after backoff \d+\.\d\ds \(attempt 2\/3\)$/)
    expect(lines[2]).toBe('error Max retries exceeded for table public.t: it fails')
  })

  test('and do not say so of what was never tried again', async () => {
    const { logger, lines } = keepLog()
    await shop('t').run({ ...failing('QUERY_FAILED'), logger, spec: { wording: 'connector_sdk', limits } })
    expect(lines).toEqual([])
  })
})

describe('metadata tables', () => {
  test('get the tables and columns of each run, beside those of the runs before', async () => {
    const world = shop('a', 'b')
    const spec: Partial<SyncSpec> = { metadataTables: true, targetSchema: 'main' }
    const report = await world.sync({ spec })
    expect(report.streams.map(({ stream, outcome, rowsLanded }) => [stream, outcome, rowsLanded])).toEqual([
      ['postgres_table', 'done', 2],
      ['postgres_column', 'done', 6],
      ['public.a', 'done', 8],
      ['public.b', 'done', 8],
    ])
    expect(report.streams[0]).toMatchObject({ table: 'main.postgres_table', landing: 'append', runSeq: 1 })
    await world.clock.sleep(60_000, undefined)
    await world.sync({ spec })
    const tables = world.store.live('main.postgres_table')
    expect(tables.map((row) => [row['table_name'], row['schema_name'], row['table_type']])).toEqual([
      ['a', 'public', 'BASE TABLE'],
      ['b', 'public', 'BASE TABLE'],
      ['a', 'public', 'BASE TABLE'],
      ['b', 'public', 'BASE TABLE'],
    ])
    expect(new Set(tables.map((row) => row['timestamp'])).size).toBe(2)
    expect(world.store.live('main.postgres_column')).toHaveLength(12)
  })

  test('that fail leave the other streams alone', async () => {
    const world = shop('a')
    let failed = false
    const report = await world.run({
      spec: { metadataTables: true },
      step: (name) => {
        if (name !== 'begin' || failed) return
        failed = true
        throw new TrunklineError('TABLE_OWNED', 'it is another sync’s')
      },
    })
    expect(report.streams.map(({ stream, outcome }) => [stream, outcome])).toEqual([
      ['postgres_table', 'failed'],
      ['postgres_column', 'done'],
      ['public.a', 'done'],
    ])
  })

  test('are left out of a run when they are paused', async () => {
    const world = shop('a')
    await world.sync({ spec: { metadataTables: true } })
    const saved = world.store.streams.get('postgres_table')
    if (saved === undefined) throw new Error('it was never landed')
    world.store.streams.set('postgres_table', { ...saved, paused: true })
    const report = await world.run({ spec: { metadataTables: true } })
    expect(report.streams[0]).toMatchObject({ stream: 'postgres_table', outcome: 'paused' })
  })
})

describe('a filter by column', () => {
  const columns = [makeColumn({ name: 'id', typeName: 'int4' }), makeColumn({ name: 'region' })]

  test('holds for streams that have the column, beside their own condition', () => {
    expect(addRowFilter({ columns }, {}, { region: 'eu' })).toEqual({ where: `"region" = 'eu'` })
    expect(addRowFilter({ columns }, { where: 'a OR b' }, { region: 'eu' })).toEqual({
      where: `(a OR b) AND "region" = 'eu'`,
    })
    expect(addRowFilter({ columns: [] }, { where: 'a' }, { region: 'eu' })).toEqual({ where: 'a' })
  })

  test('quotes what it is given, and compares other types by their text', () => {
    expect(addRowFilter({ columns }, {}, { region: `o'x\\` }).where).toBe(`"region" = E'o''x\\\\'`)
    expect(addRowFilter({ columns }, {}, { id: '5' }).where).toBe(`"id"::text = '5'`)
  })
})
