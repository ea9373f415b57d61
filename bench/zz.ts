import { createCopyDecoder } from '../src/codec/copy-decoder.js'
import { captureOf } from './captures.js'
const name = process.argv[2] as 'lineitem',
  step = Number(process.argv[3]),
  mode = process.argv[4] as 'auto'
const cap = captureOf(name, 200000)
const head = new Uint8Array(19)
head.set([0x50, 0x47, 0x43, 0x4f, 0x50, 0x59, 0x0a, 0xff, 0x0d, 0x0a, 0x00])
const all = new Uint8Array(Buffer.concat([head, ...cap.rows, Uint8Array.of(255, 255)]))
const columns = cap.columns
const n = cap.rows.length
;(cap as any).rows = null

const d = createCopyDecoder(columns, {
  stream: 'x',
  maxFieldBytes: 1e9,
  batchBytes: 8 << 20,
  batchRows: 122880,
  codeGeneration: mode,
})
d.write(head, 0, 19)
for (let it = 0; it < 16; it++) {
  const t = performance.now()
  for (let i = 19; i < all.length - 2; i += step) {
    d.write(all, i, Math.min(all.length - 2, i + step))
    while (d.take());
  }
  process.stdout.write((n / (performance.now() - t) / 1000).toFixed(2) + ' ')
}
console.log()
