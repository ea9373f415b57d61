/**
 * Two tables that say what the tables and columns of the source were at each run: `postgres_table` and `postgres_column`. Every
 * run adds its rows, told apart by `timestamp`, which is part of their keys.
 */
import { buildBatch } from '../batch/build-batch.js'
import type { Value } from '../batch/rows.js'
import type { CatalogColumn, CatalogStream, RelationKind } from '../model/catalog.js'
import type { Checkpoint, SourcePosition } from '../model/checkpoint.js'
import type { ColumnType, Field } from '../model/column-type.js'
import type { Destination, StreamState, TableName } from '../destination/contract.js'

export interface MetadataTable {
  /** Also the name of its table. */
  readonly name: string
  readonly comment: string
  readonly key: readonly string[]
  readonly fields: readonly Field[]
  readonly rows: readonly (readonly Value[])[]
}

const TEXT: ColumnType = { kind: 'text' }
const field = (name: string, nullable = false, type: ColumnType = TEXT): Field => ({ name, type, nullable })
const TIMESTAMP = field('timestamp', false, { kind: 'timestamp', utc: true })

/** Names of the streams, which no table of a source can have. */
export const METADATA_STREAMS = ['postgres_table', 'postgres_column'] as const

/** @param at of the run */
export function describeMetadata(streams: readonly CatalogStream[], at: Date): readonly MetadataTable[] {
  const timestamp = at.toISOString()
  return [
    {
      name: METADATA_STREAMS[0],
      comment: 'The tables of the source, as each run found them.',
      key: ['table_name', 'timestamp'],
      fields: [
        field('table_name'),
        field('schema_name'),
        field('table_type'),
        TIMESTAMP,
        field('comment', true),
      ],
      rows: streams.map((stream) => [
        stream.table,
        stream.schema,
        TABLE_TYPES[stream.kind],
        timestamp,
        stream.comment,
      ]),
    },
    {
      name: METADATA_STREAMS[1],
      comment: 'The columns of the source, as each run found them.',
      key: ['table_name', 'column_name', 'timestamp'],
      fields: [
        field('table_name'),
        field('column_name'),
        field('data_type'),
        field('column_default', true),
        field('is_nullable'),
        field('character_maximum_length', true, { kind: 'int', bits: 32 }),
        TIMESTAMP,
        // Two schemas may have tables of one name.
        field('schema_name'),
      ],
      rows: streams.flatMap((stream) =>
        stream.columns.map((column) => [
          stream.table,
          column.name,
          dataType(column),
          column.default,
          column.nullable ? 'YES' : 'NO',
          maximumLength(column),
          timestamp,
          stream.schema,
        ]),
      ),
    },
  ]
}

/** As information_schema.tables calls them, where it does. */
const TABLE_TYPES: Readonly<Record<RelationKind, string>> = {
  table: 'BASE TABLE',
  partitioned: 'BASE TABLE',
  inherited: 'BASE TABLE',
  view: 'VIEW',
  matview: 'MATERIALIZED VIEW',
  foreign: 'FOREIGN',
  query: 'QUERY',
}

/** What the columns of a domain are called: their own name is the domain's. */
const BASE_TYPES: Readonly<Record<string, string>> = {
  bool: 'boolean',
  int2: 'smallint',
  int4: 'integer',
  int8: 'bigint',
  float4: 'real',
  float8: 'double precision',
  varchar: 'character varying',
  bpchar: 'character',
  varbit: 'bit varying',
  time: 'time without time zone',
  timetz: 'time with time zone',
  timestamp: 'timestamp without time zone',
  timestamptz: 'timestamp with time zone',
}

/** As information_schema.columns says it: without modifiers, ARRAY, USER-DEFINED. */
function dataType(column: CatalogColumn): string {
  if (column.elementType !== null) return 'ARRAY'
  if (column.typeSchema !== 'pg_catalog') return 'USER-DEFINED'
  if (column.domain !== null) return BASE_TYPES[column.typeName] ?? column.typeName
  return column.sqlType.replace(/\s*\([^)]*\)/, '')
}

/** Bytes of the length that a modifier of these types counts, too. */
const LENGTH_HEADER = 4

function maximumLength({ typeName, modifier }: CatalogColumn): number | null {
  if (modifier < 0) return null
  if (typeName === 'varchar' || typeName === 'bpchar') return modifier - LENGTH_HEADER
  return typeName === 'bit' || typeName === 'varbit' ? modifier : null
}

export interface MetadataLanding {
  readonly destination: Destination
  readonly table: TableName
  readonly state: StreamState | null
  readonly position: SourcePosition
}

/** Adds the rows to those that are there, in one commit. @throws TrunklineError; nothing of them is there then. */
export async function landMetadata(
  metadata: MetadataTable,
  { destination, table, state, position }: MetadataLanding,
): Promise<{ readonly generation: number; readonly runSeq: number }> {
  const { name, comment, key, fields, rows } = metadata
  const generation = state?.generation ?? 1
  const writer = await destination.begin({
    stream: name,
    table,
    fields,
    comments: { table: comment, columns: {} },
    key: null,
    landing: 'append',
    generation,
    expectedRunSeq: state?.runSeq ?? 0,
    deletes: 'ignore',
    runAt: null,
  })
  try {
    await writer.write(buildBatch(fields, rows))
    await writer.commit(checkpointOf(position, fields, key))
  } catch (error) {
    await writer.abort()
    throw error
  }
  return { generation, runSeq: (state?.runSeq ?? 0) + 1 }
}

/** Nothing is continued from: what is there stays, and each run adds its own. */
function checkpointOf(
  position: SourcePosition,
  fields: readonly Field[],
  key: readonly string[],
): Checkpoint {
  const columns = fields.map(({ name, type }, index) => ({
    name,
    number: index + 1,
    sqlType: type.kind,
    landing: type.kind,
  }))
  return {
    format: 1,
    kind: 'full',
    source: position,
    stream: { oid: 0, leaves: [], columns, key: [...key], where: null, sql: null },
  }
}
