/**
 * Processor seconds for a million rows of the encoders that write rows, on batches decoded from captures made in memory. Nothing is
 * written anywhere.
 *
 *   npx tsx bench/encode.ts [seconds per case]
 */
import type { Batch } from '../src/batch/batch.js'
import { createCopyDecoder } from '../src/codec/copy-decoder.js'
import { createRowOutput, ROW_FORMATS } from '../src/row-output.js'
import { captureOf } from './captures.js'

const seconds = Number(process.argv[2] ?? 2)
const RUNS = 8
/** They compile. */
const WARMUP_RUNS = 3

for (const name of ['lineitem', 'events', 'narrow'] as const) {
  const batches = batchesOf(name)
  const rowCount = batches.reduce((sum, batch) => sum + batch.rowCount, 0)
  for (const format of ROW_FORMATS) {
    const results: number[] = []
    const lengths: number[] = []
    const until = performance.now() + seconds * 1000
    do {
      const started = process.cpuUsage()
      lengths.push(encode(batches, format))
      const { user, system } = process.cpuUsage(started)
      results.push((user + system) / rowCount)
    } while (performance.now() < until || results.length < RUNS)
    const [best = 0, ...others] = results.slice(WARMUP_RUNS).sort((a, b) => a - b)
    const median = others[others.length >> 1] ?? best
    process.stdout.write(
      `${name.padEnd(9)} ${format.padEnd(6)} ${median.toFixed(2).padStart(6)} s per million rows (best ${best.toFixed(2)}), ${Math.round((lengths[0] ?? 0) / rowCount)} bytes a row\n`,
    )
  }
}

function encode(batches: readonly Batch[], format: (typeof ROW_FORMATS)[number]): number {
  const output = createRowOutput(format, batches[0]?.fields ?? [])
  let bytes = 0
  const take = (encoded: Iterable<readonly Uint8Array[]>): void => {
    for (const pieces of encoded) for (const piece of pieces) bytes += piece.length
  }
  for (const batch of batches) take(output.add({ batch, start: 0, count: batch.rowCount }))
  take(output.end())
  return bytes
}

function batchesOf(name: 'lineitem' | 'events' | 'narrow'): readonly Batch[] {
  const { columns, rows } = captureOf(name, 100_000)
  const decoder = createCopyDecoder(columns, {
    stream: name,
    maxFieldBytes: 1024 * 1024,
    batchBytes: 8 * 1024 * 1024,
    batchRows: 122_880,
  })
  const header = new Uint8Array(19)
  header.set([0x50, 0x47, 0x43, 0x4f, 0x50, 0x59, 0x0a, 0xff, 0x0d, 0x0a, 0x00])
  decoder.write(header, 0, header.length)
  const batches: Batch[] = []
  for (const row of rows) {
    decoder.write(row, 0, row.length)
    for (let batch = decoder.take(); batch !== null; batch = decoder.take()) batches.push(batch)
  }
  decoder.write(Uint8Array.of(0xff, 0xff), 0, 2)
  const last = decoder.finish()
  return last === null ? batches : [...batches, last]
}
