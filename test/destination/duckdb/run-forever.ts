/**
 * A process of its own that syncs one table again and again until it is killed. Arguments: file, publish, rows.
 * Every run lands all rows with the run's number as their note, and the same number in the checkpoint; it says so on stdout.
 */
import { createDuckDbDestination } from '../../../src/destination/duckdb/duckdb-destination.js'
import { landingOf, makeCheckpoint, orders, runOf } from '../../../src/testing/landings.js'

const [file = '', publish, rows = '1000'] = process.argv.slice(2)
for (;;) {
  const destination = createDuckDbDestination({
    path: file,
    publish: publish === 'atomic' ? 'atomic' : 'direct',
  })
  const state = await destination.open(runOf())
  const present = state.streams.get('public.orders')
  const runSeq = present?.runSeq ?? 0
  // Every third run is a new generation.
  const generation = runSeq % 3 === 0 ? (present?.generation ?? 0) + 1 : (present?.generation ?? 1)
  const writer = await destination.begin(landingOf({ generation, expectedRunSeq: runSeq }))
  for (let from = 0; from < Number(rows); from += 1000) {
    await writer.write(
      orders(...Array.from({ length: 1000 }, (_, n) => [from + n, String(runSeq + 1)] as const)),
    )
    process.stdout.write('wrote\n')
  }
  await writer.commit(makeCheckpoint(String(runSeq + 1)))
  process.stdout.write(`committed ${runSeq + 1}\n`)
  await destination.close()
  process.stdout.write(`closed ${runSeq + 1}\n`)
}
