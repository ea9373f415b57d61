// @ts-check
/**
 * Reads one stream to its end by the built library, in a process of its own: `node read-child.mjs URL STREAM`.
 * Prints the rows, and the highest resident memory of the process, as one line of JSON.
 */
import process from 'node:process'
import { URL } from 'node:url'
import { peakBytes } from './peak-memory.mjs'

/** @type {typeof import('../../src/index.js')} */
// eslint-disable-next-line @typescript-eslint/no-unsafe-assignment -- the built library is of the type of its sources
const { connect } = await import(new URL('../../dist/index.js', import.meta.url).href)
const [url = '', stream = ''] = process.argv.slice(2)

const source = await connect({ url })
const snapshot = await source.snapshot([stream])
let rows = 0
for await (const batch of snapshot.read(stream)) rows += batch.rowCount
await snapshot.close()
await source.close()
process.stdout.write(`${JSON.stringify({ rows, peakBytes: peakBytes() })}\n`)
