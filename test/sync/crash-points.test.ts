/**
 * The process dies before or after any effect on the source or the destination; the next run must make it good. Every point
 * is tried: the n-th effect kills, for each n, until a run gets through.
 */
import { describe, expect, test } from 'vitest'
import type { SyncSpec } from '../../src/model/sync-spec.js'
import { World } from './model/world.js'

class Death extends Error {}

interface History {
  readonly name: string
  readonly spec: Partial<SyncSpec>
  /** What happens before the run that dies. */
  prepare(world: World): Promise<void>
}

function start(): World {
  const world = new World()
  world.db.createTable('t', 2)
  world.db.auto((tx) => {
    for (let id = 1n; id <= 12n; id++) tx.insert('t', { id, v: 0n })
  })
  return world
}

function change(world: World): void {
  world.db.auto((tx) => {
    tx.update('t', 1n, { v: 5n })
    tx.delete('t', 2n)
    tx.insert('t', { id: 30n, v: 1n })
  })
}

const SOFT = { defaults: { deletes: 'soft' } } as const
const HISTORIES: readonly History[] = [
  { name: 'a first load', spec: {}, prepare: () => Promise.resolve() },
  {
    name: 'a run with changes and deletes',
    spec: {},
    async prepare(world) {
      await world.sync()
      change(world)
    },
  },
  {
    name: 'a run that adds a column to soft-deleted rows',
    spec: SOFT,
    async prepare(world) {
      const table = world.db.table('t')
      const { columns } = table
      table.columns = columns.slice(0, 2)
      await world.sync({ spec: SOFT })
      change(world)
      await world.sync({ spec: SOFT })
      table.columns = columns
      world.db.auto((tx) => tx.delete('t', 3n))
    },
  },
  {
    name: 'a full refresh',
    spec: { defaults: { mode: 'full_refresh' } },
    async prepare(world) {
      await world.sync({ spec: { defaults: { mode: 'full_refresh' } } })
      change(world)
    },
  },
]

/** Runs and dies at the n-th effect; everything the dead process would have done after it fails as well. */
async function runAndDie(world: World, spec: Partial<SyncSpec>, at: number, splits = 1): Promise<boolean> {
  let effects = 0
  let dead = false
  const die = (): void => {
    if (dead || ++effects === at) {
      dead = true
      throw new Death()
    }
  }
  const jobs = splits > 1 ? { jobs: 2 } : {}
  await world
    .run({ spec: { ...spec, ...jobs }, source: { batchRows: 3, splits }, step: die })
    .catch(() => undefined)
  return dead
}

describe('the process dies at any point', () => {
  for (const history of HISTORIES) {
    test(`${history.name} is made good by the next run`, async () => {
      let points = 0
      for (let at = 1; ; at++) {
        const world = start()
        await history.prepare(world)
        const died = await runAndDie(world, history.spec, at)
        // The source goes on meanwhile.
        world.db.auto((tx) => tx.update('t', 4n, { v: 9n }))
        await world.sync({ spec: history.spec, source: { batchRows: 3 } })
        expect(world.differences('t'), `died at effect ${at}`).toEqual([])
        if (!died) break
        points++
      }
      expect(points).toBeGreaterThan(12)
    })
  }

  for (const history of HISTORIES) {
    test(`${history.name} beside others, by two readers, is made good by the next run`, async () => {
      let points = 0
      for (let at = 1; ; at++) {
        const world = start()
        for (const table of ['a', 'z']) {
          world.db.createTable(table)
          world.db.auto((tx) => {
            for (let id = 1n; id <= 5n; id++) tx.insert(table, { id, v: 0n })
          })
        }
        await history.prepare(world)
        world.db.auto((tx) => tx.update('z', 2n, { v: 3n }))
        const died = await runAndDie(world, history.spec, at, 3)
        world.db.auto((tx) => tx.update('a', 4n, { v: 9n }))
        await world.sync({ spec: history.spec, source: { batchRows: 3 } })
        for (const table of ['t', 'a', 'z']) {
          expect(world.differences(table), `${table}, died at effect ${at}`).toEqual([])
        }
        if (!died) break
        points++
      }
      expect(points).toBeGreaterThan(40)
    })
  }

  test('an append is neither lost nor doubled', async () => {
    const spec = { defaults: { mode: 'incremental', landing: 'append' } } as const
    for (let at = 1; ; at++) {
      const world = start()
      await world.sync({ spec })
      const held = world.db.begin()
      held.update('t', 5n, { v: 1n })
      world.db.auto((tx) => tx.update('t', 1n, { v: 5n }))
      const died = await runAndDie(world, spec, at)
      held.commit()
      await world.sync({ spec })
      const versions = world.landed('t').map((row) => `${String(row['id'])}/${String(row['v'])}`)
      expect(new Set(versions).size, `died at effect ${at}`).toBe(14)
      expect(versions.length, `died at effect ${at}`).toBe(14)
      if (!died) break
    }
  })
})
