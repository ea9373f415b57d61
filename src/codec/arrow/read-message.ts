/** Arrow's messages read, as far as `message.ts` writes them; what it never writes is refused by name. */
import type { ArrowField, ArrowType } from './field.js'
import { FlatTableView, MalformedArrow } from './read-flatbuffer.js'
import { HEADER, TIME_UNIT, TYPE_TAG, ZSTD, type Block } from './message.js'

export interface FileFooter {
  readonly fields: readonly ArrowField[]
  readonly blocks: readonly Block[]
}

export type ArrowMessage =
  | { readonly kind: 'schema'; readonly fields: readonly ArrowField[] }
  | ({ readonly kind: 'recordBatch'; readonly bodyBytes: number } & RecordBatchHeader)

export interface RecordBatchHeader {
  readonly rowCount: number
  /** Two numbers for each column, depth first: values, nulls among them. */
  readonly nodes: readonly number[]
  /** Two for each buffer: where it is in the body, and its bytes. */
  readonly buffers: readonly number[]
  readonly compressed: boolean
}

/** `bytes`: the flatbuffer behind a message's prefix. @throws MalformedArrow */
export function parseMessage(bytes: Uint8Array): ArrowMessage {
  const message = FlatTableView.root(bytes)
  const tag = message.number(1, 1)
  const header = required(message.table(2), 'a message without a header')
  if (tag === HEADER.schema) return { kind: 'schema', fields: parseSchema(header) }
  if (tag !== HEADER.recordBatch) throw new MalformedArrow(`it has a message of kind ${tag}`)
  const compression = header.table(3)
  if (compression !== null && (compression.number(0, 1) !== ZSTD || compression.number(1, 1) !== 0)) {
    throw new MalformedArrow('its buffers are compressed otherwise than by zstd')
  }
  return {
    kind: 'recordBatch',
    bodyBytes: sizeOf(message.number(3, 8)),
    rowCount: sizeOf(header.number(0, 8)),
    nodes: header.structs(1, 2),
    buffers: header.structs(2, 2),
    compressed: compression !== null,
  }
}

/** @throws MalformedArrow */
export function parseFooter(bytes: Uint8Array): FileFooter {
  const footer = FlatTableView.root(bytes)
  if (footer.structs(2, 3).length > 0) throw new MalformedArrow('it has dictionaries')
  const words = footer.structs(3, 3)
  const blocks: Block[] = []
  for (let at = 0; at < words.length; at += 3) {
    blocks.push({
      offset: sizeOf(words[at]!),
      // An int32, and what fills it up to 64 bits.
      metadataBytes: sizeOf(words[at + 1]! % 2 ** 32),
      bodyBytes: sizeOf(words[at + 2]!),
    })
  }
  const schema = required(footer.table(1), 'a footer without a schema')
  return { fields: parseSchema(schema), blocks }
}

function parseSchema(schema: FlatTableView): readonly ArrowField[] {
  if (schema.number(0, 2) !== 0) throw new MalformedArrow('its numbers are big-endian')
  return schema.tables(1).map((field) => parseField(field, true))
}

function parseField(field: FlatTableView, listAllowed: boolean): ArrowField {
  const name = field.text(0) ?? ''
  if (field.table(4) !== null) throw new MalformedArrow(`column ${name} has a dictionary`)
  const parameters = required(field.table(3), `a column ${name} without a type`)
  const tag = field.number(2, 1)
  if (tag === TYPE_TAG.list) {
    const [element, ...others] = field.tables(5)
    if (!listAllowed || element === undefined || others.length > 0) {
      throw new MalformedArrow(`column ${name} is a list of another kind than Trunkline writes`)
    }
    return { name, type: { kind: 'list', element: parseField(element, false) }, metadata: {} }
  }
  const type = parseType(tag, parameters)
  if (type === null) throw new MalformedArrow(`column ${name} has a type that Trunkline does not write`)
  const metadata = field.tables(6).map((entry) => [entry.text(0) ?? '', entry.text(1) ?? ''] as const)
  return { name, type, metadata: Object.fromEntries(metadata) }
}

/** Days and times have them where they do not say otherwise. */
const MILLISECONDS = 1

/** The inverse of what `message.ts` makes of a type that is no list; null for all others there are. */
function parseType(tag: number, parameters: FlatTableView): ArrowType | null {
  switch (tag) {
    case TYPE_TAG.int: {
      const bits = parameters.number(0, 4)
      const known = bits === 16 || bits === 32 || bits === 64
      return known && parameters.number(1, 1) === 1 ? { kind: 'int', bits } : null
    }
    case TYPE_TAG.float: {
      const precision = parameters.number(0, 2)
      return precision === 1 || precision === 2 ? { kind: 'float', bits: precision === 1 ? 32 : 64 } : null
    }
    case TYPE_TAG.binary:
      return { kind: 'binary' }
    case TYPE_TAG.utf8:
      return { kind: 'utf8' }
    case TYPE_TAG.bool:
      return { kind: 'bool' }
    case TYPE_TAG.decimal:
      return parameters.number(2, 4, 128) === 128
        ? { kind: 'decimal', precision: parameters.number(0, 4), scale: parameters.number(1, 4) }
        : null
    case TYPE_TAG.date:
      return parameters.number(0, 2, MILLISECONDS) === 0 ? { kind: 'date' } : null
    case TYPE_TAG.time:
      return parameters.number(0, 2, MILLISECONDS) === TIME_UNIT.us && parameters.number(1, 4, 32) === 64
        ? { kind: 'time' }
        : null
    case TYPE_TAG.timestamp: {
      const unit = parameters.number(0, 2)
      const zone = parameters.text(1)
      if (zone !== null && zone !== 'UTC') return null
      if (unit !== TIME_UNIT.us && unit !== TIME_UNIT.ns) return null
      return { kind: 'timestamp', unit: unit === TIME_UNIT.us ? 'us' : 'ns', zone }
    }
    case TYPE_TAG.interval:
      return parameters.number(0, 2) === 2 ? { kind: 'interval' } : null
    case TYPE_TAG.fixed:
      return { kind: 'fixed', bytes: parameters.number(0, 4) }
    default:
      return null
  }
}

function required(table: FlatTableView | null, lack: string): FlatTableView {
  if (table === null) throw new MalformedArrow(`it has ${lack}`)
  return table
}

function sizeOf(value: number): number {
  if (value < 0) throw new MalformedArrow('its metadata has a size below zero')
  return value
}
