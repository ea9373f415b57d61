/** What a CSV file can be like, and how that is stated. */
import { TrunklineError } from '../model/error.js'
import { chooseOption, type FormatOptions } from './stated-options.js'

export interface CsvOptions {
  readonly header: boolean
  readonly delimiter: CsvDelimiter
  readonly quote: CsvQuote
  /** What stands for null. Without quote, delimiter and line breaks. */
  readonly nullText: string
  /** `escape`: text that a spreadsheet would take for a formula gets a `'` before it, for good. */
  readonly formulas: 'keep' | 'escape'
}

export type CsvDelimiter = ',' | ';' | '|' | '\t'
export type CsvQuote = '"' | "'"

/** What is meant where nothing is stated. */
export const CSV_DEFAULTS: CsvOptions = {
  header: true,
  delimiter: ',',
  quote: '"',
  nullText: '',
  formulas: 'keep',
}

export const CSV_FORM_OPTIONS = ['header', 'delimiter', 'quote', 'null_text', 'formulas'] as const

/** @throws CONFIG_INVALID */
export function readCsvOptions(options: FormatOptions): CsvOptions {
  // By the first of each: what is meant where nothing is stated.
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
