// @ts-check
/**
 * One sync by the built library in a process of its own: `node sync-child.mjs '{"source": …, "destination": …}'`.
 * Prints what became of it, and the highest resident memory of the process, as one line of JSON.
 */
import process from 'node:process'
import { URL } from 'node:url'
import { peakBytes } from './peak-memory.mjs'

const built = new URL('../../dist/', import.meta.url)
/** @type {typeof import('../../src/index.js')} */
// eslint-disable-next-line @typescript-eslint/no-unsafe-assignment -- the built library is of the type of its sources
const { sync, TrunklineError } = await import(new URL('index.js', built).href)
/** @type {import('../../src/index.js').SyncCall} */
// eslint-disable-next-line @typescript-eslint/no-unsafe-assignment -- from a test of ours
const call = JSON.parse(process.argv[2] ?? '{}')

let report = null
let error = null
try {
  report = await sync(call)
} catch (cause) {
  if (!(cause instanceof TrunklineError)) throw cause
  const { code, message, hint, retry, context } = cause
  error = { code, message, hint, retry, context }
}
process.stdout.write(`${JSON.stringify({ report, error, peakBytes: peakBytes() })}\n`)
