/** Rows as CSV files. */
import { createCsvEncoder, headerText } from '../../codec/csv.js'
import { CSV_DEFAULTS, CSV_FORM_OPTIONS, readCsvOptions, type CsvOptions } from '../../codec/csv-options.js'
import { refuseUnknownOptions, type FormatOptions } from '../../codec/stated-options.js'
import type { Field } from '../../model/column-type.js'
import { quoteName, quoteText } from '../duckdb/quote.js'
import { lossOf, type FileFormat } from './file-format.js'
import { fromServerText } from './scan-values.js'
import { encodeTextFile, readTextCompression } from './text-file.js'

export const CSV_OPTIONS = [...CSV_FORM_OPTIONS, 'compression'] as const

/** @throws CONFIG_UNKNOWN_KEY, CONFIG_INVALID */
export async function createCsvFormat(options: FormatOptions): Promise<FileFormat> {
  refuseUnknownOptions('csv', options, CSV_OPTIONS)
  const csv = readCsvOptions(options)
  const compression = await readTextCompression('csv', options)
  return {
    name: 'csv',
    form: formOf(csv, compression.name),
    suffix: `.csv${compression.suffix}`,
    losses: (fields) => csvLosses(fields, csv),
    isByPlace: (fields) => !isByName(fields, csv),
    encoder: (fields) => encodeTextFile(createCsvEncoder(fields, csv), compression),
    scanSql: (fields, files) => scanCsv(fields, files, { csv, compression: compression.name }),
  }
}

/** With what is stated otherwise than by default, and matters to a reader. */
function formOf({ header, delimiter, quote, nullText }: CsvOptions, compression: string): string {
  const stated = [
    header === CSV_DEFAULTS.header ? [] : [`header=${header}`],
    delimiter === CSV_DEFAULTS.delimiter ? [] : [`delimiter=${delimiter === '\t' ? 'tab' : delimiter}`],
    quote === CSV_DEFAULTS.quote ? [] : [`quote=${quote}`],
    nullText === CSV_DEFAULTS.nullText ? [] : [`null_text=${nullText}`],
    compression === 'none' ? [] : [`compression=${compression}`],
  ].flat()
  return stated.length === 0 ? 'csv' : `csv?${stated.join('&')}`
}

/**
 * Where there are names that DuckDB takes as they are, and that are the same in all files, whether or not formulas were disarmed: a
 * file that lacks a column has no value of it.
 */
function isByName(fields: readonly Field[], { header }: CsvOptions): boolean {
  return (
    header &&
    fields.every(({ name }) => {
      const disarmed = headerText(name, { ...CSV_DEFAULTS, formulas: 'escape' })
      return name !== '' && name.trim() === name && disarmed === name
    })
  )
}

function csvLosses(fields: readonly Field[], { formulas }: CsvOptions): readonly string[] {
  return [
    'The files have no types, every value is text: the views in latest.sql give them back.',
    ...(formulas === 'escape'
      ? lossOf(
          fields,
          ({ kind }) => kind === 'text',
          'Text that begins with = + - @, a tab or a carriage return gets an apostrophe before it.',
        )
      : []),
  ]
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
  const byName = isByName(fields, csv)
  const names = fields.map(({ name }, index) => (byName ? name : `c${index}`))
  const columns = names.map((name) => `${quoteText(name)}: 'VARCHAR'`)
  const shape = byName
    ? 'header = true, union_by_name = true, all_varchar = true'
    : `header = ${csv.header}, null_padding = true, parallel = false, columns = {${columns.join(', ')}}`
  const how = [
    `[${files.map(quoteText).join(', ')}]`,
    'auto_detect = false',
    'hive_partitioning = false',
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
