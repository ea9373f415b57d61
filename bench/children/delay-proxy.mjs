/**
 * A TCP proxy that holds the bytes of each direction for some milliseconds and limits nothing else: for connections over a
 * distance, where the machine cannot delay packets itself. Arguments: host, port, milliseconds in each direction. Prints its
 * port and serves until standard input ends.
 */
import net from 'node:net'
import { performance } from 'node:perf_hooks'
import process from 'node:process'
import { setTimeout } from 'node:timers'

const [host = '', port = '', delay = ''] = process.argv.slice(2)
const delayMs = Number(delay)

/** In flight in one direction; far more than speed times delay, so that it stops only those who do not read. */
const MAX_HELD_BYTES = 64 * 1024 * 1024
/** Timers count whole milliseconds and come late: as much too early on average as too late. */
const EARLY_MS = 0.5
/** One read of the socket; larger ones cost the proxy fewer wake-ups than the default 64 KiB. */
const READ_BYTES = 256 * 1024

/**
 * @param {net.Socket} from
 * @param {net.Socket} to
 */
function forward(from, to) {
  /** @type {{ due: number, bytes: Buffer | null }[]} */
  const held = []
  let heldBytes = 0
  let waiting = false
  const release = () => {
    waiting = false
    const now = performance.now() + EARLY_MS
    to.cork()
    for (let first = held[0]; first !== undefined && first.due <= now; first = held[0]) {
      held.shift()
      if (first.bytes === null) {
        to.end()
        continue
      }
      const { length } = first.bytes
      to.write(first.bytes, () => {
        heldBytes -= length
        if (heldBytes < MAX_HELD_BYTES && from.isPaused()) from.resume()
      })
    }
    to.uncork()
    schedule()
  }
  const schedule = () => {
    const first = held[0]
    if (waiting || first === undefined) return
    waiting = true
    setTimeout(release, Math.max(1, Math.floor(first.due - performance.now())))
  }
  /** @param {Buffer | null} bytes */
  const hold = (bytes) => {
    held.push({ due: performance.now() + delayMs, bytes })
    schedule()
  }
  from.on('data', (/** @type {Buffer} */ bytes) => {
    heldBytes += bytes.length
    if (heldBytes >= MAX_HELD_BYTES) from.pause()
    hold(bytes)
  })
  from.on('end', () => hold(null))
  from.on('error', () => to.destroy())
  from.on('close', () => {
    if (from.errored) to.destroy()
  })
}

const server = net.createServer(
  { allowHalfOpen: true, noDelay: true, highWaterMark: READ_BYTES },
  (client) => {
    const upstream = net.connect({ host, port: Number(port), allowHalfOpen: true, noDelay: true })
    forward(client, upstream)
    forward(upstream, client)
  },
)
server.listen(0, '127.0.0.1', () => {
  const address = server.address()
  process.stdout.write(`${typeof address === 'object' && address ? address.port : ''}\n`)
})
process.stdin.on('end', () => process.exit(0)).resume()
