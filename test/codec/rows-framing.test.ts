/** Rows alone, as the DataRows of a query have them: the same as those between the header and the trailer of a COPY. */
import { describe, expect, it } from 'vitest'
import type { Batch } from '../../src/batch/batch.js'
import { createCopyDecoder, type CopyDecoderOptions } from '../../src/codec/copy-decoder.js'
import { DATA_ROW_TYPE } from '../../src/model/copy-message.js'
import { captureError } from './capture-error.js'
import { DEFAULTS, decodeAll } from './capture.js'
import { HEADER, TRAILER, decoderColumn, encodeRow, int32 } from './encode-copy.js'
import { GOLDEN_BYTES, GOLDEN_COLUMNS } from './golden.js'

const ROWS = Buffer.from(GOLDEN_BYTES).subarray(HEADER.length, GOLDEN_BYTES.length - TRAILER.length)

function decodeRows(
  bytes: Uint8Array,
  options: Partial<CopyDecoderOptions> & { readonly cut?: number } = {},
): Batch[] {
  const { cut = bytes.length, ...others } = options
  const decoder = createCopyDecoder(GOLDEN_COLUMNS, { ...DEFAULTS, framing: 'rows', ...others })
  const batches: Batch[] = []
  for (const piece of [bytes.subarray(0, cut), bytes.subarray(cut)]) {
    decoder.write(piece, 0, piece.length)
    for (let batch = decoder.take(); batch !== null; batch = decoder.take()) batches.push(batch)
  }
  const last = decoder.finish()
  return last === null ? batches : [...batches, last]
}

describe.each(['always', 'never'] as const)('rows alone, code generated: %s', (codeGeneration) => {
  const whole = decodeAll(GOLDEN_COLUMNS, Buffer.from(GOLDEN_BYTES), { codeGeneration })

  it('decode as those of a COPY, cut anywhere', () => {
    for (let cut = 0; cut <= ROWS.length; cut++)
      expect(decodeRows(ROWS, { cut, codeGeneration }), `cut at ${cut}`).toEqual(whole)
  })

  it('are taken in runs of DataRow messages, and not of CopyData', () => {
    const column = decoderColumn('int4')
    const row = encodeRow([int32(7)])
    const messageOf = (type: number): Buffer =>
      Buffer.concat([Buffer.from([type]), int32(4 + row.length), row])
    const decoder = createCopyDecoder([column], { ...DEFAULTS, framing: 'rows', codeGeneration })
    const run = Buffer.concat([messageOf(DATA_ROW_TYPE), messageOf(DATA_ROW_TYPE), messageOf(0x64)])
    expect(decoder.writeMessages(run, 0, run.length)).toBe(2 * (5 + row.length))
    expect(decoder.rows).toBe(2)
    expect(decoder.bytes).toBe(2 * row.length)
  })
})

describe('rows alone', () => {
  it('that end within a row are incomplete', () => {
    for (let length = 1; length < ROWS.length; length++) {
      const bytes = ROWS.subarray(0, length)
      const rows = countWhole(length)
      if (rows !== null) expect(decodeRows(bytes).reduce((sum, batch) => sum + batch.rowCount, 0)).toBe(rows)
      else expect(captureError(() => decodeRows(bytes)).code, `${length} bytes`).toBe('COPY_INCOMPLETE')
    }
  })

  it('have neither header nor trailer', () => {
    expect(captureError(() => decodeRows(GOLDEN_BYTES)).code).toBe('DECODE_FAILED')
    expect(captureError(() => decodeRows(Buffer.concat([ROWS, TRAILER]))).code).toBe('DECODE_FAILED')
  })
})

/** Rows in the first bytes; null where the last one is cut. */
function countWhole(length: number): number | null {
  let at = 0
  let rows = 0
  while (at < length) {
    let fields = ROWS.readInt16BE(at)
    at += 2
    for (; fields > 0; fields--) at += 4 + Math.max(0, ROWS.readInt32BE(at))
    rows++
  }
  return at === length ? rows : null
}
