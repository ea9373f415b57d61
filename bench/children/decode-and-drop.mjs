/**
 * Reads through the library and drops the batches; prints the number of rows. Arguments: connection string, `schema.table` or
 * `schema.*`, the number of readers (0, the default, reads on the main thread), and the read method (default: copy in batches
 * of its own size; when stated, batches of 10,000 rows).
 */
import process from 'node:process'
import { connect } from 'trunkline'

const [url = '', pattern = '', readers = '0', method] = process.argv.slice(2)
const how =
  method === undefined
    ? {}
    : { readMethod: /** @type {'copy' | 'named' | 'client'} */ (method), batchSize: 10_000 }
const source = await connect({ url })
try {
  const { streams } = await source.discover({ select: [pattern] })
  const snapshot = await source.snapshot([pattern], { jobs: Number(readers) })
  try {
    let rows = 0
    for (const { name } of streams) {
      /** @type {AsyncIterable<import('../../src/batch/batch.js').Batch>} */
      const batches = snapshot.read(name, how)
      for await (const batch of batches) rows += batch.rowCount
    }
    process.stdout.write(`${rows}\n`)
  } finally {
    await snapshot.close()
  }
} finally {
  await source.close()
}
