/** Reads a table through the library on one reader and drops the batches; prints the number of rows. */
import process from 'node:process'
import { connect } from 'trunkline'

const [url = '', table = ''] = process.argv.slice(2)
const source = await connect({ url })
try {
  const snapshot = await source.snapshot([table])
  try {
    let rows = 0
    /** @type {AsyncIterable<import('../../src/batch/batch.js').Batch>} */
    const batches = snapshot.read(table)
    for await (const batch of batches) rows += batch.rowCount
    process.stdout.write(`${rows}\n`)
  } finally {
    await snapshot.close()
  }
} finally {
  await source.close()
}
