// @ts-check
/**
 * One sync by the built library in a process that may take only so much memory: `node --expose-gc pressure-child.mjs '{…}'`.
 * The memory is real. When rows come, the process fills it to just above the first threshold, at the first sign of pressure to
 * above the second, and gives it all back when that is told, too. Prints the log on stderr, and the report as one line of JSON.
 */
import { Buffer } from 'node:buffer'
import process from 'node:process'
import { URL } from 'node:url'

const built = new URL('../../dist/', import.meta.url)
/** @type {typeof import('../../src/index.js')} */
// eslint-disable-next-line @typescript-eslint/no-unsafe-assignment -- the built library is of the type of its sources
const { sync } = await import(new URL('index.js', built).href)
/** @type {import('../../src/index.js').SyncCall} */
// eslint-disable-next-line @typescript-eslint/no-unsafe-assignment -- from a test of ours
const call = JSON.parse(process.argv[2] ?? '{}')

const limit = call.adaptive?.memoryLimitBytes ?? 0
const PIECE = 4 * 1024 * 1024
/** @type {Buffer[]} */
let ballast = []

/** Takes memory until the process has that share of its limit. @param {number} share */
function fill(share) {
  while (process.memoryUsage.rss() < limit * share) {
    // Pages count when they are written.
    ballast.push(Buffer.alloc(PIECE, 1))
  }
}

/** @param {string} level */
const print = (level) => {
  /** @param {unknown} _fields @param {string} message */
  return (_fields, message) => process.stderr.write(`${level} ${message}\n`)
}

let began = false
const report = await sync({
  ...call,
  logger: { debug: () => undefined, info: print('INFO'), warn: print('WARNING'), error: print('SEVERE') },
  onProgress: (event) => {
    if (event.kind === 'stream_progress' && !began) {
      began = true
      fill(0.84)
    }
    if (event.kind !== 'pressure' || event.cause !== 'memory') return
    if (event.level === 'high' && ballast.length > 0) fill(0.94)
    if (event.level === 'critical') {
      ballast = []
      globalThis.gc?.()
    }
  },
})
process.stdout.write(`${JSON.stringify(report)}\n`)
