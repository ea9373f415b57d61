/** How rows leave: JSON Lines or an Arrow IPC stream. */
import type { Batch } from '../batch/batch.js'
import type { Field } from '../model/column-type.js'
import { TrunklineError } from '../model/error.js'
import { toJsonLines } from '../row-text.js'
import { ServiceError } from './service-error.js'

export const FORMATS = ['jsonl', 'arrow'] as const
export type RowFormat = (typeof FORMATS)[number]

export const CONTENT_TYPES: Readonly<Record<RowFormat, string>> = {
  jsonl: 'application/x-ndjson; charset=utf-8',
  arrow: 'application/vnd.apache.arrow.stream',
}

export interface RowWriter {
  begin(): Uint8Array
  write(batch: Batch): Uint8Array
  end(): Uint8Array
}

const NOTHING = new Uint8Array(0)

/** @throws MODULE_MISSING where `apache-arrow` is not installed */
export async function openRowWriter(format: RowFormat, fields: readonly Field[]): Promise<RowWriter> {
  if (format === 'arrow') return (await loadArrow()).createArrowStream(fields)
  return {
    begin: () => NOTHING,
    write: (batch) => Buffer.from(toJsonLines(batch), 'utf8'),
    end: () => NOTHING,
  }
}

async function loadArrow(): Promise<typeof import('../arrow.js')> {
  try {
    return await import('../arrow.js')
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw cause
    throw new TrunklineError('MODULE_MISSING', 'Arrow streams need a package that is not installed.', {
      hint: 'npm install apache-arrow where the service runs, or ask for JSON Lines.',
      cause,
    })
  }
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
