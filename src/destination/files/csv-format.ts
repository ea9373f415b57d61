/** Rows as CSV files. */
import { createCsvEncoder, CSV_DEFAULTS, headerText, type CsvOptions } from '../../codec/csv.js'
import type { Field } from '../../model/column-type.js'
import { TrunklineError } from '../../model/error.js'
import { quoteName, quoteText } from '../duckdb/quote.js'
import type { FileFormat } from './file-format.js'
import {
  chooseOption,
  readTextCompression,
  refuseUnknownOptions,
  type FormatOptions,
} from './format-options.js'
import { fromServerText } from './scan-values.js'
import { encodeTextFile } from './text-file.js'

export const CSV_OPTIONS = ['header', 'delimiter', 'quote', 'null_text', 'formulas', 'compression'] as const

/** @throws CONFIG_UNKNOWN_KEY, CONFIG_INVALID */
export async function createCsvFormat(options: FormatOptions): Promise<FileFormat> {
  refuseUnknownOptions('csv', options, CSV_OPTIONS)
  const csv = readCsvOptions(options)
  const compression = await readTextCompression('csv', options)
  return {
    name: 'csv',
    suffix: `.csv${compression.suffix}`,
    losses: (fields) =>
      csv.formulas === 'escape' && fields.some(({ type }) => type.kind === 'text')
        ? ['text that begins with = + - @, a tab or a carriage return gets an apostrophe before it']
        : [],
    encoder: (fields) => encodeTextFile(createCsvEncoder(fields, csv), compression),
    scanSql: (fields, files) => scanCsv(fields, files, { csv, compression: compression.name }),
  }
}

/** @throws CONFIG_INVALID */
export function readCsvOptions(options: FormatOptions): CsvOptions {
  const delimiters = { ',': ',', ';': ';', '|': '|', tab: '\t', '\t': '\t' } as const
  const csv: CsvOptions = {
    header: chooseOption('csv', options, 'header', { true: true, false: false }),
    delimiter: chooseOption('csv', options, 'delimiter', delimiters),
    quote: chooseOption('csv', options, 'quote', { '"': '"', "'": "'" } as const),
    formulas: chooseOption('csv', options, 'formulas', { keep: 'keep', escape: 'escape' } as const),
    nullText: options['null_text'] ?? CSV_DEFAULTS.nullText,
  }
  if (
    /[\r\n]/.test(csv.nullText) ||
    csv.nullText.includes(csv.delimiter) ||
    csv.nullText.includes(csv.quote)
  ) {
    throw new TrunklineError(
      'CONFIG_INVALID',
      'csv: null_text cannot hold the delimiter, the quote or a line break.',
      {
        hint: 'Write null_text=NULL, or leave it out: null is then an empty field, and the empty text is quoted.',
      },
    )
  }
  return csv
}

/**
 * Longer lines are an error of DuckDB's, which takes 2 MB unless told otherwise: its buffers grow with this, 16 times by themselves.
 */
const MAX_LINE_BYTES = 16 * 1024 * 1024

function scanCsv(
  fields: readonly Field[],
  files: readonly string[],
  { csv, compression }: { readonly csv: CsvOptions; readonly compression: string },
): string {
  const names = fields.map(({ name }, index) => (csv.header ? headerText(name, csv) : `c${index}`))
  const columns = names.map((name) => `${quoteText(name)}: 'VARCHAR'`)
  // By name where there are names: a file that lacks a column has no value of it.
  const shape = csv.header
    ? 'header = true, union_by_name = true, all_varchar = true'
    : `header = false, null_padding = true, parallel = false, columns = {${columns.join(', ')}}`
  const how = [
    `[${files.map(quoteText).join(', ')}]`,
    'auto_detect = false',
    shape,
    `delim = ${quoteText(csv.delimiter)}`,
    `quote = ${quoteText(csv.quote)}`,
    `escape = ${quoteText(csv.quote)}`,
    `new_line = '\\n'`,
    `nullstr = ${quoteText(csv.nullText)}`,
    'allow_quoted_nulls = false',
    `compression = ${quoteText(compression)}`,
    `max_line_size = ${MAX_LINE_BYTES}`,
    `buffer_size = ${2 * MAX_LINE_BYTES}`,
  ]
  const values = fields.map(
    ({ name, type }, index) => `${fromServerText(type, quoteName(names[index]!))} AS ${quoteName(name)}`,
  )
  return `(SELECT ${values.join(', ')} FROM read_csv(${how.join(', ')}))`
}
