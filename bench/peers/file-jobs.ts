/** Tables to files: DuckDB, Parquet and JSON Lines, by each program that writes them. */
import { mkdir, writeFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { probeProgram } from '../baselines.js'
import type { DataSetColumn } from '../data-sets.js'
import type { Job, JobContext } from '../job.js'
import { measure } from '../measure.js'
import type { Alteration } from './landed.js'
import { type FileJob, SOURCE, fileJob, shownFile } from './peer-job.js'
import { installedProgram, node, pipeline, probePackages, python } from './places.js'
import { prepareSling, probeSling, sling } from './sling.js'

type Landing = Omit<FileJob, 'task' | 'ending' | 'relation' | 'reference'>

const toDuckDb = (job: Landing): Job =>
  fileJob({
    task: 'table to DuckDB file',
    reference: 'duckdb-auto',
    ending: 'duckdb',
    relation: ({ set }) => `public.${set.name}`,
    ...job,
  })

const toParquet = (job: Landing): Job =>
  fileJob({
    task: 'table to Parquet file',
    ending: 'parquet',
    relation: (_, path) => `read_parquet('${path}')`,
    ...job,
  })

/** A million rows each: the slowest program takes minutes for them. */
const TO_JSON_LINES: Job['on'] = { lineitem_1m: null, narrow_1m: null }

const toJsonLines = (job: Landing): Job =>
  fileJob({
    task: 'table to JSON Lines',
    on: TO_JSON_LINES,
    ending: 'jsonl',
    relation: ({ set }, path) => {
      const columns = set.columns.map((column) => `${column.name}: '${jsonLinesType(column)}'`).join(', ')
      return `read_json('${path}', format = 'newline_delimited', columns = {${columns}})`
    },
    ...job,
  })

/** As what DuckDB reads a column of JSON Lines: where programs differ as JSON or text, so that nothing is turned into what it was not. */
function jsonLinesType({ check, type }: DataSetColumn): string {
  switch (check) {
    case 'integer':
      return type
    case 'hundredths':
      return type.startsWith('numeric') ? 'JSON' : 'DOUBLE'
    case 'json':
    case 'array':
      return 'JSON'
    case 'text':
      return type === 'uuid' ? 'UUID' : 'VARCHAR'
    case 'date':
    case 'timestamp':
    case 'padded':
      return 'VARCHAR'
  }
}

const TRIMS: readonly Alteration[] = ['char(n) without its blanks']
const ARROW_TEXT: readonly Alteration[] = ['numeric as text']
const CONNECTORX: readonly Alteration[] = [
  'numeric(15,2) as decimal(38,10)',
  'uuid as text',
  'jsonb written anew',
]
const DLT: readonly Alteration[] = ['integer as bigint', 'uuid as text', 'jsonb written anew']

const duckDbExtension = async (): ReturnType<Job['probe']> =>
  probePackages('tools', 'duckdb-extension-postgres-scanner', 'duckdb')

const duckDb = (
  { set, connection }: JobContext,
  path: string,
  ...threads: readonly string[]
): ReturnType<Job['command']> => ({
  ...python(
    'tools',
    'duckdb_postgres.py',
    [set.name, path, ...threads],
    [set.name, shownFile(path), ...threads],
  ),
  env: connection,
})

/** As many connections as DuckDB's extension opens by itself. */
const connectorX = ({ set, url }: JobContext, path: string): ReturnType<Job['command']> => {
  const parts = [set.rowNumber, String(availableParallelism())]
  return python(
    'tools',
    'connectorx_read.py',
    [url, set.name, path, ...parts],
    [SOURCE, set.name, shownFile(path), ...parts],
  )
}

const adbc = ({ set, url }: JobContext, path: string): ReturnType<Job['command']> =>
  python('tools', 'adbc.py', [url, set.name, path], [SOURCE, set.name, shownFile(path)])

const dlt = (backend: 'pyarrow' | 'connectorx'): Job =>
  toDuckDb({
    name: `dlt-${backend}`,
    title: `dlt, ${backend} backend, to DuckDB`,
    alters: DLT,
    probe: async () =>
      probePackages(
        'dlt',
        'dlt',
        ...(backend === 'connectorx' ? ['connectorx'] : []),
        'sqlalchemy',
        'duckdb',
      ),
    command: ({ set, url }, path) =>
      python(
        'dlt',
        'dlt_load.py',
        [url, set.name, path, backend],
        [SOURCE, set.name, shownFile(path), backend],
      ),
  })

const TO_DUCKDB: readonly Job[] = [
  toDuckDb({
    name: 'duckdb-postgres',
    title: 'DuckDB’s postgres extension, as it comes',
    alters: TRIMS,
    probe: duckDbExtension,
    command: (context, path) => duckDb(context, path),
  }),
  toDuckDb({
    name: 'duckdb-postgres-1',
    title: 'DuckDB’s postgres extension, one thread',
    alters: TRIMS,
    probe: duckDbExtension,
    command: (context, path) => duckDb(context, path, '1'),
  }),
  toDuckDb({
    name: 'adbc-duckdb',
    title: 'ADBC, Arrow batches to DuckDB',
    alters: ARROW_TEXT,
    probe: async () => probePackages('tools', 'adbc-driver-postgresql', 'duckdb', 'pyarrow'),
    command: adbc,
  }),
  toDuckDb({
    name: 'connectorx-duckdb',
    title: 'ConnectorX, Arrow table to DuckDB',
    alters: CONNECTORX,
    probe: async () => probePackages('tools', 'connectorx', 'duckdb', 'pyarrow'),
    command: connectorX,
  }),
  dlt('connectorx'),
  dlt('pyarrow'),
  toDuckDb({
    name: 'ingestr',
    title: 'ingestr 0.14 to DuckDB',
    alters: DLT,
    probe: async () => probePackages('ingestr', 'ingestr', 'dlt', 'duckdb'),
    command: ({ set, url }, path) => {
      const table = `public.${set.name}`
      // Its documentation: pyarrow instead of SQLAlchemy's rows, Parquet between the steps.
      const args = [
        '--source-table',
        table,
        '--dest-table',
        table,
        '--sql-backend',
        'pyarrow',
        '--loader-file-format',
        'parquet',
        '--progress',
        'log',
        '--yes',
      ]
      return {
        file: installedProgram('ingestr', 'ingestr'),
        args: ['ingest', '--source-uri', url, '--dest-uri', `duckdb:///${path}`, ...args],
        env: { INGESTR_DISABLE_TELEMETRY: 'true', DISABLE_TELEMETRY: 'true' },
        shown: `ingestr ingest --source-uri "$SOURCE" --dest-uri duckdb:///${shownFile(path)} ${args.join(' ')}`,
      }
    },
  }),
  toDuckDb({
    name: 'sling-duckdb',
    title: 'sling to DuckDB',
    alters: ['text[] as text'],
    probe: probeSling,
    prepare: prepareSling,
    command: (context, path) => {
      const object = ['--tgt-object', `public.${context.set.name}`]
      return sling(
        context,
        ['--tgt-conn', `duckdb://${path}`, ...object],
        `--tgt-conn duckdb://${shownFile(path)} ${object.join(' ')}`,
      )
    },
  }),
  toDuckDb({
    name: 'query-stream-duckdb',
    title: 'written by hand: pg-query-stream to DuckDB’s appender',
    alters: ['uuid as text'],
    probe: async () => probePackages('node', 'pg-query-stream', 'pg'),
    command: ({ set, connection }, path) => ({
      ...node('query-stream-to-duckdb.mjs', [set.name, path], [set.name, shownFile(path)]),
      env: connection,
    }),
  }),
]

const slingToFile = (context: JobContext, path: string): ReturnType<Job['command']> =>
  sling(context, ['--tgt-object', `file://${path}`], `--tgt-object file://${shownFile(path)}`)

const TO_PARQUET: readonly Job[] = [
  toParquet({
    name: 'duckdb-postgres-parquet',
    title: 'DuckDB’s postgres extension to Parquet',
    alters: TRIMS,
    probe: duckDbExtension,
    command: (context, path) => duckDb(context, path),
  }),
  toParquet({
    name: 'adbc-parquet',
    title: 'ADBC, Arrow batches to Parquet',
    alters: ARROW_TEXT,
    probe: async () => probePackages('tools', 'adbc-driver-postgresql', 'pyarrow'),
    command: adbc,
  }),
  toParquet({
    name: 'connectorx-parquet',
    title: 'ConnectorX, Arrow table to Parquet',
    alters: CONNECTORX,
    probe: async () => probePackages('tools', 'connectorx', 'pyarrow'),
    command: connectorX,
  }),
  toParquet({
    name: 'sling-parquet',
    title: 'sling to Parquet',
    alters: ['text[] as text'],
    probe: probeSling,
    prepare: prepareSling,
    command: slingToFile,
  }),
]

/** What tap and target are told, beside the file that they write. */
const singerFolder = (path: string): string => `${path}.work`

async function prepareSinger({ set, connection }: JobContext, path: string): Promise<void> {
  const folder = singerFolder(path)
  await mkdir(folder)
  const write = async (name: string, value: unknown): Promise<void> =>
    writeFile(join(folder, name), JSON.stringify(value))
  await write('tap.json', {
    host: connection['PGHOST'],
    port: Number(connection['PGPORT']),
    user: connection['PGUSER'],
    password: 'not asked for',
    database: connection['PGDATABASE'],
    filter_schemas: ['public'],
    default_replication_method: 'FULL_TABLE',
  })
  await write('target.json', {
    destination_path: dirname(path),
    custom_name: basename(path, '.jsonl'),
    do_timestamp_file: false,
  })
  // Found once and kept, as Meltano does.
  const discover = await measure(
    {
      file: installedProgram('tap-postgres', 'tap-postgres'),
      args: ['--config', join(folder, 'tap.json'), '--discover'],
      shown: 'tap-postgres --config tap.json --discover',
      keepOutput: true,
    },
    null,
  )
  const { streams } = JSON.parse(discover.output) as {
    readonly streams: readonly {
      readonly table_name: string
      readonly metadata: readonly { readonly metadata: object }[]
    }[]
  }
  const selected = streams
    .filter(({ table_name: table }) => table === set.name)
    .map((stream) => ({
      ...stream,
      metadata: stream.metadata.map((each) => ({ ...each, metadata: { ...each.metadata, selected: true } })),
    }))
  await write('catalog.json', { streams: selected })
}

const TO_JSON: readonly Job[] = [
  toJsonLines({
    name: 'row-to-json',
    title: 'psql COPY of row_to_json, to show what the server needs',
    by: 'control',
    on: { ...TO_JSON_LINES, events: null },
    probe: async () => Promise.resolve(probeProgram('psql')),
    command: ({ set, connection }, path) => {
      const copy = `COPY (SELECT row_to_json(${set.name}) FROM ${set.name}) TO STDOUT`
      return pipeline(
        `exec psql -X -q -c "$COPY" > "$FILE"`,
        { ...connection, COPY: copy, FILE: path },
        `psql -c '${copy}' > ${shownFile(path)}`,
      )
    },
  }),
  toJsonLines({
    name: 'sling-jsonl',
    title: 'sling to JSON Lines',
    on: { ...TO_JSON_LINES, events: null },
    alters: ['numeric as text', 'date as timestamp', 'text[] as text'],
    probe: probeSling,
    command: slingToFile,
  }),
  toJsonLines({
    name: 'singer-jsonl',
    title: 'tap-postgres and target-jsonl',
    probe: async () => {
      const tap = await probePackages('tap-postgres', 'meltanolabs-tap-postgres')
      const target = await probePackages('target-jsonl', 'target-jsonl')
      if ('absent' in tap) return tap
      return 'absent' in target ? target : { version: `${tap.version}, ${target.version}` }
    },
    prepare: prepareSinger,
    command: (_, path) =>
      pipeline(
        '"$TAP" --config "$SETTINGS/tap.json" --catalog "$SETTINGS/catalog.json" | "$TARGET" --config "$SETTINGS/target.json"',
        {
          TAP: installedProgram('tap-postgres', 'tap-postgres'),
          TARGET: installedProgram('target-jsonl', 'target-jsonl'),
          SETTINGS: singerFolder(path),
        },
        'tap-postgres --config tap.json --catalog catalog.json | target-jsonl --config target.json',
      ),
  }),
]

export const FILE_JOBS: readonly Job[] = [...TO_DUCKDB, ...TO_PARQUET, ...TO_JSON]
