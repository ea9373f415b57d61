import { randomBytes } from 'node:crypto'
import { afterEach, expect, it } from 'vitest'
import { buildBatch } from '../../../src/batch/build-batch.js'
import type { Field } from '../../../src/model/column-type.js'
import { inRun, landingOf, makeCheckpoint, runOf } from '../../../src/testing/landings.js'
import type { DuckDbPlace } from './duckdb-place.js'
import { makeDuckDbPlace } from './duckdb-place.js'

const FIELDS: readonly Field[] = [
  { name: 'id', type: { kind: 'int', bits: 32 }, nullable: false },
  { name: 'body', type: { kind: 'binary' }, nullable: false },
]
/** More than DuckDB reads at once. */
const ROWS = 2_400

let place: DuckDbPlace
afterEach(() => place.remove())

it.each([100_000, 140_000])(
  'lands thousands of values of %i bytes, which DuckDB holds in memory all at once to compress them',
  async (length) => {
    place = await makeDuckDbPlace()
    const destination = place.create()
    await inRun(destination, runOf(), async () => {
      const writer = await destination.begin(landingOf({ fields: FIELDS, key: null, landing: 'replace' }))
      for (let from = 0; from < ROWS; from += 60) {
        const rows = Array.from({ length: 60 }, (_, row) => [from + row, randomBytes(length)])
        await writer.write(buildBatch(FIELDS, rows))
      }
      await writer.commit(makeCheckpoint('1'))
    })
    const counted = 'SELECT count(*)::INTEGER, sum(octet_length(body))::BIGINT FROM db.public.orders'
    expect(await place.query(counted)).toEqual([[ROWS, BigInt(ROWS * length)]])
  },
  120_000,
)
