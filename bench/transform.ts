/**
 * Processor seconds per million rows of what is done to rows on their way, each kind alone, on batches of eight columns. Rounds of all
 * kinds take turns, and the best of each counts: other work on the machine only adds.
 *
 *   npx tsx bench/transform.ts [rounds]
 */
import { buildBatch } from '../src/batch/build-batch.js'
import type { Field } from '../src/model/column-type.js'
import type { StreamOptions } from '../src/model/sync-spec.js'
import { createRowTransform } from '../src/transform/transform-batch.js'
import { parseTransforms } from '../src/transform/transform-spec.js'

const rounds = Number(process.argv[2] ?? 8)
const ROWS = 50_000
const BATCHES = 2

const FIELDS: readonly Field[] = [
  { name: 'id', type: { kind: 'int', bits: 64 }, nullable: false },
  { name: 'email', type: { kind: 'text' }, nullable: true },
  { name: 'region', type: { kind: 'text' }, nullable: true },
  { name: 'total', type: { kind: 'decimal', precision: 12, scale: 2 }, nullable: true },
  { name: 'placed_at', type: { kind: 'timestamp', utc: true }, nullable: true },
  { name: 'items', type: { kind: 'int', bits: 32 }, nullable: true },
  { name: 'paid', type: { kind: 'bool' }, nullable: true },
  { name: 'note', type: { kind: 'text' }, nullable: true },
]

const KINDS: Readonly<Record<string, StreamOptions>> = {
  rename: { rename: { email: 'mail' } },
  'three added columns': {
    addColumns: { country: 'de', at: { from: 'run_at' }, seconds: { from: 'epoch_seconds' } },
  },
  'row_id of a key': { addColumns: { row_id: { from: 'row_id' } } },
  'mask null': { mask: { email: 'null' } },
  'mask redact': { mask: { email: 'redact' } },
  'mask partial': { mask: { email: 'partial' } },
  'mask hash': { mask: { email: 'hash' } },
  'mask hmac': { mask: { email: 'hmac:a secret of enough characters' } },
  'a hook that changes nothing': { transformRow: (row) => row },
  'a hook that changes one text': {
    transformRow: (row) => ({ ...row, region: row['region'] === 'fdx55' ? 'eu' : 'Europe' }),
  },
}

const batch = buildBatch(
  FIELDS,
  Array.from({ length: ROWS }, (_, row) => [
    BigInt(row),
    `user${row}@example.org`,
    row % 3 === 0 ? 'weg45' : 'fdx55',
    `${row}.25`,
    '2024-01-31T12:00:00Z',
    row,
    row % 2 === 0,
    `a note of some length, number ${row}`,
  ]),
)

const cases = Object.entries(KINDS).map(([name, options]) => {
  const columns = FIELDS.map((field) => field.name)
  const { spec } = parseTransforms(options, { stream: 'public.orders', columns, foldName: (text) => text })
  const whole = { key: ['id'], mayDrop: true, runAtMs: 0 }
  return { name, transform: createRowTransform(spec, FIELDS, whole), best: Number.POSITIVE_INFINITY }
})
for (let round = 0; round < rounds; round++) {
  for (const each of cases) {
    const started = process.cpuUsage()
    for (let count = 0; count < BATCHES; count++) each.transform.apply(batch)
    const { user, system } = process.cpuUsage(started)
    each.best = Math.min(each.best, (user + system) / (BATCHES * ROWS))
  }
}
for (const { name, best } of cases)
  process.stdout.write(`${name.padEnd(30)} ${best.toFixed(2).padStart(6)} s\n`)
