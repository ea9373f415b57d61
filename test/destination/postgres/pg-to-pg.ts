/** A source and a target database, and runs of the real engine between them. */
import { checkSyncOptions } from '../../../src/config/check-options.js'
import { type SyncOptions, toSyncSpec } from '../../../src/config/sync-options.js'
import { openDestination, openSource, resolveSettings } from '../../../src/connectors.js'
import type { Destination } from '../../../src/destination/contract.js'
import type { RunReport, StreamReport } from '../../../src/model/report.js'
import { quoteIdent, quoteQualified } from '../../../src/postgres/quote.js'
import { runSync } from '../../../src/sync/engine.js'
import type { TestDatabase } from '../../server/servers.js'

export interface RunOptions extends SyncOptions {
  readonly signal?: AbortSignal
  /** Puts itself between the engine and the destination. */
  readonly wrap?: (destination: Destination) => Destination
}

/** A run as the command line makes it; fails where a stream does. */
export async function syncOnce(
  from: Pick<TestDatabase, 'url'>,
  to: Pick<TestDatabase, 'url'>,
  options: RunOptions = {},
): Promise<RunReport> {
  const report = await trySync(from, to, options)
  const failed = report.streams.find(({ error }) => error !== null)
  if (failed?.error) throw new Error(`${failed.stream}: ${failed.error.code}: ${failed.error.message}`)
  return report
}

export async function trySync(
  from: Pick<TestDatabase, 'url'>,
  to: Pick<TestDatabase, 'url'>,
  { wrap, signal, ...options }: RunOptions = {},
): Promise<RunReport> {
  const settings = await resolveSettings({ url: from.url, options: {}, place: null }, {})
  await using source = await openSource(settings)
  await using destination = await openDestination(to.url, { env: {} })
  const spec = toSyncSpec(checkSyncOptions({ jobs: 1, name: 'shop', ...options }), settings.database)
  return await runSync({
    source,
    destination: wrap?.(destination) ?? destination,
    spec,
    ...(signal === undefined ? {} : { signal }),
  })
}

export function streamOf(report: RunReport, name: string): StreamReport {
  const found = report.streams.find(({ stream }) => stream === name)
  if (found === undefined) throw new Error(`the run had no stream ${name}`)
  return found
}

/** Every row as the server prints it, ordered; columns by name, so that their order in the table does not matter. */
export async function rowsOf(
  database: Pick<TestDatabase, 'sql'>,
  table: string,
  options: { readonly schema?: string; readonly without?: readonly string[] } = {},
): Promise<readonly string[]> {
  const { schema = 'public', without = [] } = options
  await database.sql(SESSION)
  const columns = await database.sql<{ name: string }>(
    `SELECT attname AS name FROM pg_attribute WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped
      ORDER BY attname COLLATE "C"`,
    [quoteQualified(schema, table)],
  )
  // By the output function of the type, whatever it is: what both sides must agree on.
  const texts = columns
    .filter(({ name }) => !without.includes(name))
    .map(
      ({ name }) =>
        `CASE WHEN ${quoteIdent(name)} IS DISTINCT FROM NULL THEN format('%s', ${quoteIdent(name)}) END`,
    )
  const rows = await database.sql<{ row: string }>(
    `SELECT json_build_array(${texts.join(', ')})::text AS row FROM ${quoteQualified(schema, table)} ORDER BY 1`,
  )
  return rows.map(({ row }) => row)
}

const SESSION = `SET TimeZone = 'UTC'; SET DateStyle = 'ISO, YMD'; SET IntervalStyle = 'iso_8601'; SET extra_float_digits = 3;
  SET bytea_output = 'hex'; SET lc_monetary = 'C'`
