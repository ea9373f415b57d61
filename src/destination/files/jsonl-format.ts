/** Rows as files of JSON Lines. */
import { createJsonlEncoder } from '../../codec/jsonl.js'
import { refuseUnknownOptions, type FormatOptions } from '../../codec/stated-options.js'
import type { Field } from '../../model/column-type.js'
import { quoteName, quoteText } from '../duckdb/quote.js'
import { lossOf, type FileFormat } from './file-format.js'
import { fromJson } from './scan-values.js'
import { encodeTextFile, readTextCompression } from './text-file.js'

export const JSONL_OPTIONS = ['compression'] as const

/** @throws CONFIG_UNKNOWN_KEY, CONFIG_INVALID */
export async function createJsonlFormat(options: FormatOptions): Promise<FileFormat> {
  refuseUnknownOptions('jsonl', options, JSONL_OPTIONS)
  const compression = await readTextCompression('jsonl', options)
  return {
    name: 'jsonl',
    form: compression.name === 'none' ? 'jsonl' : `jsonl?compression=${compression.name}`,
    suffix: `.jsonl${compression.suffix}`,
    losses: jsonlLosses,
    encoder: (fields) => encodeTextFile(createJsonlEncoder(fields), compression),
    scanSql: (fields, files) => scanJsonl(fields, files, compression.name),
  }
}

function jsonlLosses(fields: readonly Field[]): readonly string[] {
  return [
    ...lossOf(
      fields,
      (type) => type.kind === 'int' && type.bits === 64,
      'Numbers beyond 2^53 have all their digits, and readers that have only doubles round them.',
    ),
    ...lossOf(
      fields,
      ({ kind }) => kind === 'float',
      'NaN and the infinities are text, since JSON has no such numbers; all NaN are one.',
    ),
    ...lossOf(
      fields,
      ({ kind }) => !['bool', 'int', 'float', 'text', 'json'].includes(kind),
      'Values are text, since JSON has no such type: the views in latest.sql give them their types back.',
    ),
    ...lossOf(
      fields,
      ({ kind }) => kind === 'json',
      'The JSON document null and no document are both null, and the views write documents anew: 0.10 becomes 0.1.',
    ),
  ]
}

/** Longer lines are an error of DuckDB's, which takes buffers of twice as much. */
const MAX_LINE_BYTES = 16 * 1024 * 1024

function scanJsonl(fields: readonly Field[], files: readonly string[], compression: string): string {
  const read = fields.map(({ name, type }) => ({ name, ...fromJson(type, quoteName(name)) }))
  const columns = read.map(({ name, readAs }) => `${quoteText(name)}: ${quoteText(readAs)}`)
  const how = [
    `[${files.map(quoteText).join(', ')}]`,
    'auto_detect = false',
    'hive_partitioning = false',
    `format = 'newline_delimited'`,
    `columns = {${columns.join(', ')}}`,
    `compression = ${quoteText(compression === 'none' ? 'uncompressed' : compression)}`,
    `maximum_object_size = ${MAX_LINE_BYTES}`,
  ]
  const values = read.map(({ name, expression }) => `${expression} AS ${quoteName(name)}`)
  return `(SELECT ${values.join(', ')} FROM read_json(${how.join(', ')}))`
}
