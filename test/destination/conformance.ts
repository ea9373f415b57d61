/**
 * What every destination promises, as tests. A destination takes part by describing how it is made and looked at:
 * `describeDestination('parquet', {...})` in a test file of its own.
 */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Batch } from '../../src/batch/batch.js'
import type {
  Destination,
  OpenOptions,
  StreamLanding,
  StreamState,
  StreamWriter,
  SyncState,
  TableName,
  UnchangedStream,
} from '../../src/destination/contract.js'
import type { Checkpoint, LoadProgress } from '../../src/model/checkpoint.js'
import type { Field } from '../../src/model/column-type.js'
import type { Plain } from './make-batch.js'
import { makeBatch } from './make-batch.js'

/** One place that destinations are opened on, one after the other. */
export interface Place {
  /** A destination on the place; each call is a new one, as a later run would make it. */
  create(): Destination
  /** The rows of a table as a reader sees them, columns as asked, in any order; null where there is no such table. */
  readRows(table: TableName, columns: readonly string[]): Promise<readonly (readonly unknown[])[] | null>
  /** Makes a table that Trunkline knows nothing of, with one row. */
  makeForeignTable(table: TableName): Promise<void>
  remove(): Promise<void>
}

export const ID: Field = { name: 'id', type: { kind: 'int', bits: 32 }, nullable: false }
export const NOTE: Field = { name: 'note', type: { kind: 'text' }, nullable: true }
export const ORDERS: TableName = { schema: 'public', name: 'orders' }

export function makeCheckpoint(xmax: string): Checkpoint {
  return {
    format: 1,
    kind: 'horizon',
    horizon: xmax,
    source: { systemIdentifier: '7', database: 'shop', timeline: 1, lsn: '0/10', standby: false, xmax },
    stream: { oid: 1, leaves: [], columns: [], key: ['id'], where: null, sql: null },
  }
}

/** How far a load is of which `remaining` of 8 parts are missing. */
export function makeProgress(rows: number, remaining: number): LoadProgress {
  const { source, stream } = makeCheckpoint('100')
  return {
    format: 1,
    kind: 'partial',
    source,
    stream,
    horizon: '90',
    rows,
    parts: 8,
    remaining: Array.from({ length: remaining }, (_, index) => ({
      kind: 'blocks',
      leaf: 1,
      from: index * 10,
      to: index === remaining - 1 ? null : index * 10 + 10,
    })),
  }
}

export function landingOf(overrides: Partial<StreamLanding> = {}): StreamLanding {
  return {
    stream: 'public.orders',
    table: ORDERS,
    fields: [ID, NOTE],
    comments: { table: null, columns: {} },
    key: ['id'],
    landing: 'upsert',
    generation: 1,
    expectedRunSeq: 0,
    deletes: 'hard',
    runAt: null,
    ...overrides,
  }
}

export function runOf(overrides: Partial<OpenOptions> = {}): OpenOptions {
  return {
    sync: 'shop',
    runId: 'run-1',
    startedAt: new Date('2026-01-02T03:04:05Z'),
    adopt: false,
    ...overrides,
  }
}

type OrderRow = readonly [number, string | null]

export function orders(...rows: OrderRow[]): Batch {
  return makeBatch([ID, NOTE], rows)
}

export async function* keysOf(...ids: number[]): AsyncGenerator<Batch> {
  await Promise.resolve()
  yield makeBatch(
    [ID],
    ids.map((id): readonly Plain[] => [id]),
  )
}

async function* batchesOf(...batches: Batch[]): AsyncGenerator<Batch> {
  await Promise.resolve()
  yield* batches
}

/** Runs `work` in a run of its own and closes. */
export async function inRun<T>(
  destination: Destination,
  run: OpenOptions,
  work: (state: SyncState) => Promise<T>,
): Promise<T> {
  const state = await destination.open(run)
  try {
    return await work(state)
  } finally {
    await destination.close()
  }
}

export function describeDestination(name: string, makePlace: () => Promise<Place>): void {
  describe(`${name} keeps the promises of a destination`, () => {
    let place: Place
    beforeEach(async () => {
      place = await makePlace()
    })
    afterEach(async () => {
      await place.remove()
    })

    /** Begins, writes, and commits with the checkpoint of `xmax`. */
    async function land(
      landing: Partial<StreamLanding>,
      batches: readonly Batch[],
      options: {
        xmax?: string
        run?: Partial<OpenOptions>
        then?: (writer: StreamWriter) => Promise<void>
      } = {},
    ): Promise<void> {
      const destination = place.create()
      await inRun(destination, runOf(options.run), async (state) => {
        const expectedRunSeq = state.streams.get('public.orders')?.runSeq ?? 0
        const writer = await destination.begin(landingOf({ expectedRunSeq, ...landing }))
        for (const batch of batches) await writer.write(batch)
        await options.then?.(writer)
        await writer.commit(makeCheckpoint(options.xmax ?? '100'))
      })
    }
    const present = async (): Promise<readonly (readonly unknown[])[] | null> => {
      const rows = await place.readRows(ORDERS, ['id', 'note'])
      return rows && [...rows].sort((a, b) => Number(a[0]) - Number(b[0]))
    }

    it('has an empty state where nothing was ever landed, and makes nothing by being asked', async () => {
      expect(await place.create().readState(null)).toEqual([])
      expect(await place.create().readState('shop')).toEqual([{ sync: 'shop', epoch: 0, streams: new Map() }])
      expect(await place.readRows(ORDERS, ['id'])).toBeNull()
    })

    it('lands rows and checkpoint, and gives the checkpoint back to the next run', async () => {
      await land({}, [orders([1, 'a'], [2, null]), orders([3, 'ü'])])
      expect(await present()).toEqual([
        [1, 'a'],
        [2, null],
        [3, 'ü'],
      ])
      const [state] = await place.create().readState('shop')
      const stream = state?.streams.get('public.orders')
      expect(stream).toMatchObject({
        table: ORDERS,
        generation: 1,
        runSeq: 1,
        runId: 'run-1',
        paused: false,
        skipped: false,
        checkpoint: makeCheckpoint('100'),
      })
      await inRun(place.create(), runOf({ runId: 'run-2' }), (opened) => {
        expect(opened.streams.get('public.orders')).toEqual(stream)
        expect(opened.epoch).toBeGreaterThan(state?.epoch ?? Infinity)
        return Promise.resolve()
      })
    })

    it('shows nothing of a run that aborts, neither rows nor checkpoint', async () => {
      await land({}, [orders([1, 'a'])])
      const destination = place.create()
      await inRun(destination, runOf(), async () => {
        const writer = await destination.begin(landingOf({ expectedRunSeq: 1 }))
        await writer.write(orders([1, 'changed'], [2, 'b']))
        await writer.reconcileKeys(keysOf(2), { maxDeleted: 10 })
        await writer.abort()
        await writer.abort()
      })
      expect(await present()).toEqual([[1, 'a']])
      const [state] = await place.create().readState('shop')
      expect(state?.streams.get('public.orders')?.runSeq).toBe(1)
    })

    it('shows nothing of a stream whose run closes before the commit', async () => {
      const destination = place.create()
      await destination.open(runOf())
      const writer = await destination.begin(landingOf())
      await writer.write(orders([1, 'a']))
      await destination.close()
      await expect(writer.commit(makeCheckpoint('1'))).rejects.toMatchObject({ code: 'FENCED' })
      expect(await place.readRows(ORDERS, ['id'])).toBeNull()
    })

    it('replaces by key on upsert and keeps the rest', async () => {
      await land({}, [orders([1, 'a'], [2, 'b'])])
      await land({}, [orders([2, 'B'], [3, 'c'])], { xmax: '200' })
      expect(await present()).toEqual([
        [1, 'a'],
        [2, 'B'],
        [3, 'c'],
      ])
    })

    it('goes on, within a run, in the generation that the run itself has begun', async () => {
      for (const landing of ['upsert', 'append'] as const) {
        const destination = place.create()
        await inRun(destination, runOf({ sync: landing }), async () => {
          const table = { ...ORDERS, name: `in_parts_by_${landing}` }
          const key = landing === 'append' ? null : ['id']
          for (const [expectedRunSeq, row] of [[1, 'a'] as const, [2, 'b'] as const].entries()) {
            const writer = await destination.begin(landingOf({ table, key, landing, expectedRunSeq }))
            await writer.write(orders(row))
            await writer.commit(makeCheckpoint(String(expectedRunSeq)))
          }
        })
        const rows = await place.readRows({ ...ORDERS, name: `in_parts_by_${landing}` }, ['id', 'note'])
        expect([...(rows ?? [])].sort((a, b) => Number(a[0]) - Number(b[0]))).toEqual([
          [1, 'a'],
          [2, 'b'],
        ])
        const [state] = await place.create().readState(landing)
        expect(state?.streams.get('public.orders')).toMatchObject({ generation: 1, runSeq: 2 })
      }
    })

    it('adds on append', async () => {
      await land({ landing: 'append', key: null }, [orders([1, 'a'])])
      await land({ landing: 'append', key: null }, [orders([1, 'a'])])
      expect(await present()).toEqual([
        [1, 'a'],
        [1, 'a'],
      ])
    })

    it('puts a new generation in the place of the old one', async () => {
      await land({ landing: 'replace' }, [orders([1, 'a'], [2, 'b'])])
      await land({ landing: 'replace', generation: 2 }, [orders([9, 'z'])])
      expect(await present()).toEqual([[9, 'z']])
      const [state] = await place.create().readState('shop')
      expect(state?.streams.get('public.orders')).toMatchObject({ generation: 2, runSeq: 2 })
    })

    it('lands an empty stream as an empty table', async () => {
      await land({ landing: 'replace' }, [])
      expect(await present()).toEqual([])
    })

    it('refuses a key that comes twice, and lands nothing of it', async () => {
      await expect(land({}, [orders([1, 'a'], [1, 'b'])])).rejects.toMatchObject({ code: 'KEY_DUPLICATE' })
      expect(await place.readRows(ORDERS, ['id'])).toBeNull()
      await land({}, [orders([1, 'a'])])
      await expect(land({}, [orders([2, 'a']), orders([2, 'b'])])).rejects.toMatchObject({
        code: 'KEY_DUPLICATE',
      })
      expect(await present()).toEqual([[1, 'a']])
    })

    it('counts live rows with everything written so far', async () => {
      await land({}, [orders([1, 'a'], [2, 'b'])], {
        then: async (writer) => {
          expect(await writer.liveCount()).toBe(2)
        },
      })
      await land({}, [orders([2, 'B'], [3, 'c'])], {
        then: async (writer) => {
          expect(await writer.liveCount()).toBe(3)
        },
      })
    })

    it('deletes what is not among the keys, and no more than allowed', async () => {
      await land({}, [orders([1, 'a'], [2, 'b'], [3, 'c'])])
      await expect(
        land({}, [], {
          then: async (writer) => {
            await writer.reconcileKeys(keysOf(1), { maxDeleted: 1 })
          },
        }),
      ).rejects.toMatchObject({ code: 'MASS_DELETE' })
      expect(await present()).toHaveLength(3)
      await land({}, [orders([4, 'd'])], {
        then: async (writer) => {
          expect(await writer.reconcileKeys(keysOf(1, 4), { maxDeleted: 2 })).toEqual({ deleted: 2 })
          expect(await writer.liveCount()).toBe(2)
        },
      })
      expect(await present()).toEqual([
        [1, 'a'],
        [4, 'd'],
      ])
    })

    it('marks instead of deleting when deletes are soft, and clears the mark when the key comes back', async () => {
      const marks = async (): Promise<unknown> => {
        const rows = await place.readRows(ORDERS, ['id', '_trunkline_deleted_at'])
        return [...(rows ?? [])].map(([id, at]) => [id, at !== null]).sort()
      }
      await land({ deletes: 'soft' }, [orders([1, 'a'], [2, 'b'])])
      await land({ deletes: 'soft' }, [], {
        then: async (writer) => {
          expect(await writer.reconcileKeys(keysOf(1), { maxDeleted: 9 })).toEqual({ deleted: 1 })
          expect(await writer.reconcileKeys(keysOf(1), { maxDeleted: 9 })).toEqual({ deleted: 0 })
          expect(await writer.liveCount()).toBe(1)
        },
      })
      expect(await marks()).toEqual([
        [1, false],
        [2, true],
      ])
      await land({ deletes: 'soft' }, [orders([2, 'back'])])
      expect(await marks()).toEqual([
        [1, false],
        [2, false],
      ])
    })

    it('keeps rows that vanished between generations when deletes are soft', async () => {
      await land({ deletes: 'soft' }, [orders([1, 'a'], [2, 'b'])])
      await land({ deletes: 'soft', generation: 2 }, [orders([1, 'new'])], {
        then: async (writer) => {
          expect(await writer.liveCount()).toBe(1)
        },
      })
      const rows = await place.readRows(ORDERS, ['id', 'note', '_trunkline_deleted_at'])
      expect([...(rows ?? [])].map(([id, note, at]) => [id, note, at !== null]).sort()).toEqual([
        [1, 'new', false],
        [2, 'b', true],
      ])
    })

    it('keeps dated copies apart and counts those of this run', async () => {
      const copy = { landing: 'append' as const, key: null }
      await land({ ...copy, runAt: new Date(1000) }, [orders([1, 'a'])])
      await land({ ...copy, runAt: new Date(2000) }, [orders([1, 'a'], [2, 'b'])], {
        then: async (writer) => {
          expect(await writer.liveCount()).toBe(2)
        },
      })
      expect(await place.readRows(ORDERS, ['_trunkline_run_at'])).toHaveLength(3)
    })

    it('adds a column to the present rows and fills it from then on', async () => {
      const size: Field = { name: 'size', type: { kind: 'int', bits: 16 }, nullable: true }
      await land({}, [orders([1, 'a'])])
      const destination = place.create()
      await inRun(destination, runOf(), async () => {
        const writer = await destination.begin(landingOf({ expectedRunSeq: 1, fields: [ID, NOTE, size] }))
        await writer.alter({ add: [size] })
        await writer.write(makeBatch([ID, NOTE, size], [[2, 'b', 7]]))
        await writer.commit(makeCheckpoint('2'))
      })
      const rows = await place.readRows(ORDERS, ['id', 'size'])
      expect([...(rows ?? [])].sort()).toEqual([
        [1, null],
        [2, 7],
      ])
    })

    it('refuses rows of another type than the present ones', async () => {
      await land({}, [orders([1, 'a'])])
      const wide: Field = { ...ID, type: { kind: 'int', bits: 64 } }
      await expect(land({ fields: [wide, NOTE] }, [])).rejects.toMatchObject({ code: 'DESTINATION_INVALID' })
    })

    it('finds every difference when it verifies, and none where there is none', async () => {
      const real: Field = { name: 'x', type: { kind: 'float', bits: 64 }, nullable: true }
      const span: Field = { name: 'span', type: { kind: 'interval' }, nullable: true }
      const json: Field = { name: 'doc', type: { kind: 'json' }, nullable: true }
      const fields = [ID, real, span, json]
      const rows: Plain[][] = [
        [1, -0, [1, 0, 0n], '{"a": 1}'],
        [2, NaN, [0, 30, 0n], null],
        [3, null, null, '[]'],
      ]
      const changes: [Plain[][], number, number][] = [
        [rows, 0, 0],
        [[[1, 0, [1, 0, 0n], '{"a": 1}'], ...rows.slice(1)], 1, 1],
        [[[1, -0, [0, 30, 0n], '{"a": 1}'], ...rows.slice(1)], 1, 1],
        [[[1, -0, [1, 0, 0n], '{"a":1}'], ...rows.slice(1)], 1, 1],
        [rows.slice(1), 0, 1],
        [[...rows, [3, null, null, '[]']], 1, 0],
      ]
      const destination = place.create()
      await inRun(destination, runOf(), async () => {
        const writer = await destination.begin(landingOf({ fields, landing: 'replace' }))
        await writer.write(makeBatch(fields, rows))
        for (const [expected, missing, unexpected] of changes) {
          expect(await writer.verify(batchesOf(makeBatch(fields, expected)))).toEqual({
            equal: missing + unexpected === 0,
            missing,
            unexpected,
          })
        }
        const [first, ...others] = fields
        const parts = { fields: fields.filter((field) => field !== first) }
        const withoutFirst = makeBatch(
          others,
          rows.map(([, ...rest]) => rest),
        )
        expect(await writer.verify(batchesOf(withoutFirst), parts)).toMatchObject({ equal: true })
        await writer.commit(makeCheckpoint('1'))
      })
    })

    it('touches no table that it did not make, unless told to adopt it', async () => {
      await place.makeForeignTable(ORDERS)
      const before = await place.readRows(ORDERS, ['id'])
      await expect(land({}, [orders([1, 'a'])])).rejects.toMatchObject({ code: 'TABLE_OWNED' })
      expect(await place.readRows(ORDERS, ['id'])).toEqual(before)
      await land({}, [orders([1, 'a'])], { run: { adopt: true } })
      expect(await present()).toEqual([[1, 'a']])
    })

    it('touches no table of another sync, unless told to adopt it', async () => {
      await land({}, [orders([1, 'a'])])
      const other = { sync: 'other' }
      await expect(land({}, [orders([2, 'b'])], { run: other })).rejects.toMatchObject({
        code: 'TABLE_OWNED',
        hint: expect.stringMatching(/--name-template.*--adopt/) as string,
      })
      expect(await present()).toEqual([[1, 'a']])
      await land({}, [orders([2, 'b'])], { run: { ...other, adopt: true } })
      expect(await present()).toEqual([[2, 'b']])
      await expect(land({}, [orders([3, 'c'])])).rejects.toMatchObject({ code: 'TABLE_OWNED' })
    })

    it('fences a commit that another run came before', async () => {
      await land({}, [orders([1, 'a'])])
      await expect(land({ expectedRunSeq: 0 }, [orders([1, 'late'])])).rejects.toMatchObject({
        code: 'FENCED',
      })
      expect(await present()).toEqual([[1, 'a']])
    })

    it('confirms in one commit what did not change, and leaves alone what is not as stated', async () => {
      const named = (name: string, expectedRunSeq = 0): StreamLanding =>
        landingOf({ stream: `public.${name}`, table: { schema: 'public', name }, expectedRunSeq })
      const stated = (name: string, overrides: Partial<UnchangedStream> = {}): UnchangedStream => ({
        ...named(name, 1),
        live: 2,
        checkpoint: makeCheckpoint('200'),
        ...overrides,
      })
      const destination = place.create()
      if (destination.confirmUnchanged === undefined) return
      const names = ['same', 'fewer', 'older', 'retyped', 'commented', 'marked', 'partial']
      await inRun(destination, runOf(), async () => {
        for (const name of names) {
          const writer = await destination.begin(named(name))
          await writer.write(orders([1, 'a'], [2, 'b']))
          await writer.commit(makeCheckpoint('100'))
        }
        const load = await destination.begin({ ...named('partial', 1), generation: 2 })
        await load.write(orders([1, 'a']))
        await load.save(makeProgress(1, 7))
        await load.abort()
      })
      const next = place.create()
      const seen = await inRun(next, runOf({ runId: 'run-2' }), async () =>
        next.confirmUnchanged?.([
          stated('same'),
          stated('fewer', { live: 1 }),
          stated('older', { expectedRunSeq: 0 }),
          stated('retyped', { fields: [ID, { ...NOTE, type: { kind: 'bool' } }] }),
          stated('commented', { comments: { table: null, columns: { note: 'new' } } }),
          stated('marked', { deletes: 'soft' }),
          stated('partial'),
          stated('never landed'),
        ]),
      )
      expect([...(seen ?? [])]).toEqual(['public.same'])
      const [state] = await place.create().readState('shop')
      const saved = (name: string): StreamState | undefined => state?.streams.get(`public.${name}`)
      expect(saved('same')).toMatchObject({ runSeq: 2, runId: 'run-2', checkpoint: makeCheckpoint('200') })
      for (const name of names.slice(1)) {
        expect(saved(name)).toMatchObject({ runSeq: 1, checkpoint: makeCheckpoint('100') })
      }
      expect(await place.readRows({ schema: 'public', name: 'same' }, ['id'])).toHaveLength(2)

      // What was confirmed goes on as after any other commit.
      const later = place.create()
      await inRun(later, runOf({ runId: 'run-3' }), async () => {
        const writer = await later.begin(named('same', 2))
        await writer.write(orders([3, 'c']))
        await writer.commit(makeCheckpoint('300'))
      })
      expect(await place.readRows({ schema: 'public', name: 'same' }, ['id'])).toHaveLength(3)
    })

    it('lands streams side by side', async () => {
      const destination = place.create()
      const names = ['a', 'b', 'c']
      await inRun(destination, runOf(), async () => {
        const writers = await Promise.all(
          names.map((name) =>
            destination.begin(landingOf({ stream: `public.${name}`, table: { schema: 'public', name } })),
          ),
        )
        await Promise.all(writers.map((writer, index) => writer.write(orders([index, names[index] ?? null]))))
        await writers[1]?.abort()
        await Promise.all(
          writers.filter((_, index) => index !== 1).map((writer) => writer.commit(makeCheckpoint('5'))),
        )
      })
      expect(await place.readRows({ schema: 'public', name: 'a' }, ['id'])).toEqual([[0]])
      expect(await place.readRows({ schema: 'public', name: 'b' }, ['id'])).toBeNull()
      expect(await place.readRows({ schema: 'public', name: 'c' }, ['id'])).toEqual([[2]])
    })

    const stateOf = async (): Promise<StreamState | undefined> =>
      (await place.create().readState('shop'))[0]?.streams.get('public.orders')

    /** Begins a load, writes, saves it, writes more that is not saved, and ends without a commit. */
    async function interrupt(
      landing: Partial<StreamLanding>,
      batch: Batch,
      progress: LoadProgress,
      end: 'abort' | 'close' = 'abort',
    ): Promise<void> {
      const destination = place.create()
      await inRun(destination, runOf({ runId: 'interrupted' }), async (state) => {
        const expectedRunSeq = state.streams.get('public.orders')?.runSeq ?? 0
        const writer = await destination.begin(landingOf({ expectedRunSeq, ...landing }))
        await writer.write(batch)
        await writer.save(progress)
        await writer.write(orders([999, 'not saved']))
        if (end === 'abort') await writer.abort()
      })
    }

    it('keeps a first load as it was saved, out of sight, and goes on in it', async () => {
      for (const end of ['abort', 'close'] as const) {
        await interrupt({}, orders([1, 'a'], [2, 'b']), makeProgress(2, 6), end)
        expect(await place.readRows(ORDERS, ['id'])).toBeNull()
        expect(await stateOf()).toMatchObject({
          table: ORDERS,
          generation: 0,
          runSeq: 0,
          checkpoint: null,
          partial: { generation: 1, table: ORDERS, progress: makeProgress(2, 6) },
        })
      }
      await land({ resume: true }, [orders([3, 'c'])], {
        then: async (writer) => {
          expect(await writer.liveCount()).toBe(3)
        },
      })
      expect(await present()).toEqual([
        [1, 'a'],
        [2, 'b'],
        [3, 'c'],
      ])
      expect(await stateOf()).toMatchObject({
        generation: 1,
        runSeq: 1,
        checkpoint: makeCheckpoint('100'),
        partial: null,
      })
    })

    it('shows the present generation until the one that is loaded in pieces takes its place', async () => {
      await land({}, [orders([1, 'old'])])
      await interrupt({ generation: 2 }, orders([1, 'new']), makeProgress(1, 5))
      expect(await present()).toEqual([[1, 'old']])
      expect(await stateOf()).toMatchObject({
        generation: 1,
        runSeq: 1,
        checkpoint: makeCheckpoint('100'),
        partial: { generation: 2 },
      })
      const destination = place.create()
      await inRun(destination, runOf(), async () => {
        const writer = await destination.begin(landingOf({ generation: 2, expectedRunSeq: 1, resume: true }))
        for (let id = 2; id <= 4; id++) {
          await writer.write(orders([id, 'new']))
          await writer.save(makeProgress(id, 4 - id))
        }
        await writer.commit(makeCheckpoint('200'))
      })
      expect(await present()).toEqual([1, 2, 3, 4].map((id) => [id, 'new']))
      expect(await stateOf()).toMatchObject({ generation: 2, runSeq: 2, partial: null })
    })

    it('replaces by key and removes keys in a load that goes on, whatever it holds twice', async () => {
      await interrupt(
        {},
        orders([1, 'a'], [2, 'b'], [2, 'b moved'], [3, 'c'], [3, 'c moved']),
        makeProgress(5, 1),
      )
      await land({ resume: true }, [], {
        then: async (writer) => {
          await writer.replaceByKey(batchesOf(orders([2, 'B'], [4, 'd'])))
          expect(await writer.liveCount()).toBe(5)
          const { deleted } = await writer.reconcileKeys(keysOf(1, 2, 4), { maxDeleted: 9 })
          expect(deleted).toBe(2)
          expect(await writer.liveCount()).toBe(3)
        },
      })
      expect(await present()).toEqual([
        [1, 'a'],
        [2, 'B'],
        [4, 'd'],
      ])
    })

    it('refuses a load that still holds a key twice at its end', async () => {
      await interrupt({}, orders([1, 'a'], [1, 'b']), makeProgress(2, 1))
      await expect(land({ resume: true }, [])).rejects.toMatchObject({ code: 'KEY_DUPLICATE' })
      expect(await stateOf()).toMatchObject({ runSeq: 0, partial: { progress: makeProgress(2, 1) } })
    })

    it('deletes from a load what soft deletes would mark, and marks what the generation before had', async () => {
      const soft = { deletes: 'soft' as const }
      await land(soft, [orders([1, 'a'], [7, 'was there'])])
      await interrupt({ ...soft, generation: 2 }, orders([1, 'a'], [2, 'never seen']), makeProgress(2, 1))
      await land({ ...soft, generation: 2, resume: true }, [], {
        then: async (writer) => {
          await writer.reconcileKeys(keysOf(1), { maxDeleted: 9 })
        },
      })
      const rows = await place.readRows(ORDERS, ['id', '_trunkline_deleted_at'])
      expect([...(rows ?? [])].map(([id, at]) => [id, at !== null]).sort()).toEqual([
        [1, false],
        [7, true],
      ])
    })

    it('drops what a load left as soon as another begins', async () => {
      await interrupt({}, orders([1, 'a']), makeProgress(1, 3))
      const destination = place.create()
      await inRun(destination, runOf(), async () => {
        const writer = await destination.begin(landingOf())
        await writer.write(orders([5, 'e']))
        await writer.abort()
      })
      expect((await stateOf())?.partial).toBeNull()
      await expect(land({ resume: true }, [])).rejects.toMatchObject({ code: 'DESTINATION_INVALID' })
      await land({}, [orders([5, 'e'])])
      expect(await present()).toEqual([[5, 'e']])
    })

    it('drops what a load left on resync, and goes on in no other generation than the one that it is of', async () => {
      await interrupt({}, orders([1, 'a']), makeProgress(1, 3))
      await expect(land({ resume: true, generation: 2 }, [])).rejects.toMatchObject({
        code: 'DESTINATION_INVALID',
      })
      await place.create().editState('shop', 'public.orders', { kind: 'resync' })
      expect(await stateOf()).toMatchObject({ checkpoint: null, partial: null })
      await expect(land({ resume: true }, [])).rejects.toMatchObject({ code: 'DESTINATION_INVALID' })
    })

    it('keeps loads of several streams apart', async () => {
      const names = ['a', 'b']
      const destination = place.create()
      await inRun(destination, runOf(), async () => {
        for (const [index, name] of names.entries()) {
          const writer = await destination.begin(
            landingOf({ stream: `public.${name}`, table: { schema: 'public', name } }),
          )
          await writer.write(orders([index, name]))
          await writer.save(makeProgress(index, 1))
          await writer.abort()
        }
      })
      const again = place.create()
      await inRun(again, runOf(), async (state) => {
        for (const [index, name] of names.entries()) {
          expect(state.streams.get(`public.${name}`)?.partial?.progress.rows).toBe(index)
          const writer = await again.begin(
            landingOf({ stream: `public.${name}`, table: { schema: 'public', name }, resume: true }),
          )
          expect(await writer.liveCount()).toBe(1)
          await writer.commit(makeCheckpoint('5'))
        }
      })
      expect(await place.readRows({ schema: 'public', name: 'a' }, ['id', 'note'])).toEqual([[0, 'a']])
      expect(await place.readRows({ schema: 'public', name: 'b' }, ['id', 'note'])).toEqual([[1, 'b']])
    })

    it('fences a save that another run came before', async () => {
      await land({}, [orders([1, 'a'])])
      const destination = place.create()
      await inRun(destination, runOf(), async () => {
        const writer = await destination.begin(landingOf({ generation: 2, expectedRunSeq: 0 }))
        await writer.write(orders([2, 'late']))
        await expect(writer.save(makeProgress(1, 1))).rejects.toMatchObject({ code: 'FENCED' })
        await writer.abort()
      })
      expect((await stateOf())?.partial).toBeNull()
    })

    it('edits saved state: pause, skip, resync', async () => {
      await land({}, [orders([1, 'a'])])
      const edit = place.create()
      await edit.editState('shop', 'public.orders', { kind: 'pause', paused: true })
      expect(await stateOf()).toMatchObject({ paused: true, skipped: false })
      await edit.editState('shop', 'public.orders', { kind: 'skip' })
      expect(await stateOf()).toMatchObject({ paused: true, skipped: true })
      await edit.editState('shop', 'public.orders', { kind: 'pause', paused: false })
      expect(await stateOf()).toMatchObject({ paused: false, skipped: false })
      await edit.editState('shop', 'public.orders', { kind: 'resync' })
      expect(await stateOf()).toMatchObject({ checkpoint: null, generation: 1 })
      await expect(edit.editState('shop', 'public.nothing', { kind: 'resync' })).rejects.toMatchObject({
        code: 'STREAM_MISSING',
      })
      expect(await present()).toEqual([[1, 'a']])
    })
  })
}
