/**
 * The process dies before or after any effect of a load that is saved after each part, and again in the run that goes on with
 * it; the source goes on meanwhile. Whatever is there at the end is what the last snapshot saw.
 */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { TrunklineError } from '../../src/model/error.js'
import type { RunReport } from '../../src/model/report.js'
import type { SyncSpec } from '../../src/model/sync-spec.js'
import { DEFAULT_LIMITS } from '../../src/model/thresholds.js'
import { makeShuffle, Player, schedule, SMALL_TABLE, TABLE, type Round } from './model/schedule.js'
import type { RunOptions } from './model/world.js'
import { World } from './model/world.js'

class Death extends Error {}

const SAVING: RunOptions = { source: { blockRows: 2, batchRows: 2 }, saveEveryMs: 0 }

/** Runs and dies at the n-th effect; everything the dead process would have done after it fails as well. */
async function runAndDie(world: World, options: RunOptions, at: number): Promise<boolean> {
  let effects = 0
  let dead = false
  const step = async (name: string): Promise<void> => {
    if (dead || ++effects === at) {
      dead = true
      throw new Death()
    }
    await options.step?.(name)
  }
  await world.run({ ...options, step }).catch(() => undefined)
  return dead
}

function start(leaves: number): World {
  const world = new World()
  world.db.createTable('t', leaves)
  world.db.auto((tx) => {
    for (let id = 1n; id <= 12n; id++) tx.insert('t', { id, v: 0n })
  })
  return world
}

/** Updates, a delete, an insert and a row under another key, in parts that are there and in parts that are not. */
function change(world: World, by: number): void {
  const n = BigInt(by)
  world.db.auto((tx) => {
    tx.update('t', 1n + n, { v: 5n + n })
    tx.update('t', 11n - n, { v: 6n })
    tx.delete('t', 4n + n)
    tx.insert('t', { id: 30n + n, v: 1n })
    tx.rekey('t', 7n + n, 40n + n)
  })
}

describe('a load that is saved after each part', () => {
  const specs: readonly (readonly [string, Partial<SyncSpec>])[] = [
    ['a first load', {}],
    ['a full refresh', { defaults: { mode: 'full_refresh' } }],
  ]
  test.each(specs)('%s is made good by the next run, wherever two runs before it died', async (_, spec) => {
    const options = { ...SAVING, spec }
    let points = 0
    let goneOnWith = 0
    for (let first = 1; ; first++) {
      let died = false
      for (const second of [2, 9, 14, 19, 24, 30]) {
        const world = start(first % 2 === 0 ? 2 : 1)
        const late = world.db.begin()
        late.update('t', 10n, { v: 8n })
        died = await runAndDie(world, options, first)
        change(world, 0)
        late.commit()
        await runAndDie(world, options, second)
        change(world, 1)
        const report = await world.sync(options)
        expect(world.differences('t'), `died at effects ${first} and ${second}`).toEqual([])
        expect(world.store.partials.size).toBe(0)
        if (/Gone on with/.test(report.streams[0]?.fullLoadReason ?? '')) goneOnWith++
      }
      if (!died) break
      points++
    }
    expect(points).toBeGreaterThan(25)
    expect(goneOnWith).toBeGreaterThan(points)
  })
})

interface Interruption {
  readonly at: number
  /** Death of the process, or of the snapshot. */
  readonly kind: 'die' | 'lose'
}

describe('loads that are interrupted again and again', () => {
  const interruption: fc.Arbitrary<Interruption> = fc.record({
    at: fc.integer({ min: 4, max: 60 }),
    kind: fc.constantFrom('die' as const, 'lose' as const),
  })
  const interruptions = fc.array(interruption, { maxLength: 4 })

  /** Streams that were gone on with. */
  const countGoneOnWith = (report: RunReport): number =>
    report.streams.filter((stream) => /Gone on with/.test(stream.fullLoadReason ?? '')).length

  async function play(
    rounds: readonly Round[],
    cuts: readonly Interruption[],
    mode: 'mirror' | 'full_refresh',
  ): Promise<number> {
    const world = new World()
    const { db } = world
    db.createTable(TABLE, 3)
    db.createTable(SMALL_TABLE)
    db.auto((tx) => {
      for (let id = 1n; id <= 9n; id++) tx.insert(TABLE, { id, v: 0n })
      for (let id = 1n; id <= 5n; id++) tx.insert(SMALL_TABLE, { id, v: 0n })
    })
    db.settle()
    const player = new Player(db)
    const spec = { defaults: { mode }, jobs: 4 }
    let goneOnWith = 0
    const finish = async (options: RunOptions): Promise<void> => {
      goneOnWith += countGoneOnWith(await world.sync(options))
      for (const table of [TABLE, SMALL_TABLE]) expect(world.differences(table)).toEqual([])
    }
    for (const [index, round] of rounds.entries()) {
      for (const action of round.before) player.play(action, false)
      if (round.crash) player.crash()
      const during = [...round.during]
      const shuffle = makeShuffle(round.seed)
      const cut = cuts[index]
      let steps = 0
      const options: RunOptions = {
        ...SAVING,
        spec: { ...spec, limits: { ...DEFAULT_LIMITS, maxConnections: 2 + round.readers } },
        async step(name) {
          await shuffle()
          const action = during.shift()
          if (action !== undefined && name !== 'check' && name !== 'discover') {
            player.play(action, name !== 'open' && name !== 'lock')
          }
          if (cut?.kind === 'lose' && ++steps >= cut.at && name.startsWith('read')) {
            steps = -Infinity
            throw new TrunklineError('SNAPSHOT_LOST', 'The session that holds the snapshot ended.')
          }
        },
      }
      if (cut?.kind === 'die') await runAndDie(world, options, cut.at)
      else await finish(options)
    }
    await finish({ ...SAVING, spec })
    expect(world.store.partials.size).toBe(0)
    return goneOnWith
  }

  test('are what the last snapshot saw, whatever writers, partitions and crashes do', async () => {
    let goneOnWith = 0
    const numRuns = Number(process.env['TRUNKLINE_SCHEDULES'] ?? 250)
    await fc.assert(
      fc.asyncProperty(
        schedule,
        interruptions,
        fc.constantFrom('mirror' as const, 'full_refresh' as const),
        async (rounds, cuts, mode) => {
          goneOnWith += await play(rounds, cuts, mode)
        },
      ),
      { numRuns },
    )
    expect(goneOnWith).toBeGreaterThan(numRuns / 10)
  })
})
