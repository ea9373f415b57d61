/**
 * A process of its own that loads one table in pieces, saving each, until it is killed. Arguments: file, publish, rows.
 * It goes on in what is there. Every piece has as many rows, and the saved progress counts them; stdout says how many are saved.
 */
import { createDuckDbDestination } from '../../../src/destination/duckdb/duckdb-destination.js'
import { landingOf, makeProgress, orders, runOf } from '../../../src/testing/landings.js'

const [file = '', publish, rows = '1000'] = process.argv.slice(2)
const destination = createDuckDbDestination({
  path: file,
  publish: publish === 'atomic' ? 'atomic' : 'direct',
})
const state = await destination.open(runOf())
const partial = state.streams.get('public.orders')?.partial ?? null
let saved = partial?.progress.rows ?? 0
const writer = await destination.begin(landingOf({ resume: partial !== null }))
process.stdout.write(`begun ${saved}\n`)
for (;;) {
  for (let from = 0; from < Number(rows); from += 1000) {
    await writer.write(orders(...Array.from({ length: 1000 }, (_, n) => [saved + from + n, 'x'] as const)))
  }
  saved += Number(rows)
  await writer.save(makeProgress(saved, 1))
  process.stdout.write(`saved ${saved}\n`)
}
