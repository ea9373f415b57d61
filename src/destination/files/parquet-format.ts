/** Rows as Parquet files. */
import {
  COMPRESSION_LEVELS,
  COMPRESSIONS,
  loadCompressor,
  type Compression,
} from '../../codec/compression/compressor.js'
import { createParquetWriter } from '../../codec/parquet-writer.js'
import { chooseOption, refuseUnknownOptions, type FormatOptions } from '../../codec/stated-options.js'
import type { ColumnType, ElementType, Field } from '../../model/column-type.js'
import { TrunklineError } from '../../model/error.js'
import { formatDuckDbType } from '../duckdb/column-types.js'
import { quoteName, quoteText } from '../duckdb/quote.js'
import { lossOf, type FileFormat } from './file-format.js'

export const PARQUET_OPTIONS = [
  'compression',
  'compression_level',
  'row_group_rows',
  'row_group_bytes',
  'page_bytes',
  'dictionary',
  'encodings',
] as const

/** What a row group and a page are, where nothing else is said: those of DuckDB, and of Arrow. */
const ROW_GROUP_ROWS = 122_880
const ROW_GROUP_BYTES = 64 * 1024 * 1024
const PAGE_BYTES = 1024 * 1024
/** The file counts both in 32 bits. */
const MOST_ROWS = 2 ** 30
const MOST_BYTES = 2 ** 30
/** Readers find the program and its version in this form. */
const CREATED_BY = 'trunkline version 1'

/** @throws CONFIG_UNKNOWN_KEY, CONFIG_INVALID */
export async function createParquetFormat(options: FormatOptions): Promise<FileFormat> {
  refuseUnknownOptions('parquet', options, PARQUET_OPTIONS)
  const compression = chooseOption('parquet', options, 'compression', compressionNames())
  const level = readLevel(options, compression)
  const layout = {
    rowGroupRows: readNumber(options, 'row_group_rows', { usual: ROW_GROUP_ROWS, most: MOST_ROWS }),
    rowGroupBytes: readNumber(options, 'row_group_bytes', { usual: ROW_GROUP_BYTES, most: MOST_BYTES }),
    pageBytes: readNumber(options, 'page_bytes', { usual: PAGE_BYTES, most: MOST_BYTES }),
    dictionary: chooseOption('parquet', options, 'dictionary', { true: true, false: false }),
    encodings: chooseOption('parquet', options, 'encodings', { v2: 'v2', v1: 'v1' } as const),
  }
  const compress = await loadCompressor(compression, level)
  return {
    name: 'parquet',
    suffix: '.parquet',
    losses: parquetLosses,
    encoder: (fields, metadata, sharedBy) =>
      createParquetWriter(fields, {
        ...layout,
        sharedBy,
        compression,
        compress,
        metadata,
        createdBy: CREATED_BY,
      }),
    scanSql: scanParquet,
  }
}

function compressionNames(): Readonly<Record<string, Compression>> {
  return Object.fromEntries(COMPRESSIONS.map((name) => [name, name]))
}

function readLevel(options: FormatOptions, compression: Compression): number | undefined {
  const stated = options['compression_level']
  if (stated === undefined) return undefined
  const levels = COMPRESSION_LEVELS[compression]
  if (levels === null) {
    throw new TrunklineError('CONFIG_INVALID', `parquet: compression ${compression} has no levels.`, {
      hint: 'Leave compression_level out, or choose the compression zstd or gzip.',
    })
  }
  return readNumber(options, 'compression_level', {
    least: levels.least,
    most: levels.most,
    usual: levels.usual,
  })
}

function readNumber(
  options: FormatOptions,
  key: (typeof PARQUET_OPTIONS)[number],
  { least = 1, most, usual }: { readonly least?: number; readonly most: number; readonly usual: number },
): number {
  const stated = options[key]
  if (stated === undefined) return usual
  const value = /^\d{1,15}$/.test(stated) ? Number(stated) : NaN
  if (value >= least && value <= most) return value
  throw new TrunklineError('CONFIG_INVALID', `parquet: ${key}=${stated} is not a number that it can be.`, {
    hint: `${key} is a whole number from ${least} to ${most}.`,
  })
}

function parquetLosses(fields: readonly Field[]): readonly string[] {
  return [
    ...lossOf(
      fields,
      ({ kind }) => kind === 'interval',
      'An interval is a group of months, days and micros, since that of Parquet has milliseconds only.',
    ),
    ...lossOf(
      fields,
      ({ kind }) => kind === 'date' || kind === 'timestamp',
      'Infinity is the end of the range, which readers but DuckDB take for a date.',
    ),
    ...lossOf(
      fields,
      ({ kind }) => kind === 'time',
      '24:00:00 is a time that some readers refuse, or take for no value.',
    ),
  ]
}

/**
 * Columns are found by name, so that files written before a column was added have NULL there, even if all of them were. The
 * types are those that a DuckDB destination has.
 */
function scanParquet(fields: readonly Field[], files: readonly string[]): string {
  const list = files.map(quoteText).join(', ')
  const typed = fields.map(({ name, type }) => `NULL::${storedType(type)} AS ${quoteName(name)}`)
  const values = fields.map(({ name, type }) => `${toValue(type, quoteName(name))} AS ${quoteName(name)}`)
  const rows = `SELECT ${typed.join(', ')} WHERE false UNION ALL BY NAME SELECT * FROM read_parquet([${list}], union_by_name = true, hive_partitioning = false)`
  return `(SELECT ${values.join(', ')} FROM (${rows}))`
}

const INTERVAL_GROUP = 'STRUCT(months INTEGER, days INTEGER, micros BIGINT)'

/** What DuckDB reads the file's column as. */
function storedType(type: ColumnType): string {
  if (type.kind === 'list') return `${storedType(type.element)}[]`
  return type.kind === 'interval' ? INTERVAL_GROUP : formatDuckDbType(type)
}

function toValue(type: ColumnType, column: string): string {
  if (type.kind !== 'list') return elementValue(type, column)
  return type.element.kind === 'interval'
    ? `list_transform(${column}, lambda x: ${elementValue(type.element, 'x')})`
    : column
}

/** The parts of an interval are added one by one, so that nothing is carried from one to another. */
function elementValue({ kind }: ElementType, value: string): string {
  return kind === 'interval'
    ? `to_months(${value}.months) + to_days(${value}.days) + to_microseconds(${value}.micros)`
    : value
}
