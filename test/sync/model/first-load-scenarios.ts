/**
 * One short history for each rule that makes a load, interrupted and gone on with, end as the last snapshot sees the table.
 * Each rejects when it does not, or when the load was not gone on with.
 */
import { TrunklineError } from '../../../src/model/error.js'
import type { StreamReport } from '../../../src/model/report.js'
import { ModelDatabase } from './database.js'
import type { RunOptions } from './world.js'
import type { Scenario } from './scenarios.js'
import { only, World } from './world.js'

/** Two rows to a part, and each part saved as soon as it is there. */
const SAVING: RunOptions = { source: { blockRows: 2, batchRows: 2 }, saveEveryMs: 0 }

function shop(leaves = 1, db?: ModelDatabase): World {
  const world = new World(db)
  world.db.createTable('t', leaves)
  world.db.auto((tx) => {
    for (let id = 1n; id <= 8n * BigInt(leaves); id++) tx.insert('t', { id, v: 0n })
  })
  return world
}

class Death extends Error {}

/** Runs until the n-th save is on the disk, and dies. */
async function dieAfterSave(world: World, saves: number, options: RunOptions = {}): Promise<void> {
  let seen = 0
  let dead = false
  await world
    .run({
      ...SAVING,
      ...options,
      step(name) {
        if (name === 'save:after') seen++
        if (seen >= saves) dead = true
        if (dead) throw new Death()
      },
    })
    .catch(() => undefined)
  assert(dead && world.store.partials.has('public.t'), 'nothing was saved')
}

function assert(condition: boolean, what: string): void {
  if (!condition) throw new Error(what)
}

async function finish(world: World, options: RunOptions = {}): Promise<StreamReport> {
  const report = only(await world.sync({ ...SAVING, ...options }))
  world.expectExact('t')
  assert(world.store.partials.size === 0, 'something is left of the load')
  return report
}

async function goOn(world: World, options: RunOptions = {}): Promise<StreamReport> {
  const report = await finish(world, options)
  assert(
    /Gone on with/.test(report.fullLoadReason ?? ''),
    `it was not gone on with: ${report.fullLoadReason ?? ''}`,
  )
  assert(
    !world.warnings.some((text) => /from the start/.test(text)),
    'it was loaded from the start after all',
  )
  return report
}

async function startAnew(world: World, options: RunOptions = {}): Promise<void> {
  const report = await finish(world, options)
  assert(
    /was of no use/.test(report.fullLoadReason ?? ''),
    `it was gone on with: ${report.fullLoadReason ?? ''}`,
  )
  assert(
    !world.warnings.some((text) => /from the start/.test(text)),
    'only the counts told that it had to be',
  )
}

export const firstLoadScenarios = {
  async 'a load goes on after what was saved and reads no part twice'() {
    const world = shop()
    await dieAfterSave(world, 2)
    const report = await goOn(world)
    assert(report.rowsRead === 4, `${report.rowsRead} rows were read`)
    assert(/2 of 4 parts/.test(report.fullLoadReason ?? ''), report.fullLoadReason ?? '')
  },

  async 'rows of parts that are there come as they are now'() {
    const world = shop()
    await dieAfterSave(world, 2)
    world.db.auto((tx) => {
      tx.update('t', 1n, { v: 5n })
      tx.insert('t', { id: 50n, v: 1n })
    })
    await goOn(world)
  },

  async 'what was under way at the first snapshot is read again'() {
    const world = shop()
    const late = world.db.begin()
    late.update('t', 1n, { v: 5n })
    world.db.auto((tx) => tx.update('t', 2n, { v: 1n }))
    await dieAfterSave(world, 3)
    late.commit()
    await goOn(world)
  },

  async 'what changed between any two of three snapshots is made good'() {
    const world = shop()
    await dieAfterSave(world, 1)
    world.db.auto((tx) => tx.update('t', 1n, { v: 5n }))
    await dieAfterSave(world, 1)
    world.db.auto((tx) => tx.update('t', 3n, { v: 6n }))
    await goOn(world)
  },

  async 'a row that moved from a part that is there to one that is not is there once'() {
    const world = shop()
    await dieAfterSave(world, 2)
    world.db.auto((tx) => {
      tx.update('t', 1n, { v: 5n })
      tx.update('t', 2n, { v: 6n })
      tx.rekey('t', 3n, 33n)
    })
    await dieAfterSave(world, 1)
    world.db.auto((tx) => tx.update('t', 1n, { v: 7n }))
    await goOn(world)
  },

  async 'rows that are gone meanwhile go, however many'() {
    const world = shop()
    await dieAfterSave(world, 3)
    world.db.auto((tx) => {
      for (let id = 1n; id <= 5n; id++) tx.delete('t', id)
      tx.insert('t', { id: 60n, v: 1n })
    })
    await goOn(world)
  },

  async 'however large a share is gone that nobody saw, nobody is asked'() {
    const world = shop()
    world.db.auto((tx) => {
      for (let id = 9n; id <= 1500n; id++) tx.insert('t', { id, v: 0n })
    })
    const options = { source: { blockRows: 500, batchRows: 500 } }
    await dieAfterSave(world, 2, options)
    world.db.auto((tx) => {
      for (let id = 1n; id <= 900n; id++) tx.delete('t', id)
      for (let id = 2000n; id <= 2600n; id++) tx.insert('t', { id, v: 0n })
    })
    const report = await goOn(world, options)
    assert(report.rowsDeleted === 0, 'rows were deleted that were never landed')
  },

  async 'a load that does not come out is begun anew, and stays so'() {
    const world = shop()
    await dieAfterSave(world, 2)
    const saved = world.store.partials.get('public.t')
    if (saved !== undefined) world.store.partials.set('public.t', { ...saved, rows: saved.rows.slice(1) })
    let lost = false
    await finish(world, {
      step(name) {
        if (lost || name !== 'read:open' || !world.warnings.some((text) => /from the start/.test(text)))
          return
        lost = true
        throw new TrunklineError('SNAPSHOT_LOST', 'The session that holds the snapshot ended.')
      },
    })
    assert(lost, 'it came out')
  },

  async 'a row that was moved and is gone leaves no copy'() {
    const world = shop()
    await dieAfterSave(world, 2)
    world.db.auto((tx) => tx.update('t', 1n, { v: 5n }))
    await dieAfterSave(world, 1)
    world.db.auto((tx) => tx.delete('t', 1n))
    await goOn(world)
  },

  async 'the next run reads on from the last snapshot'() {
    const world = shop()
    await dieAfterSave(world, 2)
    const late = world.db.begin()
    late.update('t', 1n, { v: 5n })
    await goOn(world)
    late.commit()
    world.db.auto((tx) => tx.delete('t', 2n))
    const report = only(await world.sync())
    assert(report.fullLoadReason === null, 'everything was read again')
    world.expectExact('t')
  },

  async 'a table that was rewritten is loaded from the start'() {
    const world = shop()
    world.db.auto((tx) => tx.insert('t', { id: 9n, v: 0n }))
    await dieAfterSave(world, 2)
    // As many rows lie before the cut as before, but others.
    const [leaf] = world.db.table('t').leaves
    if (leaf !== undefined) world.db.rewrite(leaf)
    await startAnew(world)
  },

  async 'a table that was emptied and filled again is loaded from the start'() {
    const world = shop()
    await dieAfterSave(world, 2)
    const [leaf] = world.db.table('t').leaves
    if (leaf !== undefined) world.db.truncate(leaf)
    world.db.auto((tx) => tx.insert('t', { id: 3n, v: 9n }))
    await startAnew(world)
  },

  async 'a partition that was rewritten is read whole'() {
    const world = shop(4)
    await dieAfterSave(world, 2)
    const [, leaf] = world.db.table('t').leaves
    if (leaf !== undefined) world.db.rewrite(leaf)
    await goOn(world)
  },

  async 'a partition that joins with old rows is read whole'() {
    const world = shop(4)
    await dieAfterSave(world, 2)
    const joined = world.db.makeLeaf()
    for (const version of world.db.table('t').leaves[0]?.versions ?? []) {
      joined.versions.push({ ...version, row: { ...version.row, id: version.row.id + 1000n } })
    }
    world.db.table('t').leaves.push(joined)
    await goOn(world)
  },

  async 'a partition exchanged for another with the same keys leaves nothing of the old one'() {
    const world = shop(4)
    await dieAfterSave(world, 2)
    const { leaves } = world.db.table('t')
    const other = world.db.makeLeaf()
    for (const version of leaves[1]?.versions ?? []) {
      other.versions.push({ ...version, row: { ...version.row, v: 9n } })
    }
    leaves.splice(1, 1, other)
    await goOn(world)
  },

  async 'a partition that leaves takes its rows along, even if as many came'() {
    const world = shop(4)
    await dieAfterSave(world, 3)
    const gone = world.db.table('t').leaves.pop()
    const there = gone?.versions.slice(0, 6).length ?? 0
    world.db.auto((tx) => {
      for (let id = 0n; id < BigInt(there); id++) tx.insert('t', { id: 100n + id * 4n, v: 1n })
    })
    await goOn(world)
  },

  async 'a partition that left for a while is read whole when it is back'() {
    const world = shop(4)
    await dieAfterSave(world, 1)
    const { leaves } = world.db.table('t')
    const gone = leaves.pop()
    await dieAfterSave(world, 2)
    if (gone !== undefined) leaves.push(gone)
    await goOn(world)
  },

  async 'what a crash of the server undid is not saved'() {
    const world = shop()
    world.db.settle()
    const lazy = world.db.begin()
    lazy.update('t', 1n, { v: 99n })
    for (let id = 20n; id < 26n; id++) lazy.insert('t', { id, v: 0n })
    lazy.commit({ flush: false })
    const { source } = SAVING
    let reads = 0
    const died = world
      .run({
        ...SAVING,
        source: { ...source, neverDurable: true },
        step(name) {
          if (name === 'read:open' && ++reads > 6) throw new Death()
        },
      })
      .catch(() => undefined)
    await died
    world.db.crash()
    for (let v = 200; v < 216; v++) world.db.auto((tx) => tx.update('t', 2n, { v: BigInt(v) }))
    await finish(world)
  },

  async 'a crash of the server after a save gives no id to be missed'() {
    const world = shop()
    world.db.settle()
    for (let id = 100n; id < 104n; id++) {
      const lazy = world.db.begin()
      lazy.insert('t', { id, v: 1n })
      lazy.commit({ flush: false })
    }
    await dieAfterSave(world, 5)
    world.db.crash()
    for (let id = 200n; id < 216n; id++) world.db.auto((tx) => tx.insert('t', { id, v: 2n }))
    await goOn(world)
  },

  async 'a standby that lags behind what is saved is waited for'() {
    const world = shop()
    await dieAfterSave(world, 1)
    world.db.auto((tx) => tx.update('t', 5n, { v: 1n }))
    await dieAfterSave(world, 2)
    const ahead = world.db.insertLsn
    world.db.standby = true
    world.db.insertLsn = ahead - 8n
    let waits = 0
    await goOn(world, {
      step(name) {
        if (name !== 'lock') return
        waits++
        if (waits === 3) world.db.insertLsn = ahead
      },
    })
    assert(waits === 3, 'it did not wait')
  },

  async 'a promoted standby is read from the start'() {
    const world = shop()
    await dieAfterSave(world, 2)
    world.db.timeline = 2
    const [leaf] = world.db.table('t').leaves
    // It never got what the old primary had.
    leaf?.versions.forEach((version, index, versions) => {
      if (version.row.id === 1n) versions[index] = { ...version, row: { ...version.row, v: 7n } }
    })
    await startAnew(world)
  },

  async 'another server is read from the start'() {
    const world = shop()
    await dieAfterSave(world, 2)
    world.db.systemIdentifier = '7000000000000000002'
    const [leaf] = world.db.table('t').leaves
    leaf?.versions.forEach((version, index, versions) => {
      versions[index] = { ...version, row: { ...version.row, v: 7n } }
    })
    await startAnew(world)
  },

  async 'a column that was added meanwhile is filled'() {
    const world = shop()
    const table = world.db.table('t')
    const { columns } = table
    table.columns = columns.slice(0, 2)
    await dieAfterSave(world, 2)
    table.columns = columns
    for (const { versions } of table.leaves) {
      versions.forEach((version, index) => {
        versions[index] = { ...version, row: { ...version.row, note: 'default' } }
      })
    }
    await startAnew(world)
  },

  async 'more than 2^31 transactions since the first snapshot make it begin anew'() {
    const world = shop()
    await dieAfterSave(world, 2)
    world.db.auto((tx) => tx.update('t', 1n, { v: 4n }))
    world.db.nextXid += 2n ** 31n
    world.db.auto((tx) => tx.update('t', 2n, { v: 4n }))
    await startAnew(world)
  },

  async 'ids that wrap between two snapshots are told apart'() {
    const world = shop(1, new ModelDatabase({ nextXid: 2n ** 32n - 4n }))
    await dieAfterSave(world, 2)
    for (let v = 1n; v < 9n; v++) world.db.auto((tx) => tx.update('t', 1n, { v }))
    await goOn(world)
  },

  async 'a load divided by keys goes on as well'() {
    const world = shop()
    const byKeys = { source: { keyRows: 3, batchRows: 2 } }
    await dieAfterSave(world, 2, byKeys)
    world.db.auto((tx) => {
      tx.update('t', 1n, { v: 5n })
      tx.rekey('t', 2n, 22n)
      tx.rekey('t', 8n, 9n)
      tx.delete('t', 4n)
    })
    await goOn(world, byKeys)
  },

  async 'a new generation goes on while the present one is read'() {
    const world = shop()
    const spec = { defaults: { mode: 'full_refresh' } } as const
    await world.sync({ spec })
    const before = world.landed('t').length
    world.db.auto((tx) => tx.delete('t', 8n))
    await dieAfterSave(world, 2, { spec })
    assert(world.landed('t').length === before, 'a reader saw the new generation before its end')
    world.db.auto((tx) => tx.delete('t', 1n))
    const report = await goOn(world, { spec })
    assert(report.generation === 2, 'it is not the second generation')
  },

  async 'rows that nobody saw are deleted although deletes are soft or ignored'() {
    for (const deletes of ['soft', 'ignore'] as const) {
      const world = shop()
      const spec = { defaults: { deletes } }
      await dieAfterSave(world, 2, { spec })
      world.db.auto((tx) => tx.delete('t', 1n))
      await goOn(world, { spec })
      assert(world.store.tables.get('public.t')?.length === 7, `a row that nobody saw is there (${deletes})`)
    }
  },

  async 'a resync begins anew'() {
    const world = shop()
    await dieAfterSave(world, 2)
    await world.resync('public.t')
    const report = await finish(world)
    assert(report.rowsRead === 8 && !/Gone on/.test(report.fullLoadReason ?? ''), 'it was gone on with')
  },

  async 'a snapshot that is lost is gone on from in the same run, as often as it takes'() {
    const world = shop()
    world.db.auto((tx) => {
      for (let id = 9n; id <= 16n; id++) tx.insert('t', { id, v: 0n })
    })
    let saves = 0
    let lost = 0
    const report = await goOn(world, {
      step(name) {
        if (name === 'save:after') saves++
        if (name !== 'read:batch' || saves <= lost) return
        lost = saves
        world.db.auto((tx) => tx.update('t', BigInt(saves), { v: 8n }))
        throw new TrunklineError('SNAPSHOT_LOST', 'The session that holds the snapshot ended.')
      },
    })
    assert(lost === 7, `${lost} snapshots were lost`)
    assert(report.attempts === 8, `${report.attempts} attempts`)
  },
} satisfies Record<string, Scenario>

export type FirstLoadScenarioName = keyof typeof firstLoadScenarios
