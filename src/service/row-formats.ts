/** How rows leave: JSON Lines or an Arrow IPC stream. */
import type { Batch } from '../batch/batch.js'
import type { Field } from '../model/column-type.js'
import { createRowOutput } from '../row-output.js'
import { ServiceError } from './service-error.js'

export const FORMATS = ['jsonl', 'arrow'] as const
export type RowFormat = (typeof FORMATS)[number]

export const CONTENT_TYPES: Readonly<Record<RowFormat, string>> = {
  jsonl: 'application/x-ndjson; charset=utf-8',
  arrow: 'application/vnd.apache.arrow.stream',
}

/** Pieces of memory of their own, which the client may take in its time. */
export interface RowWriter {
  write(batch: Batch): Uint8Array
  end(): Uint8Array
}

export function openRowWriter(format: RowFormat, fields: readonly Field[]): RowWriter {
  const output = createRowOutput(format, fields)
  return {
    write: (batch) => joined(output.add({ batch, start: 0, count: batch.rowCount })),
    end: () => joined(output.end()),
  }
}

function joined(encoded: Iterable<readonly Uint8Array[]>): Uint8Array {
  const copies: Uint8Array[] = []
  for (const pieces of encoded) copies.push(Buffer.concat(pieces))
  return copies.length === 1 ? copies[0]! : Buffer.concat(copies)
}

/** What the body says goes before what the header accepts; JSON Lines where neither says anything. */
export function chooseFormat(stated: RowFormat | undefined, accept: string | undefined): RowFormat {
  if (stated !== undefined) return stated
  const wanted = parseAccept(accept ?? '*/*')
  for (const type of wanted) {
    const format = FORMAT_OF_TYPE[type]
    if (format !== undefined) return format
  }
  throw new ServiceError(
    'REQUEST_INVALID',
    'None of the content types of Accept can be had.',
    `Accept ${CONTENT_TYPES.arrow} or application/x-ndjson.`,
    406,
  )
}

const FORMAT_OF_TYPE: Readonly<Record<string, RowFormat | undefined>> = {
  'application/vnd.apache.arrow.stream': 'arrow',
  'application/x-ndjson': 'jsonl',
  'application/jsonl': 'jsonl',
  'application/json': 'jsonl',
  'application/*': 'jsonl',
  'text/plain': 'jsonl',
  'text/*': 'jsonl',
  '*/*': 'jsonl',
}

/** Types in the order of their weight, the refused ones left out. */
function parseAccept(header: string): readonly string[] {
  return header
    .split(',')
    .map((part, index) => {
      const [type = '', ...parameters] = part.split(';').map((piece) => piece.trim().toLowerCase())
      const weight = parameters.find((parameter) => parameter.startsWith('q='))
      return { type, index, weight: weight === undefined ? 1 : Number(weight.slice(2)) }
    })
    .filter(({ type, weight }) => type !== '' && weight > 0)
    .sort((one, other) => other.weight - one.weight || one.index - other.index)
    .map(({ type }) => type)
}
