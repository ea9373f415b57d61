/** Reads the Arrow IPC files and streams that `arrow-ipc.ts` writes, one record batch at a time. What Arrow has beyond that is refused. */
import type { Batch } from '../batch/batch.js'
import type { Field } from '../model/column-type.js'
import { MAGIC, MAGIC_BYTES } from './arrow-ipc.js'
import { toArrowField, type ArrowField, type ArrowType } from './arrow/field.js'
import { CONTINUATION, PREFIX_BYTES, type Block } from './arrow/message.js'
import { toBatch, type WantedColumn } from './arrow/read-batch.js'
import { MalformedArrow } from './arrow/read-flatbuffer.js'
import { parseFooter, parseMessage, type ArrowMessage } from './arrow/read-message.js'
import type { Expand } from './compression/join-pieces.js'

export { MalformedArrow } from './arrow/read-flatbuffer.js'

/** Bytes that can be read from anywhere. */
export interface ArrowBytes {
  readonly length: number
  /** Fills the target with what begins there; only asked for what there is. */
  read(target: Uint8Array, position: number): Promise<void>
}

export interface ArrowReadOptions {
  /** Columns that the batches have, in this order: found by name, all null where the bytes have no such column. */
  readonly fields: readonly Field[]
  /** Names that fold to the same are the same; default: only those that are equal. */
  readonly foldName?: (name: string) => string
  /** Zstandard; null: compressed buffers are an error. */
  readonly expand: Expand | null
}

/**
 * A batch for each record batch, in memory of its own.
 * @throws MalformedArrow where the bytes are not such a file or stream, whole, with columns of these types; what `read` throws
 */
export async function* readArrow(bytes: ArrowBytes, options: ArrowReadOptions): AsyncGenerator<Batch> {
  let columns: readonly ArrowField[] | null = null
  let wanted: readonly WantedColumn[] = []
  for await (const part of (await isFile(bytes)) ? readFile(bytes) : readStream(bytes)) {
    if (columns === null) {
      if (part.kind !== 'schema') throw new MalformedArrow('it has rows before its schema')
      columns = part.fields
      wanted = options.fields.map((field) => findColumn(part.fields, field, options.foldName))
      continue
    }
    if (part.kind === 'schema') throw new MalformedArrow('it has two schemas')
    const types: readonly ArrowType[] = columns.map(({ type }) => type)
    yield toBatch({ header: part, body: part.body, types, wanted, expand: options.expand })
  }
}

type Part =
  | Extract<ArrowMessage, { kind: 'schema' }>
  | (Extract<ArrowMessage, { kind: 'recordBatch' }> & { readonly body: Uint8Array })

/** A stream begins with the bits of its first message. */
async function isFile(bytes: ArrowBytes): Promise<boolean> {
  if (bytes.length < MAGIC_BYTES) throw new MalformedArrow('it is too short for Arrow')
  return sameBytes(await readBytes(bytes, 0, MAGIC.length), MAGIC)
}

/** By its footer, as who reads parts of a file does. */
async function* readFile(bytes: ArrowBytes): AsyncGenerator<Part> {
  const tailBytes = 4 + MAGIC.length
  if (bytes.length < MAGIC_BYTES + tailBytes) throw new MalformedArrow('it was cut off')
  const tail = await readBytes(bytes, bytes.length - tailBytes, tailBytes)
  if (!sameBytes(tail.subarray(4), MAGIC))
    throw new MalformedArrow('it does not end as a whole Arrow file does')
  const footerBytes = viewOf(tail).getInt32(0, true)
  const footerStart = bytes.length - tailBytes - footerBytes
  if (footerBytes < 0 || footerStart < MAGIC_BYTES) throw new MalformedArrow('its footer lies outside of it')
  const { fields, blocks } = parseFooter(await readBytes(bytes, footerStart, footerBytes))
  yield { kind: 'schema', fields }
  let end = MAGIC_BYTES
  for (const block of blocks) {
    if (block.offset < end) throw new MalformedArrow('its record batches lie one over the other')
    end = block.offset + block.metadataBytes + block.bodyBytes
    const part = await readMessage(bytes, block.offset, footerStart)
    const { offset, metadataBytes, bodyBytes }: Block = block
    if (part?.message.kind !== 'recordBatch' || part.end !== offset + metadataBytes + bodyBytes) {
      throw new MalformedArrow('its footer names a record batch that is not there')
    }
    yield part.message
  }
}

async function* readStream(bytes: ArrowBytes): AsyncGenerator<Part> {
  let position = 0
  for (;;) {
    const part = await readMessage(bytes, position, bytes.length)
    if (part === null) break
    yield part.message
    position = part.end
  }
  if (position + PREFIX_BYTES !== bytes.length) throw new MalformedArrow('it goes on behind its end')
  if (position === 0) throw new MalformedArrow('it has no schema')
}

/** Null: the stream ends here. */
async function readMessage(
  bytes: ArrowBytes,
  start: number,
  limit: number,
): Promise<{ readonly message: Part; readonly end: number } | null> {
  const cut = (end: number): void => {
    if (end > limit) throw new MalformedArrow('it was cut off')
  }
  const bodyStart = start + PREFIX_BYTES
  cut(bodyStart)
  const prefix = viewOf(await readBytes(bytes, start, PREFIX_BYTES))
  const metadataBytes = prefix.getInt32(4, true)
  if (prefix.getInt32(0, true) !== CONTINUATION || metadataBytes < 0) {
    throw new MalformedArrow('a message does not begin as one')
  }
  if (metadataBytes === 0) return null
  cut(bodyStart + metadataBytes)
  const message = parseMessage(await readBytes(bytes, bodyStart, metadataBytes))
  const end = bodyStart + metadataBytes
  if (message.kind === 'schema') return { message, end }
  cut(end + message.bodyBytes)
  const body = await readBytes(bytes, end, message.bodyBytes)
  return { message: { ...message, body }, end: end + message.bodyBytes }
}

async function readBytes(bytes: ArrowBytes, position: number, length: number): Promise<Uint8Array> {
  const target = new Uint8Array(length)
  if (length > 0) await bytes.read(target, position)
  return target
}

function findColumn(
  columns: readonly ArrowField[],
  field: Field,
  foldName = (name: string): string => name,
): WantedColumn {
  const folded = foldName(field.name)
  const index = columns.findIndex(({ name }) => foldName(name) === folded)
  const found = columns[index]
  if (found === undefined) return { field, index: null }
  const [has, wanted] = [describeType(found), describeType(toArrowField(field))]
  if (has === wanted) return { field, index }
  throw new MalformedArrow(`column ${field.name} is ${has} there, not ${wanted}`)
}

/** As text that differs where types do. */
function describeType({ type, metadata }: ArrowField): string {
  const extension = metadata['ARROW:extension:name']
  const name = extension === undefined ? '' : ` (${extension})`
  if (type.kind === 'list') return `list of ${describeType(type.element)}`
  const { kind, ...parameters } = type
  const stated = Object.values(parameters).filter((value) => value !== null)
  return stated.length === 0 ? `${kind}${name}` : `${kind}(${stated.join(',')})${name}`
}

function sameBytes(left: Uint8Array, right: Uint8Array): boolean {
  return left.every((byte, index) => byte === right[index])
}

function viewOf({ buffer, byteOffset, byteLength }: Uint8Array): DataView {
  return new DataView(buffer, byteOffset, byteLength)
}
