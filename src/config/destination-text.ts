/** DESTINATION as a person writes it, `FORMAT:LOCATION?option=value`, taken apart. */
import { closestKey } from '../model/closest-name.js'
import { TrunklineError } from '../model/error.js'

export interface DestinationLocation {
  readonly format: 'duckdb'
  readonly path: string
  /** `direct` writes the file itself; `atomic` a private one that is renamed over it. */
  readonly publish: 'direct' | 'atomic'
}

const LATER = ['parquet', 'arrow', 'csv', 'jsonl', 'postgresql', 'postgres'] as const
const DUCKDB_SUFFIXES = ['.duckdb', '.ddb'] as const
const FORMS = 'duckdb:FILE, duckdb:FILE?publish=atomic, or just FILE.duckdb'

export function looksLikeDestination(text: string): boolean {
  return /^[a-z][a-z0-9+]*:/.test(text) || DUCKDB_SUFFIXES.some((suffix) => text.endsWith(suffix))
}

/** @throws CONFIG_INVALID, CONFIG_UNSUPPORTED, CONFIG_UNKNOWN_KEY; none of them quotes a URL, which may hold a password */
export function parseDestination(text: string): DestinationLocation {
  const scheme = /^([A-Za-z][A-Za-z0-9+]*):/.exec(text)?.[1]?.toLowerCase()
  if (scheme === undefined) {
    if (DUCKDB_SUFFIXES.some((suffix) => text.endsWith(suffix))) return toDuckDb(text)
    throw new TrunklineError('CONFIG_INVALID', `${JSON.stringify(text)} is not a destination.`, {
      hint: `Write ${FORMS}.`,
    })
  }
  if (scheme === 'duckdb') return toDuckDb(text.slice('duckdb:'.length))
  if ((LATER as readonly string[]).includes(scheme)) {
    throw new TrunklineError(
      'CONFIG_UNSUPPORTED',
      `${scheme}: destinations are not available in this version.`,
      {
        hint: `Write ${FORMS}; DuckDB exports to Parquet, CSV and JSON from there (COPY t TO 't.parquet').`,
      },
    )
  }
  const suggestion = closestKey(scheme, ['duckdb', ...LATER])
  throw new TrunklineError('CONFIG_INVALID', `\`${scheme}:\` is not a kind of destination.`, {
    hint: suggestion === null ? `Write ${FORMS}.` : `Did you mean \`${suggestion}:\`? Write ${FORMS}.`,
  })
}

function toDuckDb(location: string): DestinationLocation {
  const match = /^([^]*?)\?([A-Za-z_]+=[^?]*)$/.exec(location)
  const path = match?.[1] ?? location
  if (path === '' || path === ':memory:') {
    throw new TrunklineError('CONFIG_INVALID', 'The duckdb: destination names no file.', {
      hint: `Write ${FORMS}. A database in memory would end with the run.`,
    })
  }
  let publish: DestinationLocation['publish'] = 'direct'
  for (const [key, value] of new URLSearchParams(match?.[2] ?? '')) {
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
