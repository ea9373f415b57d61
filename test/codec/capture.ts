/** The payload of a real COPY, and what decoders make of it. */
import type { Batch } from '../../src/batch/batch.js'
import { columnFormatter } from '../../src/batch/format-value.js'
import { createCopyDecoder, type CopyDecoderOptions } from '../../src/codec/copy-decoder.js'
import type { DecoderColumn } from '../../src/codec/decoder-column.js'
import { connect } from '../../src/postgres/connect.js'
import { resolveConnection } from '../../src/postgres/resolve-connection.js'

/** What a reader's session sets, as far as texts depend on it. */
export const TEXT_SETTINGS = `SET TimeZone = 'UTC'; SET DateStyle = 'ISO, YMD'; SET IntervalStyle = 'iso_8601';
  SET extra_float_digits = 3; SET bytea_output = 'hex'; SET lc_monetary = 'C'`

/** All payload of `COPY (sql) TO STDOUT (FORMAT binary)`. */
export async function captureCopy(url: string, sql: string): Promise<Buffer> {
  await using connection = await connect(
    await resolveConnection({ url, env: {}, homeDir: '', userName: 'nobody' }),
  )
  await connection.execute(TEXT_SETTINGS)
  const copy = await connection.copyOut(`COPY (${sql}) TO STDOUT (FORMAT binary)`, { stallTimeoutMs: 60_000 })
  const pieces: Buffer[] = []
  while (await copy.next((bytes, start, end) => pieces.push(Buffer.from(bytes.slice(start, end)))));
  return Buffer.concat(pieces)
}

export const DEFAULTS: CopyDecoderOptions = {
  stream: 'public.t',
  maxFieldBytes: 256 * 1024 * 1024,
  batchBytes: 256 * 1024,
  batchRows: 10_000,
}

/** Decodes `bytes`, cut at the ends of `cuts`. */
export function decodeAll(
  columns: readonly DecoderColumn[],
  bytes: Uint8Array,
  options: Partial<CopyDecoderOptions> & { readonly cuts?: readonly number[] } = {},
): Batch[] {
  const decoder = createCopyDecoder(columns, { ...DEFAULTS, ...options })
  const batches: Batch[] = []
  let from = 0
  for (const to of [...(options.cuts ?? []), bytes.length]) {
    decoder.write(bytes, from, to)
    for (let batch = decoder.take(); batch !== null; batch = decoder.take()) batches.push(batch)
    from = to
  }
  const last = decoder.finish()
  if (last !== null) batches.push(last)
  return batches
}

/** Every value as the server prints it, by row. */
export function textsOf(batches: readonly Batch[]): (string | null)[][] {
  return batches.flatMap((batch) => {
    const formats = batch.fields.map((_, index) => columnFormatter(batch, index))
    return Array.from({ length: batch.rowCount }, (_, row) => formats.map((format) => format(row)))
  })
}
