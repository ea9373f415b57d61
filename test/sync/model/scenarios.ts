/**
 * One short history for each rule that keeps rows safe. Each rejects when the destination is not what the snapshot saw.
 *
 * `scenarios.test.ts` runs them as they are; `mutants.test.ts` runs them against an engine in which one rule was broken, and
 * expects them to reject.
 */
import { TrunklineError } from '../../../src/model/error.js'
import { ModelDatabase } from './database.js'
import { only, World } from './world.js'

export type Scenario = () => Promise<void>

function fill(world: World, table: string, ids: number): void {
  world.db.auto((tx) => {
    for (let id = 1; id <= ids; id++) tx.insert(table, { id: BigInt(id), v: 0n })
  })
}

function shop(rows = 8, leaves = 1): World {
  const world = new World()
  world.db.createTable('t', leaves)
  fill(world, 't', rows)
  return world
}

function assert(condition: boolean, what: string): void {
  if (!condition) throw new Error(what)
}

const INCREMENTAL_APPEND = { defaults: { mode: 'incremental', landing: 'append' } } as const

export const scenarios = {
  async 'a transaction that commits after the snapshot arrives with the next run'() {
    const world = shop()
    const late = world.db.begin()
    late.insert('t', { id: 100n, v: 1n })
    world.db.auto((tx) => tx.insert('t', { id: 101n, v: 1n }))
    await world.sync()
    late.commit()
    world.db.auto((tx) => tx.insert('t', { id: 102n, v: 1n }))
    await world.sync()
    world.expectExact('t')
  },

  async 'an update that commits after the snapshot arrives with the next run'() {
    const world = shop()
    const late = world.db.begin()
    late.update('t', 1n, { v: 5n })
    const alsoLate = world.db.begin()
    alsoLate.update('t', 2n, { v: 5n })
    await world.sync()
    late.commit()
    await world.sync()
    world.expectExact('t')
    alsoLate.commit()
    await world.sync()
    world.expectExact('t')
  },

  async 'a nested transaction of a late one arrives'() {
    const world = shop()
    const late = world.db.begin()
    late.insert('t', { id: 100n, v: 1n })
    late.savepoint()
    late.insert('t', { id: 101n, v: 1n })
    late.release()
    await world.sync()
    late.commit()
    await world.sync()
    world.expectExact('t')
  },

  async 'a prepared transaction arrives however long it waits'() {
    const world = shop()
    const prepared = world.db.begin()
    prepared.insert('t', { id: 100n, v: 1n })
    prepared.prepare()
    await world.sync()
    world.db.auto((tx) => tx.update('t', 1n, { v: 5n }))
    await world.sync()
    prepared.commit()
    await world.sync()
    world.expectExact('t')
  },

  async 'a deleted row goes, and so does a row whose key changed'() {
    const world = shop()
    await world.sync()
    world.db.auto((tx) => {
      tx.delete('t', 3n)
      tx.update('t', 4n, { id: 44n })
    })
    await world.sync()
    world.expectExact('t')
  },

  async 'as many deleted as inserted are told apart by key'() {
    const world = shop()
    await world.sync()
    world.db.auto((tx) => {
      tx.delete('t', 3n)
      tx.insert('t', { id: 50n, v: 1n })
    })
    await world.sync()
    world.expectExact('t')
  },

  async 'a commit that a crash undid leaves no id to be missed'() {
    const world = shop()
    world.db.settle()
    await world.sync()
    for (let id = 100; id < 104; id++) {
      const lazy = world.db.begin()
      lazy.insert('t', { id: BigInt(id), v: 1n })
      lazy.commit({ flush: false })
    }
    await world.sync()
    world.db.crash()
    for (let id = 200; id < 216; id++) world.db.auto((tx) => tx.insert('t', { id: BigInt(id), v: 2n }))
    await world.sync()
    world.expectExact('t')
  },

  async 'an update that a crash undid is undone at the destination'() {
    const world = shop()
    world.db.settle()
    await world.sync()
    const lazy = world.db.begin()
    lazy.update('t', 1n, { v: 99n })
    lazy.commit({ flush: false })
    // The log writer makes no progress: whatever is landed now may never have happened.
    await world.run({ source: { neverDurable: true } })
    world.db.crash()
    for (let v = 200; v < 216; v++) world.db.auto((tx) => tx.update('t', 2n, { v: BigInt(v) }))
    await world.sync()
    world.expectExact('t')
  },

  async 'a partition exchanged for another with the same keys is read whole'() {
    const world = shop(8, 2)
    const { leaves } = world.db.table('t')
    const [, odd] = leaves
    const exchanged = world.db.makeLeaf()
    for (const version of odd?.versions ?? []) {
      exchanged.versions.push({ ...version, row: { ...version.row, v: 9n } })
    }
    await world.sync()
    leaves.splice(1, 1, exchanged)
    await world.sync()
    world.expectExact('t')
  },

  async 'a partition attached with old rows is read whole'() {
    const world = shop(9, 2)
    const other = world.db.createTable('old')
    fill(world, 'old', 5)
    const { leaves } = other
    for (const leaf of leaves) {
      leaf.versions.forEach((version, index) => {
        const { row } = version
        leaf.versions[index] = { ...version, row: { ...row, id: row.id + 1000n } }
      })
    }
    world.db.tables.delete('old')
    await world.sync()
    world.db.table('t').leaves.push(...leaves)
    await world.sync()
    world.expectExact('t')
  },

  async 'a partition that joins during the run is not half read'() {
    const world = shop(9, 2)
    await world.sync()
    world.db.auto((tx) => tx.update('t', 1n, { v: 7n }))
    const leaf = world.db.makeLeaf()
    let joined = false
    const report = await world.run({
      step(name) {
        if (name !== 'liveCount' || joined) return
        joined = true
        world.db.table('t').leaves.push(leaf)
      },
    })
    assert(only(report).attempts === 2, 'the run did not notice the new partition')
    world.expectExact('t')
  },

  async 'a partition that joins a table that did not change is read'() {
    const world = shop(9, 2)
    await world.sync()
    const leaf = world.db.makeLeaf()
    let joined = false
    const report = await world.run({
      step(name) {
        if (name !== 'awaitDurable' || joined) return
        joined = true
        world.db.table('t').leaves.push(leaf)
      },
    })
    assert(only(report).attempts === 2, 'the run did not notice the new partition')
    world.expectExact('t')
  },

  async 'a table that did not change is not taken as read up to what a crash can undo'() {
    const world = shop()
    world.db.createTable('other')
    world.db.settle()
    const spec = { streams: { 'public.other': { disabled: true } } }
    await world.sync({ spec })
    for (let id = 100; id < 104; id++) {
      const lazy = world.db.begin()
      lazy.insert('other', { id: BigInt(id), v: 1n })
      lazy.commit({ flush: false })
    }
    const report = await world.sync({ spec })
    assert(only(report).outcome === 'unchanged', 'something was read')
    world.db.crash()
    // The first of them get the ids that were lost; the log becomes longer than it was.
    for (let v = 1; v <= 16; v++)
      world.db.auto((tx) => tx.update('t', BigInt(Math.min(v, 8)), { v: BigInt(v) }))
    await world.sync({ spec })
    world.expectExact('t')
  },

  async 'a row removed from the destination is missed although nothing changed at the source'() {
    const world = shop()
    world.db.createTable('u')
    fill(world, 'u', 3)
    await world.sync()
    world.store.tables.set('public.t', world.landed('t').slice(1))
    await world.sync()
    world.expectExact('t')
    world.expectExact('u')
  },

  async 'a partition detached takes its rows along, even if as many came'() {
    const world = shop(8, 2)
    await world.sync()
    const [, gone] = world.db.table('t').leaves.splice(1, 1)
    assert(gone === undefined, 'one leaf is left')
    world.db.auto((tx) => {
      for (let id = 100; id < 104; id++) tx.insert('t', { id: BigInt(id), v: 1n })
    })
    await world.sync()
    world.expectExact('t')
  },

  async 'a table dropped and created again is loaded anew'() {
    const world = shop()
    await world.sync()
    world.db.tables.delete('t')
    const again = world.db.createTable('t')
    fill(world, 't', 3)
    // Rows that look older than the horizon, as after a table was swapped in by rename.
    again.leaves[0]?.versions.forEach((version, index, versions) => {
      versions[index] = { ...version, xmin: 500n }
    })
    world.db.markCommitted(500n)
    const report = await world.sync({ spec: { allowMassDelete: true } })
    assert(only(report).generation === 2, 'no new generation')
    world.expectExact('t')
  },

  async 'a server restored from a backup is read anew'() {
    const world = shop()
    await world.sync()
    world.db.auto((tx) => tx.update('t', 2n, { v: 3n }))
    await world.sync()
    const restored = restoreBeforeUpdates(world)
    restored.db.nextXid += 100n
    const report = await restored.sync()
    assert(only(report).fullLoadReason !== null, 'the rewind was not noticed')
    restored.expectExact('t')
  },

  async 'a server restored from a backup with a longer log is read anew'() {
    const world = shop()
    // Holds the horizon down, so that what is read again by the restored server's ids says nothing.
    world.db.begin().insert('t', { id: 900n, v: 0n })
    await world.sync()
    for (let v = 1; v < 5; v++) world.db.auto((tx) => tx.update('t', 2n, { v: BigInt(v) }))
    await world.sync()
    const restored = restoreBeforeUpdates(world)
    restored.db.insertLsn += 10_000n
    const report = await restored.sync()
    assert(only(report).fullLoadReason !== null, 'the rewind was not noticed')
    restored.expectExact('t')
  },

  async 'a promoted standby is read anew'() {
    const world = shop()
    await world.sync()
    world.db.timeline = 2
    world.db.insertLsn += 10_000n
    world.db.nextXid += 500n
    // Rows that the old primary had and the new one never got.
    world.store.tables.get('public.t')?.push({ id: 777n, v: 0n, note: null })
    world.store.tables.set(
      'public.t',
      (world.store.tables.get('public.t') ?? []).filter((row) => row['id'] !== 1n),
    )
    await world.sync()
    world.expectExact('t')
  },

  async 'another server is never taken for the same'() {
    const world = shop()
    await world.sync()
    world.db.systemIdentifier = '7000000000000000002'
    const report = await world.run()
    assert(only(report).error?.code === 'SOURCE_CHANGED', 'another server was read')
    await world.sync({ spec: { acceptNewSource: true } })
    world.expectExact('t')
  },

  async 'a standby that lags behind the last run is waited for'() {
    const world = shop()
    await world.sync()
    const ahead = world.db.insertLsn
    world.db.standby = true
    world.db.insertLsn = ahead - 8n
    let waits = 0
    const report = await world.run({
      step(name) {
        if (name !== 'lock') return
        waits++
        if (waits === 3) world.db.insertLsn = ahead
      },
    })
    assert(report.outcome === 'done' && waits === 3, 'it did not wait')
    world.expectExact('t')
  },

  async 'a new column fills the rows that did not change'() {
    const world = shop()
    const table = world.db.table('t')
    table.columns = table.columns.filter((column) => column.name !== 'note')
    await world.sync()
    table.columns = [
      ...table.columns,
      { name: 'note', number: 7, typeName: 'text', sqlType: 'text', nullable: true },
    ]
    for (const { versions } of table.leaves) {
      versions.forEach((version, index) => {
        versions[index] = { ...version, row: { ...version.row, note: 'default' } }
      })
    }
    await world.sync()
    world.expectExact('t')
  },

  async 'a column dropped and added again under its name is another'() {
    const world = shop()
    await world.sync()
    const table = world.db.table('t')
    table.columns = table.columns.map((column) =>
      column.name === 'note' ? { ...column, number: 9 } : column,
    )
    for (const { versions } of table.leaves) {
      versions.forEach((version, index) => {
        versions[index] = { ...version, row: { ...version.row, note: 'other' } }
      })
    }
    await world.sync()
    world.expectExact('t')
  },

  async 'rows that stop matching the condition go'() {
    const world = shop()
    const spec = { streams: { 'public.t': { where: 'v % 2 = 0' } } }
    await world.sync({ spec })
    world.db.auto((tx) => tx.update('t', 2n, { v: 1n }))
    const report = await world.sync({ spec })
    assert(only(report).fullLoadReason === null, 'everything was read again')
    const found = world.differences('t', (row) => row.v % 2n === 0n)
    assert(found.length === 0, found.join('\n'))
  },

  async 'another condition is another copy'() {
    const world = shop()
    world.db.auto((tx) => {
      for (let id = 1n; id <= 4n; id++) tx.update('t', id, { v: 1n })
    })
    await world.sync({ spec: { streams: { 'public.t': { where: 'v % 2 = 0' } } } })
    await world.sync({ spec: { streams: { 'public.t': { where: 'v % 2 = 1' } } } })
    const found = world.differences('t', (row) => row.v % 2n === 1n)
    assert(found.length === 0, found.join('\n'))
  },

  async 'more than 2^31 transactions between two runs make a full load'() {
    const world = shop()
    await world.sync()
    world.db.auto((tx) => tx.update('t', 1n, { v: 4n }))
    world.db.nextXid += 2n ** 31n
    world.db.auto((tx) => tx.update('t', 2n, { v: 4n }))
    await world.sync()
    world.expectExact('t')
  },

  async 'a row written after the 32-bit ids wrapped is found'() {
    const world = new World(new ModelDatabase({ nextXid: 2n ** 32n - 6n }))
    world.db.createTable('t')
    fill(world, 't', 4)
    await world.sync()
    for (let id = 10; id < 22; id++) world.db.auto((tx) => tx.insert('t', { id: BigInt(id), v: 1n }))
    await world.sync()
    world.expectExact('t')
    world.db.auto((tx) => tx.update('t', 1n, { v: 2n }))
    await world.sync()
    world.expectExact('t')
  },

  async 'rows lost on the way are not taken for all'() {
    const world = shop()
    const report = await world.run({ wrapSource: (source) => loseFirstBatch(source, () => true) })
    assert(report.outcome === 'failed', 'a short read passed')
    assert(world.landed('t').length === 0, 'a short read landed')
  },

  async 'changed rows lost on the way are not taken for all'() {
    const world = shop()
    await world.sync()
    world.db.auto((tx) => tx.update('t', 1n, { v: 2n }))
    const report = await world.run({
      wrapSource: (source) => loseFirstBatch(source, (sql) => sql.includes('"horizon"')),
    })
    // The short read is noticed and the table loaded anew, or the run fails; either way nothing is missing.
    assert(report.outcome !== 'done' || world.differences('t').length === 0, 'a short read passed')
    assert(only(report).fullLoadReason !== null || report.outcome === 'failed', 'nobody noticed')
  },

  async 'a row that somebody removed from the destination comes back'() {
    const world = shop()
    await world.sync()
    world.store.tables.set('public.t', world.landed('t').slice(1))
    const report = await world.sync()
    assert(only(report).fullLoadReason !== null, 'it was not loaded anew')
    world.expectExact('t')
  },

  async 'a table emptied at the source does not empty the destination without a word'() {
    const world = shop(1200)
    await world.sync({ source: { batchRows: 500 } })
    world.db.auto((tx) => {
      for (let id = 1; id <= 1200; id++) tx.delete('t', BigInt(id))
    })
    const report = await world.run()
    assert(only(report).error?.code === 'MASS_DELETE', 'the guard did not hold')
    assert(world.landed('t').length === 1200, 'rows are gone')
    await world.sync({ spec: { allowMassDelete: true } })
    world.expectExact('t')
  },

  async 'rows swapped for as many others are guarded too'() {
    const world = shop(1200)
    await world.sync({ source: { batchRows: 500 } })
    world.db.auto((tx) => {
      for (let id = 1; id <= 400; id++) tx.delete('t', BigInt(id))
      for (let id = 2001; id <= 2400; id++) tx.insert('t', { id: BigInt(id), v: 0n })
    })
    const report = await world.run({ source: { batchRows: 500 } })
    assert(only(report).error?.code === 'MASS_DELETE', 'the guard did not hold')
    assert(world.landed('t').length === 1200, 'rows are gone')
  },

  async 'append lands each row version once'() {
    const world = shop()
    const spec = INCREMENTAL_APPEND
    const held = world.db.begin()
    held.insert('t', { id: 90n, v: 0n })
    world.db.auto((tx) => tx.insert('t', { id: 91n, v: 0n }))
    await world.sync({ spec })
    world.db.auto((tx) => tx.update('t', 1n, { v: 1n }))
    await world.sync({ spec })
    held.commit()
    world.db.auto((tx) => tx.insert('t', { id: 92n, v: 0n }))
    await world.sync({ spec })
    await world.sync({ spec })
    // Eight rows, one update, three inserts.
    const ids = world.landed('t').map((row) => `${String(row['id'])}/${String(row['v'])}`)
    assert(ids.length === 12 && new Set(ids).size === 12, `landed ${ids.join(' ')}`)
  },

  async 'append lands the rows of a joined partition although their ids were seen elsewhere'() {
    const world = shop(8, 2)
    const spec = INCREMENTAL_APPEND
    const held = world.db.begin()
    held.insert('t', { id: 90n, v: 0n })
    const leaf = world.db.makeLeaf()
    const tx = world.db.begin()
    tx.insert('t', { id: 91n, v: 0n })
    tx.insert('t', { id: 92n, v: 0n })
    tx.commit()
    // Both rows are of one transaction; one of them is in a table that is not part of the stream yet.
    for (const from of world.db.table('t').leaves) {
      const index = from.versions.findIndex((version) => version.row.id === 92n)
      if (index >= 0) leaf.versions.push(...from.versions.splice(index, 1))
    }
    await world.sync({ spec })
    world.db.table('t').leaves.push(leaf)
    world.db.auto((other) => other.insert('t', { id: 93n, v: 0n }))
    held.commit()
    await world.sync({ spec })
    const ids = world.landed('t').map((row) => String(row['id']))
    assert(new Set(ids).size === 12 && ids.length === 12, `landed ${ids.join(' ')}`)
  },

  async 'an append is not remembered for transactions that a crash undid'() {
    const world = shop()
    world.db.settle()
    const spec = INCREMENTAL_APPEND
    await world.sync({ spec })
    const held = world.db.begin()
    held.insert('t', { id: 300n, v: 0n })
    world.db.flush()
    for (let id = 100; id < 104; id++) {
      const lazy = world.db.begin()
      lazy.insert('t', { id: BigInt(id), v: 1n })
      lazy.commit({ flush: false })
    }
    await world.run({ spec, source: { neverDurable: true } })
    world.db.crash()
    for (let id = 200; id < 216; id++) world.db.auto((tx) => tx.insert('t', { id: BigInt(id), v: 2n }))
    await world.sync({ spec })
    const landed = new Set(world.landed('t').map((row) => row['id']))
    for (let id = 200; id < 216; id++) assert(landed.has(BigInt(id)), `row ${id} is lost`)
  },

  async 'soft deletes keep the row, and mark it'() {
    const world = shop()
    const spec = { defaults: { deletes: 'soft' } } as const
    await world.sync({ spec })
    world.db.auto((tx) => tx.delete('t', 3n))
    await world.sync({ spec })
    world.expectExact('t')
    assert(world.store.tables.get('public.t')?.length === 8, 'the row is gone')
  },

  async 'a reload keeps rows that were soft-deleted'() {
    const world = shop()
    const spec = { defaults: { deletes: 'soft' } } as const
    await world.sync({ spec })
    world.db.auto((tx) => tx.delete('t', 3n))
    await world.sync({ spec })
    world.db.timeline = 2
    await world.sync({ spec })
    world.expectExact('t')
    assert(world.store.tables.get('public.t')?.length === 8, 'the row is gone')
  },

  async 'a full refresh replaces, and a dated copy adds'() {
    const world = shop()
    const spec = { defaults: { mode: 'full_refresh' } } as const
    await world.sync({ spec })
    world.db.auto((tx) => tx.delete('t', 3n))
    await world.sync({ spec })
    world.expectExact('t')
    const dated = shop()
    const append = { defaults: { mode: 'full_refresh', landing: 'append' } } as const
    await dated.sync({ spec: append })
    dated.db.auto((tx) => tx.delete('t', 3n))
    await dated.clock.sleep(1000, undefined)
    await dated.sync({ spec: append })
    assert(dated.landed('t').length === 15, 'two copies')
    assert(new Set(dated.landed('t').map((row) => row.$runAt)).size === 2, 'two dates')
  },

  async 'a full destination ends the run'() {
    const world = shop()
    world.db.createTable('u')
    fill(world, 'u', 3)
    let commits = 0
    const report = await world.run({
      step(name) {
        if (name !== 'commit:before') return
        commits++
        throw new TrunklineError('DESTINATION_FULL', 'No space left.')
      },
    })
    assert(commits === 1, 'it went on')
    assert(
      report.streams.every((stream) => stream.error?.code === 'DESTINATION_FULL'),
      'not every stream says why',
    )
  },

  async 'a run that lost the lease commits nothing'() {
    const world = shop()
    let taken = false
    const report = await world.run({
      step(name) {
        if (name !== 'commit:before' || taken) return
        taken = true
        world.store.epoch++
      },
    })
    assert(report.outcome === 'failed' && only(report).error?.code === 'FENCED', 'it went on')
    assert(world.store.streams.size === 0, 'it committed')
  },
} satisfies Record<string, Scenario>

/** The same table with the same oids as its eight rows were before any update, on a server that knows nothing later. */
function restoreBeforeUpdates(world: World): World {
  const restored = shop()
  restored.store = world.store
  Object.assign(restored.db.table('t'), { oid: world.db.table('t').oid })
  restored.db.table('t').leaves.forEach((leaf, index) => {
    Object.assign(leaf, { oid: world.db.table('t').leaves[index]?.oid })
  })
  return restored
}

/** A source whose read leaves out the first batch of the reads that `which` picks. */
function loseFirstBatch(source: World['source'], which: (sql: string) => boolean): World['source'] {
  const open = source.openSnapshot.bind(source)
  source.openSnapshot = async (streams, options) => {
    const snapshot = await open(streams, options)
    const read = snapshot.read.bind(snapshot)
    snapshot.read = async function* (split, options) {
      let first = which(split.selectSql)
      for await (const batch of read(split, options)) {
        if (!first) yield batch
        first = false
      }
    }
    return snapshot
  }
  return source
}

export type ScenarioName = keyof typeof scenarios
