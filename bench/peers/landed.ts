/**
 * Is what another program landed what the source holds? The same checksum as for Trunkline's landings, over values that are
 * first brought to the forms it compares. Where a program lands a value in another form (a number as text, char(n) without its
 * blanks), the form is undone, or on both sides written the same way, and named: a job says beforehand which forms its program
 * changes, and any other is wrong.
 */
import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api'
import pg from 'pg'
import { checksumQuery, compareChecksums } from '../check.js'
import type { DataSet, DataSetColumn } from '../data-sets.js'
import type { JobContext } from '../job.js'

/** How the value of a column came, where not as itself. */
export type Alteration =
  | 'integer as bigint'
  | 'numeric(15,2) as decimal(38,10)'
  | 'numeric as text'
  | 'date as timestamp'
  | 'char(n) without its blanks'
  | 'uuid as text'
  | 'jsonb written anew'
  | 'text[] as text'

/** A column as both sides are asked for it: `landed` in DuckDB's SQL, `source` in PostgreSQL's. */
interface Compared {
  readonly landed: string
  readonly source: string
  readonly alteration?: Alteration
}

export interface Landed {
  /** What DuckDB's FROM takes. */
  readonly relation: string
  /** The DuckDB file that holds it, if one does. */
  readonly path?: string
  /** Statements that make the relation, where no file holds it. */
  readonly setup?: string
  readonly alters: ReadonlySet<Alteration>
  /** The file itself is JSON, so that blanks and the order of keys in a value mean nothing. */
  readonly inJson?: boolean
}

/** What is wrong with what landed, or null. */
export async function checkLanded(
  { set, client }: Pick<JobContext, 'set' | 'client'>,
  { path, setup, relation, alters, inJson = false }: Landed,
): Promise<string | null> {
  const instance = await DuckDBInstance.create(path, path === undefined ? {} : { access_mode: 'READ_ONLY' })
  try {
    const connection = await instance.connect()
    await connection.run("SET TimeZone = 'UTC'")
    if (setup !== undefined) await connection.run(setup)
    const types = await landedTypes(connection, relation)
    const columns: Compared[] = []
    for (const column of set.columns) {
      const type = types.get(column.name)
      if (type === undefined) return `${set.name} came without ${column.name}`
      columns.push(await compareAs(connection, relation, column, type))
    }
    for (const { alteration } of columns) {
      if (alteration === undefined || (inJson && alteration === 'jsonb written anew')) continue
      if (!alters.has(alteration)) return `${set.name}: ${alteration} was not expected`
    }
    const project = (side: 'landed' | 'source', from: string): string =>
      `(SELECT ${columns.map((column, index) => `${column[side]} AS ${set.columns[index]?.name ?? ''}`).join(', ')} FROM ${from}) AS compared`
    const landed = await readOne(connection, checksumQuery(set, 'duckdb', project('landed', relation)))
    const source = await sourceChecksum(
      client,
      checksumQuery(set, 'postgres', project('source', `public.${set.name}`)),
    )
    return compareChecksums(set, source, landed)
  } finally {
    instance.closeSync()
  }
}

/** The same for a table of the same name in another PostgreSQL database, where every value must be itself. */
export async function checkTable(
  set: DataSet,
  connection: pg.ClientConfig,
  checksum: string,
): Promise<string | null> {
  const target = new pg.Client(connection)
  await target.connect()
  try {
    const { rows } = await target.query<{ checksum: string }>(
      checksumQuery(set, 'postgres', `public.${set.name}`),
    )
    return compareChecksums(set, checksum, rows[0]?.checksum ?? '')
  } finally {
    await target.end()
  }
}

async function landedTypes(
  connection: DuckDBConnection,
  relation: string,
): Promise<ReadonlyMap<string, string>> {
  const rows = (await connection.runAndReadAll(`DESCRIBE FROM ${relation}`)).getRows()
  return new Map(rows.map(([name, type]) => [String(name), String(type)]))
}

async function readOne(connection: DuckDBConnection, sql: string): Promise<string> {
  return String((await connection.runAndReadAll(sql)).getRows()[0]?.[0] ?? '')
}

/** The sources do not change while peers are measured, and a checksum takes as long as a landing. */
const sourceChecksums = new WeakMap<pg.Client, Map<string, string>>()

async function sourceChecksum(client: pg.Client, sql: string): Promise<string> {
  const known = sourceChecksums.get(client) ?? new Map<string, string>()
  const before = known.get(sql)
  if (before !== undefined) return before
  const { rows } = await client.query<{ checksum: string }>(sql)
  const checksum = rows[0]?.checksum ?? ''
  sourceChecksums.set(client, known.set(sql, checksum))
  return checksum
}

async function compareAs(
  connection: DuckDBConnection,
  relation: string,
  { name, type: declared, check }: DataSetColumn,
  type: string,
): Promise<Compared> {
  const any = async (condition: string): Promise<boolean> =>
    (await readOne(connection, `SELECT count(*) > 0 FROM ${relation} WHERE ${condition}`)) === 'true'
  const same = { landed: name, source: name }
  switch (check) {
    case 'integer': {
      const widened = declared === 'integer' && type === 'BIGINT'
      return widened ? { ...same, alteration: 'integer as bigint' } : same
    }
    case 'hundredths': {
      const landed = `CAST(${type === 'JSON' ? textOf(name) : name} AS DECIMAL(15,2))`
      const inJson = type === 'JSON' && !(await any(`starts_with(CAST(${name} AS varchar), '"')`))
      if (inJson) return { landed, source: name }
      if (type === 'VARCHAR' || type === 'JSON')
        return { landed, source: name, alteration: 'numeric as text' }
      return type === 'DECIMAL(38,10)' ? { ...same, alteration: 'numeric(15,2) as decimal(38,10)' } : same
    }
    case 'date': {
      const landed = `CAST(${name} AS DATE)`
      if (type === 'VARCHAR' && !(await any(`contains(${name}, 'T')`))) return { landed, source: name }
      return type === 'DATE' ? same : { landed, source: name, alteration: 'date as timestamp' }
    }
    case 'timestamp':
      return { landed: `CAST(${name} AS TIMESTAMPTZ)`, source: name }
    case 'padded': {
      const length = /\((\d+)\)/.exec(declared)?.[1] ?? '1'
      if (!(await any(`length(${name}) < ${length}`))) return same
      // To text and back: what char(n) does to its blanks in a comparison.
      return { landed: name, source: `${name}::text::bpchar`, alteration: 'char(n) without its blanks' }
    }
    case 'text':
      return declared === 'uuid' && type === 'VARCHAR' ? { ...same, alteration: 'uuid as text' } : same
    case 'json':
      if (await any(`contains(CAST(${name} AS varchar), '": ')`)) return same
      return { landed: landedJson(name), source: sourceJson(name), alteration: 'jsonb written anew' }
    case 'array': {
      const text = type === 'JSON' ? textOf(name) : name
      if ((type === 'JSON' || type === 'VARCHAR') && (await any(`starts_with(${text}, '{')`))) {
        return { landed: fromArrayText(text), source: name, alteration: 'text[] as text' }
      }
      return type.endsWith('[]') ? { landed: `CAST(to_json(${name}) AS varchar)`, source: name } : same
    }
  }
}

/** The members in the order of their keys, values without blanks: jsonb has an order of its own, which others do not keep. */
function sourceJson(name: string): string {
  const compact = `replace(replace(value::text, '": ', '":'), ', ', ',')`
  return `(SELECT string_agg(key || '=' || ${compact}, ',' ORDER BY key COLLATE "C") FROM jsonb_each(${name}))`
}

function landedJson(name: string): string {
  const member = `key || '=' || CAST(json_extract(CAST(${name} AS JSON), '$.' || key) AS varchar)`
  return `array_to_string(list_transform(list_sort(json_keys(CAST(${name} AS JSON))), lambda key: ${member}), ',')`
}

/** A member of JSON as text: a string without its quotes, anything else as it is written. */
const textOf = (name: string): string => `(${name} ->> '$')`

/** `{a,NULL,b}` as JSON, for words that need no quotes: no others are in the data sets. */
function fromArrayText(text: string): string {
  const words = `list_transform(string_split(${text}[2:-2], ','), lambda word: nullif(word, 'NULL'))`
  return `CASE ${text} WHEN '{}' THEN '[]' ELSE CAST(to_json(${words}) AS varchar) END`
}
