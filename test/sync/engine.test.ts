import { describe, expect, test } from 'vitest'
import { TrunklineError, type ErrorCode } from '../../src/model/error.js'
import type { ProgressEvent, RunReport } from '../../src/model/report.js'
import { DEFAULT_LIMITS } from '../../src/model/thresholds.js'
import type { Snapshot } from '../../src/source/contract.js'
import type { ModelSource } from './model/model-source.js'
import { only, World, type RunOptions } from './model/world.js'

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

function outcomes(report: RunReport): Record<string, string> {
  return Object.fromEntries(
    report.streams.map(({ stream, outcome, error }) => [stream, error === null ? outcome : error.code]),
  )
}

/** Gives every snapshot to `change` before it is used. */
function withSnapshots(change: (snapshot: Snapshot, count: number) => void): RunOptions {
  let count = 0
  return {
    wrapSource(source: ModelSource) {
      const open = source.openSnapshot.bind(source)
      source.openSnapshot = async (streams, options) => {
        const snapshot = await open(streams, options)
        change(snapshot, ++count)
        return snapshot
      }
      return source
    },
  }
}

/** The count of a table fails, for the first `times` times. */
function failCount(table: string, code: ErrorCode, times: number): RunOptions {
  let left = times
  return withSnapshots((snapshot) => {
    const count = snapshot.count.bind(snapshot)
    snapshot.count = (stream, options) => {
      if (stream.table === table && left-- > 0) throw new TrunklineError(code, 'it fails')
      return count(stream, options)
    }
  })
}

function makeGate(): { readonly opened: Promise<void>; readonly open: () => void } {
  let open = (): void => undefined
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  return { opened, open }
}

describe('one stream that fails', () => {
  test('never stops the others', async () => {
    const world = shop('a', 'b', 'c')
    const report = await world.run(failCount('b', 'QUERY_FAILED', Infinity))
    expect(report.outcome).toBe('some_failed')
    expect(outcomes(report)).toEqual({
      'public.a': 'done',
      'public.b': 'QUERY_FAILED',
      'public.c': 'done',
    })
    world.expectExact('c')
  })

  test('is tried again in a new snapshot after the others, with growing pauses', async () => {
    const world = shop('a', 'b', 'c')
    const report = await world.run(failCount('b', 'SERVER_BUSY', 2))
    expect(report.outcome).toBe('done')
    expect(report.streams.map(({ stream, attempts }) => [stream, attempts])).toEqual([
      ['public.a', 1],
      ['public.b', 3],
      ['public.c', 1],
    ])
    expect(report.snapshots.map(({ streams }) => streams)).toEqual([3, 1, 1])
    const [first = 0, second = 0] = world.clock.sleeps
    expect(first).toBeGreaterThan(0)
    expect(second).toBeGreaterThan(first)
  })

  test('fails for good after as many attempts as the limits allow', async () => {
    const world = shop('a', 'b')
    const limits = { ...DEFAULT_LIMITS, maxAttempts: 3 }
    const report = await world.run({ ...failCount('b', 'SERVER_BUSY', Infinity), spec: { limits } })
    expect(outcomes(report)).toEqual({ 'public.a': 'done', 'public.b': 'SERVER_BUSY' })
    expect(report.streams.find(({ stream }) => stream === 'public.b')?.attempts).toBe(3)
  })
})

describe('a snapshot that is given up', () => {
  test('keeps what is committed, and the rest goes on in a new one', async () => {
    const world = shop('a', 'b', 'c')
    const firstDone = makeGate()
    const report = await world.run({
      onProgress: (event) => {
        if (event.kind === 'stream_finished') firstDone.open()
      },
      ...withSnapshots((snapshot, number) => {
        if (number > 1) return
        const { lost } = snapshot as Snapshot & { readonly lost: AbortController }
        const read = snapshot.read.bind(snapshot)
        snapshot.read = async function* (split, options) {
          for await (const batch of read(split, options)) {
            yield batch
            if (split.stream !== 'public.b') continue
            await firstDone.opened
            lost.abort(new TrunklineError('YIELDED_TO_DDL', 'somebody waits'))
          }
        }
      }),
    })
    expect(outcomes(report)).toEqual({ 'public.a': 'done', 'public.b': 'done', 'public.c': 'done' })
    expect(report.snapshots.map(({ yielded, streams }) => [yielded, streams])).toEqual([
      [true, 3],
      [false, 2],
    ])
    expect(world.clock.sleeps.filter((ms) => ms > 0)).toHaveLength(1)
    world.expectExact('b')
    world.expectExact('c')
  })

  test('by age fails the stream that had all of it, and takes the others along', async () => {
    const world = shop('a', 'b')
    const report = await world.run(
      withSnapshots((snapshot) => {
        const { lost } = snapshot as Snapshot & { readonly lost: AbortController }
        const count = snapshot.count.bind(snapshot)
        snapshot.count = async (stream, options) => {
          if (stream.table !== 'a') return count(stream, options)
          const error = new TrunklineError('SNAPSHOT_TOO_OLD', 'two hours')
          lost.abort(error)
          throw error
        }
      }),
    )
    expect(outcomes(report)).toEqual({ 'public.a': 'SNAPSHOT_TOO_OLD', 'public.b': 'done' })
    expect(report.streams.find(({ stream }) => stream === 'public.a')?.error?.hint).toContain(
      'max_snapshot_age',
    )
  })

  test('that cannot be opened is tried again, and in the end every stream says why', async () => {
    const world = shop('a', 'b')
    let opened = 0
    const report = await world.run({
      step(name) {
        if (name === 'lock') {
          opened++
          throw new TrunklineError('SERVER_RESTARTING', 'not yet')
        }
      },
    })
    expect(opened).toBe(DEFAULT_LIMITS.maxAttempts)
    expect(report.outcome).toBe('failed')
    expect(outcomes(report)).toEqual({ 'public.a': 'SERVER_RESTARTING', 'public.b': 'SERVER_RESTARTING' })
  })
})

describe('readers beside the leader', () => {
  test('are as many as the budget leaves and the jobs ask for', async () => {
    const world = shop('a')
    // Not all of them are used: how many is found out on the way.
    await world.sync()
    expect(world.source.readersAsked).toEqual([2])
    await world.sync({ spec: { jobs: 1 } })
    expect(world.source.readersAsked).toEqual([1])
    await world.sync({ spec: { jobs: 9 } })
    expect(world.source.readersAsked).toEqual([2])
    await world.sync({ spec: { limits: { ...DEFAULT_LIMITS, maxReadBytesPerSecond: 1e6 } } })
    expect(world.source.readersAsked).toEqual([1])
    await world.sync({ spec: { limits: { ...DEFAULT_LIMITS, maxConnections: 1 } } })
    expect(world.source.readersAsked).toEqual([0])
  })
})

describe('an interruption', () => {
  for (const at of ['discover', 'open', 'lock', 'read:batch', 'liveCount', 'awaitDurable', 'commit:before']) {
    test(`at ${at} leaves a state to go on from`, async () => {
      const world = shop('a', 'b')
      await world.sync()
      world.db.auto((tx) => {
        tx.update('a', 1n, { v: 5n })
        tx.update('b', 1n, { v: 5n })
      })
      const abort = new AbortController()
      const report = await world.run({
        signal: abort.signal,
        source: { batchRows: 1 },
        step(name) {
          if (name === at) abort.abort(new Error('SIGINT'))
          if (name === 'discover' || name === 'open') abort.signal.throwIfAborted()
        },
      })
      expect(report.outcome).toBe('aborted')
      for (const { outcome, error } of report.streams) {
        if (outcome === 'failed') expect(error?.code).toBe('ABORTED')
      }
      await world.sync()
      world.expectExact('a')
      world.expectExact('b')
    })
  }
})

describe('several streams at once', () => {
  test('are read beside each other, each divided among the readers', async () => {
    const world = shop('a', 'b', 'c', 'd')
    const report = await world.sync({
      spec: { jobs: 3, limits: { ...DEFAULT_LIMITS, maxConnections: 5 } },
      source: { splits: 4, batchRows: 1 },
    })
    expect(world.source.mostReading).toBe(3)
    expect(report.readers).toBe(3)
    for (const table of ['a', 'b', 'c', 'd']) world.expectExact(table)
  })

  test('wait for the disk of the server once, and are told in the order of the catalog', async () => {
    const world = shop('c', 'a', 'b')
    let fences = 0
    const report = await world.sync({
      spec: { jobs: 2 },
      step: (name) => void (name === 'awaitDurable' && fences++),
    })
    expect(fences).toBe(1)
    expect(report.streams.map(({ stream }) => stream)).toEqual(['public.c', 'public.a', 'public.b'])
  })

  test('end with the destination: those under way are stopped, and none is begun', async () => {
    const world = shop('a', 'b', 'c', 'd')
    let begun = 0
    const report = await world.run({
      spec: { jobs: 2 },
      source: { batchRows: 1 },
      step(name) {
        if (name === 'begin') begun++
        if (name === 'write' && begun >= 2) throw new TrunklineError('DESTINATION_FULL', 'no space')
      },
    })
    expect(new Set(Object.values(outcomes(report)))).toEqual(new Set(['DESTINATION_FULL']))
    expect(begun).toBeLessThan(4)
    expect(report.snapshots).toHaveLength(1)
  })

  test('one reader is enough for any number of streams and splits', async () => {
    const tables = Array.from({ length: 12 }, (_, index) => `t${index}`)
    const world = shop(...tables)
    for (const verify of [false, true]) {
      await world.sync({ spec: { jobs: 1, verify }, source: { splits: 5, batchRows: 1 } })
      expect(world.source.mostReading).toBeLessThanOrEqual(1)
      for (const table of tables) world.expectExact(table)
      world.db.auto((tx) => {
        for (const table of tables) tx.delete(table, 3n)
      })
    }
  })
})

describe('before anything is read', () => {
  test('the destination prepares itself while the source is asked, and is not opened when that fails', async () => {
    const world = shop('a')
    const failing = world.run({
      step(name) {
        if (name === 'check') expect(world.store.prepared).toBe(0)
        if (name !== 'discover') return
        expect(world.store.prepared).toBe(1)
        throw new TrunklineError('PERMISSION_DENIED', 'no')
      },
    })
    await expect(failing).rejects.toMatchObject({ code: 'PERMISSION_DENIED' })
    expect(world.store.epoch).toBe(0)
  })
})

describe('streams that are not to be read', () => {
  test('paused and skipped ones are reported and left alone', async () => {
    const world = shop('a', 'b', 'c')
    await world.sync()
    for (const [stream, change] of [
      ['public.a', { paused: true }],
      ['public.b', { skipped: true }],
    ] as const) {
      const saved = world.store.streams.get(stream)
      if (saved !== undefined) world.store.streams.set(stream, { ...saved, ...change })
    }
    world.db.auto((tx) => {
      for (const table of ['a', 'b', 'c']) tx.update(table, 1n, { v: 1n })
    })
    const report = await world.sync()
    expect(outcomes(report)).toEqual({ 'public.a': 'paused', 'public.b': 'skipped', 'public.c': 'done' })
    expect(world.landed('a').every((row) => row['v'] === 0n)).toBe(true)
  })

  test('a name that is not among the selected fails by itself', async () => {
    const world = shop('a')
    const report = await world.run({ spec: { streams: { 'public.nothing': { mode: 'mirror' } } } })
    expect(outcomes(report)).toEqual({ 'public.a': 'done', 'public.nothing': 'STREAM_MISSING' })
  })

  test('one that no longer exists fails, and its copy stays', async () => {
    const world = shop('a', 'b')
    await world.sync()
    const report = await world.run({
      step(name) {
        if (name === 'lock') world.db.tables.delete('b')
      },
    })
    expect(outcomes(report)).toEqual({ 'public.a': 'unchanged', 'public.b': 'STREAM_MISSING' })
    expect(world.landed('b')).toHaveLength(8)
  })

  test('everything disabled is an error', async () => {
    const world = shop('a')
    await expect(world.run({ spec: { defaults: { disabled: true } } })).rejects.toMatchObject({
      code: 'SELECTION_EMPTY',
    })
  })
})

describe('what is told meanwhile', () => {
  test('is one start and one end of the run and of each stream, with its rows between', async () => {
    const world = shop('a')
    const events: ProgressEvent[] = []
    await world.sync({ onProgress: (event) => events.push(event) })
    expect(events.map(({ kind }) => kind)).toEqual([
      'run_started',
      'stream_started',
      'stream_progress',
      'stream_progress',
      'stream_finished',
      'run_finished',
    ])
    expect(events[1]).toMatchObject({ expectedRows: 8, full: true, mode: 'mirror' })
    expect(events[3]).toMatchObject({ rows: 8 })
  })

  test('a run with nothing to do opens no COPY, and moves the horizon on', async () => {
    const world = shop('a')
    await world.sync()
    const before = world.store.checkpoint('public.a')
    world.db.createTable('other')
    world.db.auto((tx) => tx.insert('other', { id: 1n, v: 1n }))
    const steps: string[] = []
    const report = await world.sync({
      spec: { streams: { 'public.other': { disabled: true } } },
      step: (name) => void steps.push(name),
    })
    expect(only(report)).toMatchObject({ outcome: 'unchanged', rowsRead: 0, runSeq: 2, generation: 1 })
    expect(steps.filter((name) => name.startsWith('read'))).toEqual([])
    const after = world.store.checkpoint('public.a')
    expect(after).not.toEqual(before)
    expect(after?.source.xmax).toBe(world.db.nextXid.toString())
  })

  test('verify compares everything after landing', async () => {
    const world = shop('a')
    await world.sync()
    // Somebody changed a value at the destination, which no count can show.
    const rows = world.store.tables.get('public.a') ?? []
    world.store.tables.set(
      'public.a',
      rows.map((row) => (row['id'] === 3n ? { ...row, v: 77n } : row)),
    )
    expect(only(await world.sync()).verified).toBeNull()
    expect(only(await world.sync({ spec: { verify: true } })).verified).toEqual({
      equal: false,
      missing: 1,
      unexpected: 1,
    })
  })

  test('the report adds up', async () => {
    const world = shop('a', 'b')
    await world.sync()
    world.db.auto((tx) => {
      tx.delete('a', 1n)
      tx.update('a', 2n, { v: 9n })
      tx.insert('b', { id: 20n, v: 1n })
    })
    const report = await world.sync()
    expect(report).toMatchObject({ rowsRead: 2, rowsLanded: 2, rowsDeleted: 1, outcome: 'done' })
    expect(
      report.streams.map(({ sourceCount, destinationCount }) => [sourceCount, destinationCount]),
    ).toEqual([
      [7, 7],
      [9, 9],
    ])
  })
})
