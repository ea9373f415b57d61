/** Trunkline's own rows(), to set beside what gives rows to Node: trunkline-rows.mjs URL TABLE. Prints the number of rows. */
import process from 'node:process'
import { connect, rows } from 'trunkline'

const [url = '', table = ''] = process.argv.slice(2)
const source = await connect({ url })
try {
  const snapshot = await source.snapshot([table])
  try {
    let count = 0
    for await (const batch of snapshot.read(table)) {
      for (const row of rows(batch)) if (row) count += 1
    }
    process.stdout.write(`${count}\n`)
  } finally {
    await snapshot.close()
  }
} finally {
  await source.close()
}
