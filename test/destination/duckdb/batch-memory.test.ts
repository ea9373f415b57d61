import fc from 'fast-check'
import { afterEach, beforeEach, expect, it } from 'vitest'
import type { Batch } from '../../../src/batch/batch.js'
import { dropColumns, filterRows } from '../../../src/batch/select.js'
import { createDuckDbDestination } from '../../../src/destination/duckdb/duckdb-destination.js'
import type { Field } from '../../../src/model/column-type.js'
import { inRun, landingOf, makeCheckpoint, runOf } from '../../../src/testing/landings.js'
import { makeBatch } from '../../../src/testing/make-batch.js'
import type { Plain } from '../../../src/testing/plain.js'
import type { DuckDbPlace } from './duckdb-place.js'
import { makeDuckDbPlace } from './duckdb-place.js'

const FIELDS: readonly Field[] = [
  { name: 'id', type: { kind: 'int', bits: 32 }, nullable: false },
  { name: 'small', type: { kind: 'int', bits: 16 }, nullable: true },
  { name: 'flag', type: { kind: 'bool' }, nullable: true },
  { name: 'price', type: { kind: 'decimal', precision: 30, scale: 2 }, nullable: true },
  { name: 'note', type: { kind: 'text' }, nullable: true },
]
const EXTRA: Field = { name: 'extra', type: { kind: 'int', bits: 64 }, nullable: false }

function makeRow(id: number): readonly Plain[] {
  return [
    id,
    id % 3 === 0 ? null : (id % 30_000) - 15_000,
    id % 5 === 0 ? null : id % 2 === 0,
    id % 7 === 0 ? null : `${id}.25`,
    id % 11 === 0 ? null : `note ${'n'.repeat(id % 60)} ${id}`,
    1n,
  ]
}

/** Counts what is not as `makeRow` has it. */
const WRONG_ROWS = `count(*) FILTER (
  small IS DISTINCT FROM CASE WHEN id % 3 = 0 THEN NULL ELSE id % 30000 - 15000 END
  OR flag IS DISTINCT FROM CASE WHEN id % 5 = 0 THEN NULL ELSE id % 2 = 0 END
  OR price IS DISTINCT FROM CASE WHEN id % 7 = 0 THEN NULL ELSE id + 0.25 END
  OR note IS DISTINCT FROM CASE WHEN id % 11 = 0 THEN NULL ELSE 'note ' || repeat('n', id % 60) || ' ' || id END)`

let place: DuckDbPlace
beforeEach(async () => {
  place = await makeDuckDbPlace()
})
afterEach(async () => {
  await place.remove()
})

it('never says that a batch is done while it still reads its memory, whatever is cut out of it', async () => {
  let generation = 0
  const batchSizes = fc.array(
    fc.oneof(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 70_000 })),
    {
      minLength: 1,
      maxLength: 6,
    },
  )
  await fc.assert(
    fc.asyncProperty(batchSizes, fc.constantFrom(1, 2, 3), async (sizes, threads) => {
      const destination = createDuckDbDestination({ path: place.file, publish: 'direct', threads })
      const written = new Set<Batch>()
      let done = 0
      generation++
      const landed: number[] = []
      await inRun(destination, runOf(), async () => {
        const writer = await destination.begin(
          landingOf({
            fields: FIELDS,
            landing: 'replace',
            generation,
            expectedRunSeq: generation - 1,
            onBatchDone: (batch) => {
              expect(written.delete(batch)).toBe(true)
              done++
              // What the next batch of a reader would do.
              new Uint8Array(batch.buffer).fill(0xa5)
            },
          }),
        )
        let id = 1
        for (const [index, size] of sizes.entries()) {
          const ids = Array.from({ length: size }, () => id++)
          const whole = dropColumns(makeBatch([...FIELDS, EXTRA], ids.map(makeRow)), [EXTRA.name])
          const keep = Uint8Array.from(ids, (row) => (index % 2 === 1 && row % 4 === 0 ? 0 : 1))
          const batch = filterRows(whole, keep)
          landed.push(...ids.filter((_, row) => keep[row] === 1))
          if (batch.rowCount === 0) continue
          written.add(batch)
          await writer.write(batch)
        }
        await writer.commit(makeCheckpoint('1'))
      })
      expect([done > 0, written.size]).toEqual([true, 0])
      const sum = landed.reduce((total, row) => total + row, 0)
      expect(
        await place.query(
          `SELECT count(*)::INTEGER, sum(id)::BIGINT, ${WRONG_ROWS}::INTEGER FROM db.public.orders`,
        ),
      ).toEqual([[landed.length, BigInt(sum), 0]])
    }),
    { numRuns: 15 },
  )
})
