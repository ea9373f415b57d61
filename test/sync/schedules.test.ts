import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Row } from './model/database.js'
import { DEFAULT_LIMITS } from '../../src/model/thresholds.js'
import { makeShuffle, Player, schedule, SMALL_TABLE, TABLE, type Round } from './model/schedule.js'
import { World } from './model/world.js'

/** What `where stamp > max(stamp)` has made of the same snapshots. */
class NaiveCopy {
  readonly rows = new Map<bigint, Row>()
  #max = -1n

  read(visible: readonly Row[]): void {
    for (const row of visible.filter((candidate) => candidate.stamp > this.#max)) this.rows.set(row.id, row)
    for (const row of visible) if (row.stamp > this.#max) this.#max = row.stamp
  }

  /** Rows of the snapshot that the copy does not have as they are. */
  wrong(visible: readonly Row[]): number {
    return visible.filter((row) => this.rows.get(row.id)?.v !== row.v).length
  }
}

interface Outcome {
  runs: number
  /** Runs in which several splits were read at the same time. */
  sideBySide: number
  lateCommits: number
  naiveWrong: number
}

async function play(rounds: readonly Round[], outcome: Outcome): Promise<void> {
  const world = new World()
  const { db } = world
  db.createTable(TABLE, 3)
  db.createTable(SMALL_TABLE)
  db.auto((tx) => {
    for (let id = 1n; id <= 6n; id++) tx.insert(TABLE, { id, v: 0n })
    for (let id = 1n; id <= 3n; id++) tx.insert(SMALL_TABLE, { id, v: 0n })
  })
  db.settle()
  const player = new Player(db)
  const naive = new NaiveCopy()
  for (const round of rounds) {
    for (const action of round.before) player.play(action, false)
    if (round.crash) player.crash()
    const during = [...round.during]
    const shuffle = makeShuffle(round.seed)
    await world.sync({
      // Two connections do not read.
      spec: { jobs: 4, limits: { ...DEFAULT_LIMITS, maxConnections: 2 + round.readers } },
      source: { batchRows: 2, splits: round.splits },
      async step(name) {
        await shuffle()
        if (name === 'snapshot') player.markSnapshot()
        const action = during.shift()
        if (action !== undefined && name !== 'check' && name !== 'discover') {
          player.play(action, name !== 'open' && name !== 'lock')
        }
      },
    })
    outcome.runs++
    if (world.source.mostReading > 1) outcome.sideBySide++
    for (const table of [TABLE, SMALL_TABLE]) expect(world.differences(table)).toEqual([])
    const visible = db.visibleRows(TABLE, world.source.snapshotOf.get(TABLE) ?? db.snapshot())
    naive.read(visible)
    outcome.naiveWrong += naive.wrong(visible)
  }
  outcome.lateCommits += player.lateCommits
}

describe('after every run the destination is what the snapshot saw', () => {
  test('whatever writers, partitions and crashes do, while a cursor over the same histories loses rows', async () => {
    const outcome: Outcome = { runs: 0, sideBySide: 0, lateCommits: 0, naiveWrong: 0 }
    const numRuns = Number(process.env['TRUNKLINE_SCHEDULES'] ?? 250)
    await fc.assert(
      fc.asyncProperty(schedule, (rounds) => play(rounds, outcome)),
      { numRuns },
    )
    expect(outcome.lateCommits).toBeGreaterThan(50)
    expect(outcome.sideBySide).toBeGreaterThan(outcome.runs / 4)
    expect(outcome.naiveWrong).toBeGreaterThan(20)
  })
})
