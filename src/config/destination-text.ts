/** DESTINATION as a person writes it, `FORMAT:LOCATION?option=value`, taken apart. */
import { closestKey } from '../model/closest-name.js'
import { TrunklineError } from '../model/error.js'
import { parseSize } from './quantity.js'
import { S3_OPTIONS } from './s3-options.js'

export type DestinationLocation = DuckDbLocation | FilesLocation | PostgresLocation

export interface DuckDbLocation {
  readonly format: 'duckdb'
  readonly path: string
  /** `direct` writes the file itself; `atomic` a private one that is renamed over it. */
  readonly publish: 'direct' | 'atomic'
}

export interface FilesLocation {
  readonly format: FileFormatName
  readonly place: FolderPlace | BucketPlace
  readonly layout: FileLayout
  /** By who reads them, `format` how a file is encoded and `store` how the bucket is reached; their values are checked there. */
  readonly options: Readonly<Record<'format' | 'store', Options>>
}

/** When a file is ended and the next one begun; absent: by default. */
export interface FileLayout {
  readonly maxFileBytes?: number
  readonly maxFileRows?: number
  /** Columns whose values divide a table's rows into folders; `table`: of that alone (`schema.name`), null: of every table that has it. */
  readonly partitionBy?: readonly { readonly table: string | null; readonly column: string }[]
}

export interface PostgresLocation {
  readonly format: 'postgresql'
  /** May hold a password: never printed. */
  readonly url: string
}

export interface FolderPlace {
  readonly kind: 'folder'
  readonly path: string
}

export interface BucketPlace {
  readonly kind: 'bucket'
  readonly bucket: string
  /** Without slashes at its ends; empty for the bucket itself. */
  readonly prefix: string
}

export type FileFormatName = 'parquet' | 'arrow' | 'csv' | 'jsonl'
type Options = Readonly<Record<string, string>>

const FILE_FORMATS: readonly FileFormatName[] = ['parquet', 'arrow', 'csv', 'jsonl']
const DUCKDB_SUFFIXES = ['.duckdb', '.ddb'] as const
const FORMS =
  'duckdb:FILE, parquet:DIR, arrow:DIR, csv:DIR, jsonl:DIR, any of these four as parquet:s3://BUCKET/PREFIX, or postgresql://…'
const DUCKDB_FORMS = 'duckdb:FILE, duckdb:FILE?publish=atomic, or just FILE.duckdb'

const LAYOUT_OPTIONS: readonly string[] = ['file_size', 'file_rows', 'partition_by']
const FORMAT_OPTIONS: Readonly<Record<FileFormatName, readonly string[]>> = {
  parquet: [
    'compression',
    'compression_level',
    'row_group_rows',
    'row_group_bytes',
    'page_bytes',
    'dictionary',
    'encodings',
  ],
  arrow: ['framing', 'compression'],
  csv: ['header', 'delimiter', 'quote', 'null_text', 'formulas', 'compression'],
  jsonl: ['compression'],
}

export function looksLikeDestination(text: string): boolean {
  return /^[a-z][a-z0-9+]*:/.test(text) || DUCKDB_SUFFIXES.some((suffix) => text.endsWith(suffix))
}

/** @throws CONFIG_INVALID, CONFIG_UNKNOWN_KEY; none of them quotes a URL or the value of an option, which may hold a password */
export function parseDestination(text: string): DestinationLocation {
  const scheme = /^([A-Za-z][A-Za-z0-9+]*):/.exec(text)?.[1]?.toLowerCase()
  if (scheme === undefined) {
    if (DUCKDB_SUFFIXES.some((suffix) => text.endsWith(suffix))) return toDuckDb(text)
    throw new TrunklineError('CONFIG_INVALID', `${JSON.stringify(text)} is not a destination.`, {
      hint: `Write ${FORMS}.`,
    })
  }
  const location = text.slice(scheme.length + 1)
  if (scheme === 'duckdb') return toDuckDb(location)
  if (scheme === 'postgresql' || scheme === 'postgres') return toPostgres(location)
  const format = FILE_FORMATS.find((name) => name === scheme)
  if (format !== undefined) return toFiles(format, location)
  if (scheme === 's3') {
    throw new TrunklineError('CONFIG_INVALID', 'The destination does not say what files are to be written.', {
      hint: 'Say it before the bucket, as in parquet:s3://BUCKET/PREFIX; also arrow:, csv: and jsonl:.',
    })
  }
  const suggestion = closestKey(scheme, ['duckdb', 'postgresql', ...FILE_FORMATS])
  throw new TrunklineError('CONFIG_INVALID', `\`${scheme}:\` is not a kind of destination.`, {
    hint: suggestion === null ? `Write ${FORMS}.` : `Did you mean \`${suggestion}:\`? Write ${FORMS}.`,
  })
}

function toDuckDb(location: string): DuckDbLocation {
  const { path, options } = splitOptions(location)
  if (path === '' || path === ':memory:') {
    throw new TrunklineError('CONFIG_INVALID', 'The duckdb: destination names no file.', {
      hint: `Write ${DUCKDB_FORMS}. A database in memory would end with the run.`,
    })
  }
  let publish: DuckDbLocation['publish'] = 'direct'
  for (const [key, value] of options) {
    if (key !== 'publish') {
      throw new TrunklineError('CONFIG_UNKNOWN_KEY', `duckdb:${path}: unknown option \`${key}\`.`, {
        hint: 'The option there is: publish=direct or publish=atomic.',
      })
    }
    if (value !== 'direct' && value !== 'atomic') {
      throw new TrunklineError('CONFIG_INVALID', `duckdb:${path}: publish must be direct or atomic.`, {
        hint: 'atomic writes a private file and renames it over the published one.',
      })
    }
    publish = value
  }
  return { format: 'duckdb', path, publish }
}

function toPostgres(location: string): PostgresLocation {
  if (location.startsWith('//')) return { format: 'postgresql', url: `postgresql:${location}` }
  throw new TrunklineError('CONFIG_INVALID', 'The postgresql: destination is not a URL.', {
    hint: 'Write postgresql://user@host:port/database.',
  })
}

function toFiles(format: FileFormatName, location: string): FilesLocation {
  const { path, options } = splitOptions(location)
  const place = toPlace(format, path)
  const known: Record<'layout' | 'format' | 'store', readonly string[]> = {
    layout: LAYOUT_OPTIONS,
    format: FORMAT_OPTIONS[format],
    store: place.kind === 'bucket' ? S3_OPTIONS : [],
  }
  const sorted: Record<keyof typeof known, Record<string, string>> = { layout: {}, format: {}, store: {} }
  for (const [key, value] of options) {
    const reader = (['layout', 'format', 'store'] as const).find((name) => known[name].includes(key))
    if (reader === undefined) throw unknownOption(format, place, key, Object.values(known).flat())
    const stated = sorted[reader][key]
    if (stated !== undefined && key !== 'partition_by') {
      throw new TrunklineError('CONFIG_INVALID', `${format}: the option \`${key}\` is given twice.`, {
        hint: 'Leave one of the two out.',
      })
    }
    sorted[reader][key] = stated !== undefined ? `${stated},${value}` : value
  }
  return {
    format,
    place,
    layout: readLayout(format, sorted.layout),
    options: { format: sorted.format, store: sorted.store },
  }
}

function readLayout(
  format: FileFormatName,
  { file_size: size, file_rows: rows, partition_by: partitions }: Options,
): FileLayout {
  const bytes = size === undefined ? undefined : parseSize(size)
  if (bytes === null || bytes === 0) {
    throw new TrunklineError('CONFIG_INVALID', `${format}: file_size must be a size.`, {
      hint: 'Write file_size=256MiB, or 1GB.',
    })
  }
  const count = rows === undefined ? undefined : /^[1-9]\d{0,14}$/.test(rows) ? Number(rows) : null
  if (count === null) {
    throw new TrunklineError('CONFIG_INVALID', `${format}: file_rows must be a number of rows.`, {
      hint: 'Write file_rows=1000000.',
    })
  }
  return {
    ...(bytes === undefined ? {} : { maxFileBytes: bytes }),
    ...(count === undefined ? {} : { maxFileRows: count }),
    ...(partitions === undefined ? {} : { partitionBy: readPartitions(format, partitions) }),
  }
}

function readPartitions(format: FileFormatName, stated: string): NonNullable<FileLayout['partitionBy']> {
  return stated.split(',').map((one) => {
    const match = /^(?:([^:]+):)?([^:]+)$/.exec(one)
    if (match?.[2] !== undefined) return { table: match[1] ?? null, column: match[2] }
    throw new TrunklineError('CONFIG_INVALID', `${format}: partition_by must name columns.`, {
      hint: 'Write partition_by=COLUMN, or partition_by=SCHEMA.TABLE:COLUMN; several with commas between.',
    })
  })
}

function toPlace(format: FileFormatName, location: string): FolderPlace | BucketPlace {
  if (/^s3:\/\//i.test(location)) {
    // A name of a bucket is letters, digits, dots and hyphens: what looks like user:password@ is none.
    const match = /^s3:\/\/([A-Za-z0-9][A-Za-z0-9._-]*)(?:\/([^]*))?$/i.exec(location)
    const prefix = (match?.[2] ?? '').replace(/^\/+|\/+$/g, '')
    const parts = prefix === '' ? [] : prefix.split('/')
    if (match?.[1] !== undefined && parts.every((part) => part !== '' && part !== '.' && part !== '..')) {
      return { kind: 'bucket', bucket: match[1], prefix }
    }
    throw new TrunklineError('CONFIG_INVALID', `The ${format}: destination does not name a bucket.`, {
      hint: `Write ${format}:s3://BUCKET/PREFIX. Keys to it come from the environment, never from the destination.`,
    })
  }
  if (location !== '' && !/^[a-z][a-z0-9+.-]*:\/\//i.test(location)) return { kind: 'folder', path: location }
  throw new TrunklineError(
    'CONFIG_INVALID',
    `The ${format}: destination does not name a folder or a bucket.`,
    {
      hint: `Write ${format}:DIR or ${format}:s3://BUCKET/PREFIX.`,
    },
  )
}

function unknownOption(
  format: FileFormatName,
  place: FilesLocation['place'],
  key: string,
  known: readonly string[],
): TrunklineError {
  const where = place.kind === 'folder' ? place.path : `s3://${place.bucket}/${place.prefix}`
  const suggestion = closestKey(key, known)
  const meant = suggestion === null ? '' : `Did you mean \`${suggestion}\`? `
  return new TrunklineError('CONFIG_UNKNOWN_KEY', `${format}:${where}: unknown option \`${key}\`.`, {
    hint: `${meant}Options: ${known.join(', ')}.`,
  })
}

/** What comes after the first question mark that something like an option follows is options: `odd?name` is a name. */
function splitOptions(location: string): { readonly path: string; readonly options: URLSearchParams } {
  const match = /^([^]*?)\?([A-Za-z_]+=[^]*)$/.exec(location)
  return { path: match?.[1] ?? location, options: new URLSearchParams(match?.[2] ?? '') }
}
