/** Rows on their way out without a destination: to standard output, or to a client of the service. */
import type { RowRange } from './batch/row-range.js'
import { createArrowEncoder } from './codec/arrow-ipc.js'
import { createCopyTextEncoder } from './codec/copy-text.js'
import { createCsvEncoder } from './codec/csv.js'
import { CSV_FORM_OPTIONS, readCsvOptions } from './codec/csv-options.js'
import { createJsonlEncoder } from './codec/jsonl.js'
import { refuseUnknownOptions, type FormatOptions } from './codec/stated-options.js'
import { unreachable, type Field } from './model/column-type.js'

/** `arrow`: an IPC stream. `copy`: the text format of COPY. */
export const ROW_FORMATS = ['jsonl', 'csv', 'arrow', 'copy'] as const
export type RowFormat = (typeof ROW_FORMATS)[number]

/** Pieces to be written in order, each before the next is asked for: their memory is used again. */
export interface RowOutput {
  add(rows: RowRange): Iterable<readonly Uint8Array[]>
  /** What is still to come, once: without it the rows may not be whole. */
  end(): Iterable<readonly Uint8Array[]>
}

/** @throws CONFIG_UNKNOWN_KEY, CONFIG_INVALID for options that the format does not have */
export function createRowOutput(
  format: RowFormat,
  fields: readonly Field[],
  options: FormatOptions = {},
): RowOutput {
  refuseUnknownOptions(format, options, format === 'csv' ? CSV_FORM_OPTIONS : [])
  switch (format) {
    case 'jsonl':
      return createJsonlEncoder(fields)
    case 'csv':
      return createCsvEncoder(fields, readCsvOptions(options))
    case 'arrow':
      return createArrowEncoder(fields, { framing: 'stream' })
    case 'copy':
      return createCopyTextEncoder(fields)
    default:
      return unreachable(format)
  }
}
