/**
 * Reads COPY BINARY one step after the other, from pieces that may end anywhere, and says exactly what is wrong where.
 *
 *   header   11 bytes `PGCOPY\n\xff\r\n\0`, int32 flags, int32 extension length, extension
 *   row      int16 field count, then per field int32 length (−1 = null) and that many bytes
 *   trailer  int16 −1, and nothing after it
 *
 * The rows of a query come without header and trailer.
 *
 * From https://www.postgresql.org/docs/current/sql-copy.html, "Binary Format". Flags 16 to 31 are critical; bit 16 said that
 * rows carry oids, which no supported server sends. This is the whole decoder: generated code only goes faster over rows
 * that lie complete and ordinary in one piece, and leaves everything else to it.
 */
import { DecodeError, TrunklineError, type ErrorContext } from '../model/error.js'
import { appendPiece, growText, type ArenaColumn, type BatchArena } from './batch-arena.js'
import type { DecoderColumn } from './decoder-column.js'
import { elementBytes, roomForElements } from './list-elements.js'
import { MALFORMED, MAX_NUMERIC_BYTES, STORED } from './numeric.js'
import { storeField, storeNull } from './store-field.js'
import { DIMENSION_BYTES, elementDecoder, LIST_HEAD_BYTES, UNKNOWN_FLAGS } from './store-list.js'
import { WIRE_FORMATS } from './wire-format.js'

const SIGNATURE = Uint8Array.of(0x50, 0x47, 0x43, 0x4f, 0x50, 0x59, 0x0a, 0xff, 0x0d, 0x0a, 0x00)
export const COPY_HEADER_BYTES = 19
const OIDS_FLAG = 0x10000
const CRITICAL_FLAGS = 0xffff0000
/** A header extension is skipped, whatever its length, but one this long is no header of ours. */
const MAX_EXTENSION_BYTES = 1024 * 1024
const NULL_LENGTH = -1
/** MAXDIM. */
const MAX_DIMENSIONS = 6

/** The header whose {@link COPY_HEADER_BYTES} begin at `pos`: how many bytes its extension has. @throws DECODE_FAILED */
export function readCopyHeader(view: DataView, pos: number, stream: string): number {
  const here = { stream, byteOffset: 0 }
  for (let i = 0; i < SIGNATURE.length; i++) {
    if (view.getUint8(pos + i) !== SIGNATURE[i]) {
      throw new DecodeError(`${stream}: this is not COPY data in binary format.`, here)
    }
  }
  const flags = view.getUint32(pos + 11)
  if ((flags & OIDS_FLAG) !== 0) {
    throw new DecodeError(`${stream}: the rows carry oids, which is not supported.`, here)
  }
  if ((flags & CRITICAL_FLAGS) !== 0) {
    throw new DecodeError(`${stream}: the COPY header has unknown flags.`, here)
  }
  const extension = view.getUint32(pos + 15)
  if (extension > MAX_EXTENSION_BYTES) {
    throw new DecodeError(`${stream}: the COPY header has an extension of ${extension} bytes.`, here)
  }
  return extension
}

/** What the next bytes are. */
type Expects =
  | 'header'
  | 'extension'
  | 'row'
  | 'length'
  | 'field'
  | 'text'
  | 'listHead'
  | 'dimension'
  | 'elementLength'
  | 'element'
  | 'elementText'
  | 'end'

export interface RowReader {
  /** Reads to the end of the piece or of a row, whichever comes first, and returns how far. @throws what CopyDecoder.write does */
  read(bytes: Uint8Array, view: DataView, start: number, end: number): number
  /** Whether the next byte is the first of a row or of the trailer. */
  readonly atRow: boolean
  /** Whether the trailer was read. */
  readonly atEnd: boolean
}

/** `offsetOf(pos)`: the place in the whole stream of a place in the present piece. */
export function createRowReader(
  decoders: readonly DecoderColumn[],
  arena: BatchArena,
  options: {
    readonly maxFieldBytes: number
    readonly framing: 'copy' | 'rows'
    readonly offsetOf: (pos: number) => number
  },
): RowReader {
  const { maxFieldBytes, framing, offsetOf } = options
  const { columns, stream } = arena

  let expects: Expects = framing === 'copy' ? 'header' : 'row'
  /** Bytes still to come of the extension or the text. */
  let remaining = 0
  let field = 0
  let length = 0
  let versionPending = false
  let textInPieces = false
  /** Where the present field, or the present element of a list, starts in the stream. */
  let fieldOffset = 0
  const elementDecoders = decoders.map(elementDecoder)
  /** Bytes and elements still to come of the list. */
  let listBytes = 0
  let elementsLeft = 0

  /** The head of something small that the last piece ended inside of. */
  let held = new Uint8Array(64)
  let heldView = new DataView(held.buffer)
  let heldLength = 0
  /** Where the last {@link gather} found its bytes. */
  let source: DataView = heldView
  let sourcePos = 0

  /** Moves on over `count` bytes if they are all there, in the piece or together with what is held; else holds what is. */
  function gather(bytes: Uint8Array, view: DataView, pos: number, end: number, count: number): boolean {
    if (heldLength === 0 && end - pos >= count) {
      source = view
      sourcePos = pos
      position = pos + count
      return true
    }
    const taken = Math.min(count - heldLength, end - pos)
    if (heldLength + taken > held.length) {
      const grown = new Uint8Array(Math.max(2 * held.length, heldLength + taken))
      grown.set(held.subarray(0, heldLength))
      held = grown
      heldView = new DataView(held.buffer)
    }
    held.set(bytes.subarray(pos, pos + taken), heldLength)
    heldLength += taken
    position = pos + taken
    if (heldLength < count) return false
    heldLength = 0
    source = heldView
    sourcePos = 0
    return true
  }

  let position = 0

  function read(bytes: Uint8Array, view: DataView, start: number, end: number): number {
    position = start
    while (position < end) {
      switch (expects) {
        case 'header':
          if (gather(bytes, view, position, end, COPY_HEADER_BYTES)) readHeader()
          break
        case 'extension': {
          const skipped = Math.min(remaining, end - position)
          remaining -= skipped
          position += skipped
          if (remaining === 0) expects = 'row'
          break
        }
        case 'row':
          if (gather(bytes, view, position, end, 2) && readFieldCount()) return position
          break
        case 'length':
          if (gather(bytes, view, position, end, 4) && readLength()) return position
          break
        case 'field':
          if (gather(bytes, view, position, end, length) && readField()) return position
          break
        case 'text':
          if (readText(bytes, end)) return position
          break
        case 'listHead':
          if (gather(bytes, view, position, end, LIST_HEAD_BYTES) && readListHead()) return position
          break
        case 'dimension':
          if (gather(bytes, view, position, end, DIMENSION_BYTES) && readDimension()) return position
          break
        case 'elementLength':
          if (gather(bytes, view, position, end, 4) && readElementLength()) return position
          break
        case 'element':
          if (gather(bytes, view, position, end, length) && readElement()) return position
          break
        case 'elementText':
          if (readText(bytes, end)) return position
          break
        case 'end':
          throw new DecodeError(`${stream}: bytes follow the end of the COPY data.`, {
            stream,
            byteOffset: offsetOf(position),
          })
      }
    }
    return position
  }

  function readHeader(): void {
    remaining = readCopyHeader(source, sourcePos, stream)
    expects = remaining === 0 ? 'row' : 'extension'
  }

  /** True when that was a whole row, or the trailer. */
  function readFieldCount(): boolean {
    const count = source.getInt16(sourcePos)
    if (count === -1 && framing === 'copy') {
      expects = 'end'
      return true
    }
    if (count !== columns.length) {
      throw new DecodeError(`${stream}: a row has ${count} fields instead of ${columns.length}.`, {
        stream,
        byteOffset: offsetOf(position) - 2,
        rowNumber: rowNumber(),
      })
    }
    field = 0
    if (count === 0) return endRow()
    expects = 'length'
    return false
  }

  function readLength(): boolean {
    const decoder = decoders[field]!
    const column = columns[field]!
    const row = arena.rowCount
    fieldOffset = offsetOf(position)
    length = source.getInt32(sourcePos)
    if (length === NULL_LENGTH) {
      storeNull(column, row)
      return endField()
    }
    if (length < 0) throw malformed(`its length is ${length}`)
    // Generated code may have marked the row null before it left it to us.
    if (column.hasNull) column.validity[row >> 3]! |= 1 << (row & 7)
    if (column.variable || column.elements !== null) {
      if (length > maxFieldBytes) {
        throw new TrunklineError(
          'FIELD_TOO_LARGE',
          `${stream}, field ${column.field.name}, row ${rowNumber()}: the value has ${length} bytes, and max_field_bytes is ${maxFieldBytes}.`,
          {
            hint: 'Raise max_field_bytes, or leave the column out with exclude_columns.',
            context: context(),
          },
        )
      }
      if (column.elements !== null) {
        if (length < LIST_HEAD_BYTES) throw malformed(`its length is ${length}`)
        listBytes = length - LIST_HEAD_BYTES
        expects = 'listHead'
        return false
      }
      beginText(decoder)
      textInPieces = length >= arena.largeBytes
      if (length === 0) return endText(column)
      expects = 'text'
      return false
    }
    checkLength(decoder)
    expects = 'field'
    return false
  }

  function beginText(decoder: DecoderColumn): void {
    versionPending = decoder.wire === 'jsonb'
    if (versionPending && length < 2) throw malformed('it is empty')
    remaining = length
  }

  /** Of a value that is no text. */
  function checkLength(decoder: DecoderColumn): void {
    const expected = WIRE_FORMATS[decoder.wire].length
    if (expected !== null ? length !== expected : length > MAX_NUMERIC_BYTES) {
      throw malformed(
        expected === null ? `its length is ${length}` : `its length is ${length} instead of ${expected}`,
      )
    }
    if (length === 0) throw malformed('it is empty')
  }

  function readListHead(): boolean {
    const dimensions = source.getInt32(sourcePos)
    const flags = source.getInt32(sourcePos + 4)
    if ((flags & UNKNOWN_FLAGS) !== 0) throw malformed(`its flags are ${flags}`)
    if (dimensions < 0 || dimensions > MAX_DIMENSIONS) throw malformed(`it has ${dimensions} dimensions`)
    if (dimensions > 1) throw severalDimensions(dimensions)
    if (dimensions === 1 && listBytes < DIMENSION_BYTES) throw malformed('it ends in its head')
    elementsLeft = 0
    if (dimensions === 0) return endElements()
    listBytes -= DIMENSION_BYTES
    expects = 'dimension'
    return false
  }

  function readDimension(): boolean {
    elementsLeft = source.getInt32(sourcePos)
    if (elementsLeft < 0 || elementsLeft > listBytes / 4) {
      throw malformed(`it has ${listBytes} bytes for ${elementsLeft} elements`)
    }
    return nextElement()
  }

  function nextElement(): boolean {
    if (elementsLeft === 0) return endElements()
    expects = 'elementLength'
    return false
  }

  function readElementLength(): boolean {
    const column = columns[field]!
    const decoder = elementDecoders[field]!
    // One by one, as they arrive: the number of elements is only what the bytes say.
    const elements = roomForElements(column, 1)
    const index = column.elementCount
    fieldOffset = offsetOf(position)
    length = source.getInt32(sourcePos)
    listBytes -= 4
    if (length === NULL_LENGTH) {
      storeNull(elements, index)
      return endElement()
    }
    if (length < 0) throw malformed(`the length of an element is ${length}`)
    listBytes -= length
    if (listBytes < 4 * (elementsLeft - 1)) throw malformed('its elements are longer than it is')
    if (elements.hasNull) elements.validity[index >> 3]! |= 1 << (index & 7)
    if (!elements.variable) {
      checkLength(decoder)
      expects = 'element'
      return false
    }
    beginText(decoder)
    textInPieces = false
    if (length === 0) return endElement()
    expects = 'elementText'
    return false
  }

  function readElement(): boolean {
    const column = columns[field]!
    const decoder = elementDecoders[field]!
    storeOrNull(decoder, column.elements!, column.elementCount)
    return endElement()
  }

  function endElement(): boolean {
    const column = columns[field]!
    const elements = column.elements!
    column.elementCount++
    if (elements.variable) elements.offsets[column.elementCount] = elements.textEnd
    elementsLeft--
    return nextElement()
  }

  function endElements(): boolean {
    const column = columns[field]!
    if (listBytes !== 0) throw malformed(`${listBytes} bytes follow its last element`)
    arena.usedBytes += elementBytes(column, column.offsets[arena.rowCount]!)
    return endField(column)
  }

  function readField(): boolean {
    storeOrNull(decoders[field]!, columns[field]!, arena.rowCount)
    return endField()
  }

  function storeOrNull(decoder: DecoderColumn, column: ArenaColumn, row: number): void {
    const stored = storeField(decoder, column, row, source, sourcePos, length)
    if (stored === MALFORMED) throw malformed('its bytes are not of that type')
    if (stored === STORED) return
    if (decoder.unrepresentable === 'error') throw unrepresentable(decoder)
    storeNull(column, row)
  }

  function readText(bytes: Uint8Array, end: number): boolean {
    const ofList = expects === 'elementText'
    const column = ofList ? columns[field]!.elements! : columns[field]!
    let pos = position
    if (versionPending) {
      const version = bytes[pos]!
      if (version !== 1) throw malformed(`its jsonb version is ${version}`)
      versionPending = false
      remaining--
      pos++
    }
    const taken = Math.min(remaining, end - pos)
    if (textInPieces) {
      appendPiece(column, bytes, pos, pos + taken, remaining)
    } else if (taken > 0) {
      growText(column, taken)
      column.text.set(bytes.subarray(pos, pos + taken), column.textEnd)
      column.textEnd += taken
    }
    remaining -= taken
    position = pos + taken
    return remaining === 0 && (ofList ? endElement() : endText(column))
  }

  function endText(column: ArenaColumn): boolean {
    arena.usedBytes += decoders[field]!.wire === 'jsonb' ? length - 1 : length
    return endField(column)
  }

  function endField(column: ArenaColumn = columns[field]!): boolean {
    if (column.variable) column.offsets[arena.rowCount + 1] = column.textEnd
    else if (column.elements !== null) column.offsets[arena.rowCount + 1] = column.elementCount
    field++
    expects = 'length'
    return field === columns.length && endRow()
  }

  function endRow(): true {
    arena.rowCount++
    arena.usedBytes += arena.rowBytes
    expects = 'row'
    return true
  }

  const rowNumber = (): number => arena.rowsBefore + arena.rowCount + 1

  function context(): ErrorContext {
    return {
      stream,
      field: columns[field]!.field.name,
      byteOffset: fieldOffset,
      rowNumber: rowNumber(),
    }
  }

  function malformed(what: string): DecodeError {
    const { name } = columns[field]!.field
    const { wire, elementWire } = decoders[field]!
    const format = elementWire === undefined ? `a ${wire}` : `an ${wire} of ${elementWire}`
    return new DecodeError(
      `${stream}, field ${name}, row ${rowNumber()}: ${format} value cannot be decoded, ${what}.`,
      context(),
    )
  }

  function unrepresentable(decoder: DecoderColumn): TrunklineError {
    const { type } = decoder
    const landing =
      type.kind === 'decimal'
        ? `decimal(${type.precision},${type.scale})`
        : type.kind === 'timestamp' && type.unit === 'ns'
          ? 'the range of timestamp[ns], 1677 to 2262'
          : `the range of ${type.kind}`
    const option = type.kind === 'decimal' ? 'special_numeric' : 'special_temporal'
    return new TrunklineError(
      'VALUE_UNREPRESENTABLE',
      `${stream}, field ${decoder.name}, row ${rowNumber()}: a value does not fit ${landing}.`,
      {
        hint: `Land it as text or as null with \`${option}: text\` or \`${option}: null\`, or give the column a wider type under \`types\`.`,
        context: context(),
      },
    )
  }

  function severalDimensions(dimensions: number): TrunklineError {
    return new TrunklineError(
      'VALUE_UNREPRESENTABLE',
      `${stream}, field ${columns[field]!.field.name}, row ${rowNumber()}: an array of ${dimensions} dimensions is no list.`,
      {
        hint: 'Remove its entry under `types`: without one the column lands as JSON, which keeps every dimension.',
        context: context(),
      },
    )
  }

  const reader = {
    read(bytes: Uint8Array, view: DataView, start: number, end: number): number {
      const stopped = read(bytes, view, start, end)
      reader.atRow = expects === 'row' && heldLength === 0
      reader.atEnd = expects === 'end'
      return stopped
    },
    // Plain properties, because they are asked for every row.
    atRow: framing === 'rows',
    atEnd: false,
  }
  return reader
}
