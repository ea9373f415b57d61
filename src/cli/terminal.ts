/** Where a command writes: data and results to stdout, everything else to stderr; and what those two are. */
import { once } from 'node:events'
import { fstatSync, writeSync } from 'node:fs'
import type { Environment } from '../config/interpolate.js'
import { outputError } from './output-file.js'

export interface OutputFlags {
  readonly quiet?: boolean
  readonly verbose?: boolean
  readonly json?: boolean
}

export interface Terminal {
  readonly json: boolean
  readonly quiet: boolean
  readonly verbose: boolean
  /** stderr is a terminal that understands cursor movements. */
  readonly interactive: boolean
  /** A person can be asked: both stdin and stderr are terminals. */
  readonly canAsk: boolean
  /** stdout is a terminal: what goes there must not control it. */
  readonly outIsTerminal: boolean
  readonly columns: number
  /** Aborts when nobody reads stdout any more. */
  readonly outClosed: AbortSignal
  /**
   * Resolves when the piece is written, so that its memory may be used again, or when nobody reads stdout any more.
   * @throws DESTINATION_FULL, DESTINATION_FAILED
   */
  out(piece: string | Uint8Array): Promise<void>
  /** A line to stderr. */
  note(line: string): void
  /** Text as it is to stderr, for the bars. */
  raw(text: string): void
  readonly style: Style
  flush(): Promise<void>
}

export interface Style {
  bold(text: string): string
  dim(text: string): string
  red(text: string): string
  yellow(text: string): string
  green(text: string): string
}

export function openTerminal(flags: OutputFlags, env: Environment): Terminal {
  const { stdin, stdout, stderr } = process
  const dumb = env['TERM'] === 'dumb'
  const closed = new AbortController()
  stdout.on('error', (error: NodeJS.ErrnoException) => {
    // The reader of a pipe left, as `head` does: not an error of ours.
    // Whoever wrote hears of the others.
    if (error.code === 'EPIPE') closed.abort()
  })
  stderr.on('error', () => undefined)
  const colour = stderr.isTTY && !dumb && (env['NO_COLOR'] ?? '') === ''
  return {
    json: flags.json === true,
    quiet: flags.quiet === true,
    verbose: flags.verbose === true,
    interactive: stderr.isTTY && !dumb,
    canAsk: stdin.isTTY && stderr.isTTY,
    outIsTerminal: stdout.isTTY,
    get columns() {
      // A terminal that does not know its width says 0.
      return stderr.isTTY && stderr.columns > 0 ? stderr.columns : 80
    },
    outClosed: closed.signal,
    out: async (piece) => {
      if (closed.signal.aborted || piece.length === 0) return
      if (isFile(stdout.fd)) writeWhole(stdout.fd, piece)
      else await written(stdout, piece, closed.signal)
    },
    note: (line) => {
      stderr.write(`${line}\n`)
    },
    raw: (text) => {
      stderr.write(text)
    },
    style: colour ? COLOURED : PLAIN,
    flush: async () => {
      if (!closed.signal.aborted && stdout.writableLength > 0) await drained(stdout, closed.signal)
      if (stderr.writableLength > 0) await once(stderr, 'drain').catch(() => undefined)
    },
  }
}

function isFile(fd: number): boolean {
  const facts = fstatSync(fd)
  return facts.isFile() || (facts.isCharacterDevice() && !process.stdout.isTTY)
}

/** Node's own stream for files takes a write that was cut short, as one that fills the disk is, for a whole one. */
function writeWhole(fd: number, piece: string | Uint8Array): void {
  const bytes = typeof piece === 'string' ? Buffer.from(piece, 'utf8') : piece
  try {
    for (let at = 0; at < bytes.length;) at += writeSync(fd, bytes, at)
  } catch (cause) {
    throw outputError(cause, 'Standard output')
  }
}

function written(stream: NodeJS.WriteStream, piece: string | Uint8Array, closed: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.write(piece, (error) => {
      if (!error || closed.aborted || (error as NodeJS.ErrnoException).code === 'EPIPE') resolve()
      else reject(outputError(error, 'Standard output'))
    })
  })
}

async function drained(stream: NodeJS.WriteStream, signal: AbortSignal): Promise<void> {
  await once(stream, 'drain', { signal }).catch((error: unknown) => {
    if (!signal.aborted) throw error
  })
}

const paint = (code: number) => (text: string) => `\u001b[${code}m${text}\u001b[0m`
const COLOURED: Style = { bold: paint(1), dim: paint(2), red: paint(31), yellow: paint(33), green: paint(32) }
const plain = (text: string) => text
const PLAIN: Style = { bold: plain, dim: plain, red: plain, yellow: plain, green: plain }
