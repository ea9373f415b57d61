import { afterEach, expect, it } from 'vitest'
import type { Batch } from '../../../src/batch/batch.js'
import type { Field } from '../../../src/model/column-type.js'
import { inRun, landingOf, makeCheckpoint, runOf } from '../../../src/testing/landings.js'
import type { DuckDbPlace } from './duckdb-place.js'
import { makeDuckDbPlace } from './duckdb-place.js'

/** PostgreSQL's limit is 1,600. */
const COLUMNS = 1_500
const ROWS = 3_500

let place: DuckDbPlace
afterEach(() => place.remove())

it('lands a table of nearly as many columns as a table can have', async () => {
  place = await makeDuckDbPlace()
  const fields = Array.from({ length: COLUMNS }, (_, n): Field => ({
    name: `x${n}`,
    type: { kind: 'int', bits: 64 },
    nullable: true,
  }))
  const destination = place.create()
  await inRun(destination, runOf(), async () => {
    const writer = await destination.begin(landingOf({ fields, key: null, landing: 'replace' }))
    for (let from = 0; from < ROWS; from += 700) await writer.write(numbers(fields, from, 700))
    await writer.commit(makeCheckpoint('1'))
  })
  expect(
    await place.query('SELECT count(*)::INTEGER, sum(x0)::BIGINT, sum(x1499)::BIGINT FROM db.public.orders'),
  ).toEqual([[ROWS, sumTo(ROWS, 0), sumTo(ROWS, COLUMNS - 1)]])
}, 60_000)

/** Row r has r times 97 and the column's number in each column. */
function numbers(fields: readonly Field[], from: number, rowCount: number): Batch {
  const values = new BigInt64Array(fields.length * rowCount)
  const columns = fields.map((_, column) => {
    for (let row = 0; row < rowCount; row++)
      values[column * rowCount + row] = BigInt((from + row) * 97 + column)
    const span = { offset: column * rowCount * 8, length: rowCount * 8 }
    return { nullCount: 0, validity: null, offsets: null, values: span }
  })
  return { fields, rowCount, columns, buffer: values.buffer }
}

function sumTo(rows: number, column: number): bigint {
  return BigInt(((rows * (rows - 1)) / 2) * 97 + rows * column)
}
