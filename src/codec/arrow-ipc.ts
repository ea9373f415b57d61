/**
 * Arrow IPC (https://arrow.apache.org/docs/format/Columnar.html#serialization-and-interprocess-communication-ipc), written
 * straight over the batches' memory, each batch as a record batch:
 *
 *   stream:  schema message, record batch messages, end of stream
 *   file:    "ARROW1" and two NULs, a stream, the footer (a flatbuffer), i32 its length, "ARROW1"
 */
import type { RowRange } from '../batch/row-range.js'
import type { Field } from '../model/column-type.js'
import { toArrowField } from './arrow/field.js'
import {
  encodeEndOfStream,
  encodeFooter,
  encodeRecordBatch,
  encodeSchemaMessage,
  schemaTable,
  type Block,
} from './arrow/message.js'
import type { Compress } from './compression/compressor.js'

export type ArrowFraming = 'file' | 'stream'

/** Pieces to be written one after the other, those of the schema with the first of all. */
export interface ArrowEncoder {
  /** Over the batch's memory: write them before that is used again. @throws VALUE_UNREPRESENTABLE for some intervals */
  add(rows: RowRange): Iterable<readonly Uint8Array[]>
  /** Without it a reader knows that what it has was cut. */
  end(): Iterable<readonly Uint8Array[]>
}

export interface ArrowOptions {
  readonly framing: ArrowFraming
  /** Of the schema. */
  readonly metadata?: Readonly<Record<string, string>>
  /** Zstandard, of each buffer. */
  readonly compress?: Compress | null
}

export const MAGIC = new TextEncoder().encode('ARROW1')
/** Everything begins at a multiple of 8. */
export const MAGIC_BYTES = 8

export function createArrowEncoder(
  fields: readonly Field[],
  { framing, metadata = {}, compress = null }: ArrowOptions,
): ArrowEncoder {
  const schema = schemaTable(fields.map(toArrowField), metadata)
  const blocks: Block[] = []
  let offset = 0
  const begin = (): Uint8Array[] => {
    if (offset > 0) return []
    const message = encodeSchemaMessage(schema)
    const magic = new Uint8Array(framing === 'file' ? MAGIC_BYTES : 0)
    if (framing === 'file') magic.set(MAGIC)
    offset = magic.length + message.length
    return [magic, message]
  }
  return {
    *add(rows) {
      if (rows.count === 0) return
      const opening = begin()
      const { pieces, metadataBytes, bodyBytes } = encodeRecordBatch(rows, compress)
      if (framing === 'file') blocks.push({ offset, metadataBytes, bodyBytes })
      offset += metadataBytes + bodyBytes
      yield [...opening, ...pieces]
    },
    *end() {
      const pieces = [...begin(), encodeEndOfStream()]
      if (framing === 'stream') yield pieces
      else yield [...pieces, ...encodeTail(encodeFooter(schema, blocks))]
    },
  }
}

function encodeTail(footer: Uint8Array): readonly Uint8Array[] {
  const tail = new Uint8Array(4 + MAGIC.length)
  new DataView(tail.buffer).setInt32(0, footer.length, true)
  tail.set(MAGIC, 4)
  return [footer, tail]
}
