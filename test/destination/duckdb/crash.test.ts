import { readdir } from 'node:fs/promises'
import { afterEach, describe, expect, it } from 'vitest'
import { inRun, landingOf, makeCheckpoint, orders, runOf } from '../../../src/testing/landings.js'
import { startRuns } from './child.js'
import type { DuckDbPlace } from './duckdb-place.js'
import { makeDuckDbPlace } from './duckdb-place.js'

const ROWS = 4_000
/** Moments spread over a run; TRUNKLINE_ORACLE=full takes more of them. */
const ROUNDS = process.env['TRUNKLINE_ORACLE'] === 'full' ? 24 : 4

describe.each(['direct', 'atomic'] as const)('a DuckDB run that is killed (%s)', (publish) => {
  let place: DuckDbPlace
  afterEach(() => place.remove())

  it('leaves rows and checkpoint of one and the same commit, whenever it is killed', async () => {
    place = await makeDuckDbPlace({ publish })
    let committed = 0
    for (let round = 0; round < ROUNDS; round++) {
      const child = startRuns(place.file, publish, ROWS)
      // The first run of a child, then at moments spread over load, commit and close of the next one.
      await child.waitFor('closed')
      await new Promise((resolve) => setTimeout(resolve, (round * 53) % 211))
      await child.kill()
      const said = child.lines
        .filter((line) => line.startsWith('committed'))
        .map((line) => Number(line.split(' ')[1]))
      committed = Math.max(committed, ...said)

      // Opening for a run takes up what a crash left: the log of the file, or the work file of an atomic run.
      const seen = await inRun(place.create(), runOf(), (state) =>
        Promise.resolve(state.streams.get('public.orders')),
      )
      expect(seen?.runSeq).toBeGreaterThanOrEqual(committed)
      expect(seen?.checkpoint).toMatchObject({ horizon: String(seen?.runSeq) })
      const [published] = await place.create().readState('shop')
      const note = String(published?.streams.get('public.orders')?.runSeq)
      expect(
        await place.query(
          'SELECT count(*)::INTEGER, count(DISTINCT id)::INTEGER, min(note), max(note) FROM db.public.orders',
        ),
      ).toEqual([[ROWS, ROWS, note, note]])
      committed = seen?.runSeq ?? 0
    }

    const destination = place.create()
    await inRun(destination, runOf(), async (state) => {
      const last = state.streams.get('public.orders')
      const writer = await destination.begin(
        landingOf({ generation: last?.generation ?? 0, expectedRunSeq: last?.runSeq ?? 0 }),
      )
      await writer.write(orders([-1, 'after']))
      expect(await writer.liveCount()).toBe(ROWS + 1)
      await writer.commit(makeCheckpoint('last'))
    })
    expect(await readdir(place.folder)).toEqual(['copy.duckdb'])
  }, 120_000)
})
