import { readdir, stat } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { afterEach, describe, expect, it } from 'vitest'
import {
  inRun,
  landingOf,
  makeCheckpoint,
  makeProgress,
  orders,
  runOf,
} from '../../../src/testing/landings.js'
import { startChild } from './child.js'
import type { DuckDbPlace } from './duckdb-place.js'
import { makeDuckDbPlace } from './duckdb-place.js'

const ROWS = 20_000

describe('a load that is saved in a DuckDB file', () => {
  let place: DuckDbPlace
  afterEach(() => place.remove())

  async function saveOnce(rows: number, generation = 1): Promise<void> {
    const destination = place.create()
    await inRun(destination, runOf(), async () => {
      const writer = await destination.begin(landingOf({ generation }))
      for (let from = 0; from < rows; from += 1000) {
        await writer.write(orders(...Array.from({ length: 1000 }, (_, n) => rowOf(from + n))))
      }
      await writer.save(makeProgress(rows, 1))
      await writer.abort()
    })
  }
  /** Text that does not compress away. */
  const rowOf = (id: number): readonly [number, string] => [
    id,
    `${(id * 2654435761) % 4294967296}/${(id * 40503 * 40503) % 4294967291}/${(id * 69069 * 1664525) % 4294967279}`,
  ]

  it('waits under the name of its generation, and takes the place of the table with the commit', async () => {
    place = await makeDuckDbPlace()
    await saveOnce(1000)
    const tables = `SELECT schema_name, table_name FROM duckdb_tables() WHERE database_name = 'db' AND schema_name = 'public'`
    expect(await place.query(tables)).toEqual([['public', '_trunkline_1_1']])
    const destination = place.create()
    await inRun(destination, runOf(), async () => {
      const writer = await destination.begin(landingOf({ resume: true }))
      await writer.commit(makeCheckpoint('1'))
    })
    expect(await place.query(tables)).toEqual([['public', 'orders']])
    expect(await place.query('SELECT count(*)::INTEGER FROM _trunkline.partials')).toEqual([[0]])
  })

  it('is nothing any more where somebody removed its rows, and the next load is whole', async () => {
    place = await makeDuckDbPlace()
    await saveOnce(1000)
    await place.query('DROP TABLE public._trunkline_1_1')
    const [state] = await place.create().readState('shop')
    expect(state?.streams.get('public.orders')?.partial).toBeNull()
    await expect(
      inRun(place.create(), runOf(), async () => {
        const destination = place.create()
        await destination.begin(landingOf({ resume: true }))
      }),
    ).rejects.toThrow()
    await saveOnce(2000)
    expect(await place.query('SELECT count(*)::INTEGER FROM public._trunkline_2_1')).toEqual([[2000]])
  })

  it('makes no other table of another name of a number that it has', async () => {
    place = await makeDuckDbPlace()
    await saveOnce(1000)
    const destination = place.create()
    await inRun(destination, runOf(), async () => {
      const other = { stream: 'public.other', table: { schema: 'public', name: 'other' } }
      const writer = await destination.begin(landingOf(other))
      await writer.write(orders([1, 'a']))
      await writer.commit(makeCheckpoint('1'))
    })
    expect(await place.query('SELECT number FROM _trunkline.tables')).toEqual([[2]])
    expect(await place.query('SELECT count(*)::INTEGER FROM public._trunkline_1_1')).toEqual([[1000]])
  })

  it('can be in a file that was made before loads could be saved', async () => {
    place = await makeDuckDbPlace()
    const destination = place.create()
    await inRun(destination, runOf(), async () => {
      const writer = await destination.begin(landingOf())
      await writer.commit(makeCheckpoint('1'))
    })
    await place.query('DROP TABLE _trunkline.partials')
    const [state] = await place.create().readState('shop')
    expect(state?.streams.get('public.orders')).toMatchObject({ runSeq: 1, partial: null })
    await place.create().editState('shop', 'public.orders', { kind: 'resync' })
    const again = place.create()
    await inRun(again, runOf(), async () => {
      const writer = await again.begin(landingOf({ generation: 2, expectedRunSeq: 1 }))
      await writer.save(makeProgress(0, 1))
    })
    expect(await place.query('SELECT generation FROM _trunkline.partials')).toEqual([[2n]])
  })

  it('gives its blocks to the load that follows when it is dropped', async () => {
    place = await makeDuckDbPlace()
    const size = async (): Promise<number> => (await stat(place.file)).size
    await saveOnce(500_000)
    const once = await size()
    expect(once).toBeGreaterThan(4_000_000)
    await saveOnce(500_000)
    expect(await size()).toBeLessThan(once * 1.2)
    await place.create().editState('shop', 'public.orders', { kind: 'resync' })
    await saveOnce(500_000, 1)
    expect(await size()).toBeLessThan(once * 1.2)
  })

  it.each(['direct', 'atomic'] as const)(
    'is as it was saved last, whenever the process is killed (%s)',
    async (publish) => {
      place = await makeDuckDbPlace({ publish })
      const script = fileURLToPath(new URL('save-forever.ts', import.meta.url))
      let least = 0
      for (let round = 0; round < 4; round++) {
        const child = startChild(['--import', 'tsx', script, place.file, publish, String(ROWS)])
        // It goes on where the one before was killed, and dies at another moment of its next pieces.
        await child.waitFor(`saved ${least + 2 * ROWS}`)
        await new Promise((resolve) => setTimeout(resolve, (round * 37) % 101))
        await child.kill()
        const said = child.lines
          .filter((line) => line.startsWith('saved'))
          .map((line) => Number(line.split(' ')[1]))
        const seen = await inRun(place.create(), runOf(), (state) => {
          const stream = state.streams.get('public.orders')
          expect(stream).toMatchObject({ runSeq: 0, checkpoint: null })
          return Promise.resolve(stream?.partial?.progress.rows ?? 0)
        })
        expect(seen).toBeGreaterThanOrEqual(Math.max(...said))
        const [counts] = await place.query(
          'SELECT count(*)::INTEGER, count(DISTINCT id)::INTEGER, max(id) FROM public._trunkline_1_1',
        )
        expect(counts).toEqual([seen, seen, seen - 1])
        least = seen
      }
      expect(await readdir(place.folder)).toEqual(['copy.duckdb'])
    },
    120_000,
  )
})
