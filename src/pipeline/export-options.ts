/** TYPE and OPTIONS of EXPORT, as options of DuckDB's COPY. */
import { ParameterReader, refuseUnknownKeys, type Parameters } from './parameters.js'
import type { ExportFormat, ExportStep } from './pipeline.js'
import { failure, ProblemList } from './pipeline-error.js'
import type { Written } from './syntax.js'

type Kind = 'text' | 'boolean' | 'integer' | readonly string[]

interface Option {
  /** In COPY. */
  readonly name: string
  readonly kind: Kind
}

const csvText = (name: string): Option => ({ name, kind: 'text' })
const FILE_COMPRESSION: Option = { name: 'COMPRESSION', kind: ['none', 'gzip', 'zstd'] }

const OPTIONS: Readonly<Record<ExportFormat, Readonly<Record<string, Option>>>> = {
  csv: {
    header: { name: 'HEADER', kind: 'boolean' },
    delimiter: csvText('DELIMITER'),
    delim: csvText('DELIMITER'),
    sep: csvText('DELIMITER'),
    quote: csvText('QUOTE'),
    escape: csvText('ESCAPE'),
    null: csvText('NULLSTR'),
    nullstr: csvText('NULLSTR'),
    date_format: csvText('DATEFORMAT'),
    timestamp_format: csvText('TIMESTAMPFORMAT'),
    compression: FILE_COMPRESSION,
  },
  parquet: {
    compression: {
      name: 'COMPRESSION',
      kind: ['snappy', 'zstd', 'gzip', 'brotli', 'lz4', 'uncompressed', 'none'],
    },
    row_group_size: { name: 'ROW_GROUP_SIZE', kind: 'integer' },
  },
  json: {
    array: { name: 'ARRAY', kind: 'boolean' },
    date_format: csvText('DATEFORMAT'),
    timestamp_format: csvText('TIMESTAMPFORMAT'),
    compression: FILE_COMPRESSION,
  },
}

const FORMATS = Object.keys(OPTIONS) as ExportFormat[]

/** @throws PipelineError */
export function readExportFormat(type: Written): ExportFormat {
  const name = type.value.toLowerCase()
  const format = FORMATS.find((known) => known === name)
  if (format !== undefined) return format
  throw failure(type, `EXPORT to TYPE ${type.value} is not available in this version.`, {
    code: 'CONFIG_UNSUPPORTED',
    hint: `There is: ${FORMATS.join(', ')}.`,
  })
}

/** A place on this machine's disk. @throws PipelineError */
export function checkExportPath(uri: Written, path: string): string {
  if (path === '') throw failure(uri, 'The place of the export is empty.')
  const scheme = /^([A-Za-z][A-Za-z0-9+.-]*):\/\//.exec(path)?.[1]
  if (scheme === undefined) return path
  throw failure(uri, `EXPORT to ${scheme}:// is not available in this version.`, {
    code: 'CONFIG_UNSUPPORTED',
    hint: 'Name a file.',
  })
}

/** @throws PipelineError */
export function readExportOptions(format: ExportFormat, parameters: Parameters): ExportStep['options'] {
  const known = OPTIONS[format]
  const problems = new ProblemList()
  const reader = new ParameterReader(parameters, problems, '')
  refuseUnknownKeys(parameters, Object.keys(known), problems)
  const options: Record<string, string | number | boolean> = format === 'csv' ? { HEADER: true } : {}
  for (const [key, { name, kind }] of Object.entries(known)) {
    const value = readOption(reader, key, kind, problems)
    if (value !== null)
      options[name] =
        name === 'COMPRESSION' && format === 'parquet' && value === 'none' ? 'uncompressed' : value
  }
  problems.assertNone()
  return options
}

function readOption(
  reader: ParameterReader,
  key: string,
  kind: Kind,
  problems: ProblemList,
): string | number | boolean | null {
  if (kind === 'boolean') return reader.boolean(key)
  if (kind === 'integer') return reader.integer(key, 1)
  const text = reader.text(key)
  const span = reader.spanOf(key)
  if (kind === 'text' || text === null || span === null || kind.includes(text.toLowerCase())) {
    return kind === 'text' ? text : (text?.toLowerCase() ?? null)
  }
  problems.add(failure(span, `Parameter '${key}' must be one of: ${kind.join(', ')}`))
  return null
}
