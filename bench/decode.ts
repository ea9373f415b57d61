/**
 * Rows per second of processor time of the COPY decoder, on captures made in memory: one CopyData payload (one row) per write, out of
 * 8 KiB reads, as a server sends them. Processor time, so that other work on the machine disturbs less.
 *
 *   npx tsx bench/decode.ts [seconds per case]
 */
import { createCopyDecoder } from '../src/codec/copy-decoder.js'
import type { DecoderColumn } from '../src/codec/decoder-column.js'
import { captureOf } from './captures.js'

const seconds = Number(process.argv[2] ?? 2)
const READ_BYTES = 8192
/** At least as many runs, of which the first do not count: they compile, and collect what making the capture left. */
const RUNS = 12
const WARMUP_RUNS = 3

for (const name of ['lineitem', 'events', 'narrow'] as const) {
  const { columns, reads, rowCount } = readsOf(name)
  for (const codeGeneration of ['auto', 'never'] as const) {
    const results: number[] = []
    const until = performance.now() + seconds * 1000
    do {
      const started = process.cpuUsage()
      const decoded = decodeAll(columns, reads, codeGeneration)
      if (decoded !== rowCount) throw new Error(`decoded ${decoded} of ${rowCount} rows`)
      const { user, system } = process.cpuUsage(started)
      results.push(rowCount / (user + system))
    } while (performance.now() < until || results.length < RUNS)
    results.splice(0, WARMUP_RUNS)
    results.sort((a, b) => a - b)
    const label = codeGeneration === 'auto' ? 'generated' : 'interpreted'
    const median = results[results.length >> 1]!
    process.stdout.write(
      `${name.padEnd(9)} ${label.padEnd(12)} ${median.toFixed(1).padStart(6)} Mrow/s  (best ${results.at(-1)!.toFixed(1)})\n`,
    )
  }
}

interface Read {
  readonly bytes: Uint8Array
  /** Payload bounds: start, end, start, end… */
  readonly bounds: Int32Array
}

/** Without the rows themselves: hundreds of thousands of arrays would be walked by every garbage collection. */
function readsOf(name: 'lineitem' | 'events' | 'narrow'): {
  columns: readonly DecoderColumn[]
  reads: Read[]
  rowCount: number
} {
  const { columns, rows } = captureOf(name, 300_000)
  return { columns, reads: cutIntoReads(rows), rowCount: rows.length }
}

/** Frames every row as CopyData and cuts the stream of frames every 8 KiB. */
function cutIntoReads(rows: readonly Uint8Array[]): Read[] {
  const reads: Read[] = []
  let bytes = new Uint8Array(READ_BYTES)
  let bounds: number[] = []
  let at = 0
  const flush = (): void => {
    reads.push({ bytes, bounds: Int32Array.from(bounds) })
    bytes = new Uint8Array(READ_BYTES)
    bounds = []
    at = 0
  }
  for (const row of rows) {
    at += Math.min(5, READ_BYTES - at)
    for (let from = 0; from < row.length;) {
      if (at === READ_BYTES) flush()
      const count = Math.min(row.length - from, READ_BYTES - at)
      bytes.set(row.subarray(from, from + count), at)
      bounds.push(at, at + count)
      at += count
      from += count
    }
  }
  flush()
  return reads
}

function decodeAll(
  columns: readonly DecoderColumn[],
  reads: readonly Read[],
  codeGeneration: 'auto' | 'never',
): number {
  const decoder = createCopyDecoder(columns, {
    stream: 'bench',
    maxFieldBytes: 256 << 20,
    batchBytes: 8 << 20,
    batchRows: 122_880,
    codeGeneration,
  })
  const header = new Uint8Array(19)
  header.set([0x50, 0x47, 0x43, 0x4f, 0x50, 0x59, 0x0a, 0xff, 0x0d, 0x0a, 0x00])
  decoder.write(header, 0, header.length)
  for (const { bytes, bounds } of reads) {
    for (let i = 0; i < bounds.length; i += 2) decoder.write(bytes, bounds[i]!, bounds[i + 1]!)
    while (decoder.take() !== null);
  }
  decoder.write(Uint8Array.of(0xff, 0xff), 0, 2)
  decoder.finish()
  return decoder.rows
}
