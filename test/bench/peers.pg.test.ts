import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import pg from 'pg'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type DataSet, buildStatements, describeDataSets } from '../../bench/data-sets.js'
import type { Job, JobContext } from '../../bench/job.js'
import { PEER_JOBS } from '../../bench/peers/jobs.js'
import { type TestDatabase, onNewestServer } from '../server/servers.js'

const { lineitem, events } = describeDataSets(0.0001)
/** PostgreSQL's names of types that DuckDB does not know, or that would change the values. */
const TYPES: Readonly<Record<string, string>> = {
  'double precision': 'double',
  'text[]': 'varchar[]',
  // Read as text, jsonb stays as the server writes it.
  jsonb: 'varchar',
}
const duckDbType = (type: string): string => TYPES[type] ?? (/^(var)?char/.test(type) ? 'varchar' : type)

onNewestServer('the check of what other programs landed', (server) => {
  let database: TestDatabase
  let client: pg.Client
  let folder: string

  beforeAll(async () => {
    database = await server.createDatabase()
    for (const set of [lineitem, events]) {
      for (const statement of buildStatements(set)) await database.sql(statement)
    }
    client = new pg.Client({ connectionString: database.url })
    await client.connect()
    folder = await mkdtemp(join(tmpdir(), 'trunkline-peers-'))
  })
  afterAll(async () => {
    await client.end()
    await rm(folder, { recursive: true, force: true })
  })

  function jobNamed(name: string): Job {
    const job = PEER_JOBS.find((each) => each.name === name)
    if (job === undefined) throw new Error(`there is no job ${name}`)
    return job
  }

  const contextOf = (set: DataSet): JobContext => ({
    set: { ...set, copyBytes: 0, checksum: '' },
    connection: {},
    url: database.url,
    client,
    folder,
    run: 0,
  })

  const check = async (job: string, set: DataSet): Promise<string | null | undefined> =>
    jobNamed(job).check?.(contextOf(set), '')

  const landingOf = (job: string, set: DataSet, ending: string): string =>
    join(folder, `${job}-${set.name}.${ending}`)

  async function writeJsonLines(
    path: string,
    set: DataSet,
    { jsonAsText = false, change = (line: string): string => line } = {},
  ): Promise<void> {
    const columns = set.columns.map(({ name, type }) =>
      type === 'jsonb' && jsonAsText ? `${name}::text AS ${name}` : name,
    )
    const rows = await database.sql(
      `SELECT row_to_json(t)::text AS line FROM (SELECT ${columns.join(', ')} FROM ${set.name}) AS t`,
    )
    await writeFile(path, rows.map(({ line }) => `${change(line ?? '')}\n`).join(''))
  }

  /** The source's rows in DuckDB, with columns changed as a program changes them, both in DuckDB's SQL. */
  async function landInDuckDb(job: string, set: DataSet, replaced: string, then?: string): Promise<void> {
    const lines = join(folder, 'source.jsonl')
    await writeJsonLines(lines, set, { jsonAsText: true })
    const path = landingOf(job, set, 'duckdb')
    await rm(path, { force: true })
    const instance = await DuckDBInstance.create(path)
    const connection = await instance.connect()
    const columns = set.columns.map(({ name, type }) => `${name}: '${duckDbType(type)}'`).join(', ')
    const from = `read_json('${lines}', format = 'newline_delimited', columns = {${columns}})`
    await connection.run("SET TimeZone = 'UTC'")
    await connection.run('CREATE SCHEMA public')
    const replace = replaced === '' ? '' : `REPLACE (${replaced})`
    await connection.run(`CREATE TABLE public.${set.name} AS SELECT * ${replace} FROM ${from}`)
    if (then !== undefined) await connection.run(`UPDATE public.${set.name} SET ${then}`)
    connection.closeSync()
    instance.closeSync()
  }

  it('finds nothing wrong with a true copy, and takes it away', async () => {
    for (const set of [lineitem, events]) {
      await writeJsonLines(landingOf('row-to-json', set, 'jsonl'), set)
      expect(await check('row-to-json', set)).toBeNull()
      expect(existsSync(landingOf('row-to-json', set, 'jsonl'))).toBe(false)
      await landInDuckDb('duckdb-postgres', set, '')
      expect(await check('duckdb-postgres', set)).toBeNull()
    }
  })

  it('finds a value that differs, and leaves the file to be looked at', async () => {
    const path = landingOf('row-to-json', events, 'jsonl')
    await writeJsonLines(path, events, { change: (line) => line.replace('"id":17,', '"id":18,') })
    expect(await check('row-to-json', events)).toContain('id: sum')
    expect(existsSync(path)).toBe(true)
  })

  it('finds a column that did not come', async () => {
    await landInDuckDb('duckdb-postgres', { ...events, columns: events.columns.slice(0, -1) }, '')
    expect(await check('duckdb-postgres', events)).toBe('events came without note')
  })

  const trimmed = 'rtrim(l_shipmode) AS l_shipmode, rtrim(l_shipinstruct) AS l_shipinstruct'
  const asText = ['l_quantity', 'l_extendedprice', 'l_discount', 'l_tax']
    .map((name) => `CAST(${name} AS varchar) AS ${name}`)
    .join(', ')
  const members = ['session', 'ref', 'path', 'ms', 'flags'].map(
    (key) => `'${key}', json_extract(payload, '$.${key}')`,
  )
  const anew = `CAST(json_object(${members.join(', ')}) AS varchar) AS payload`
  const list = "list_transform(tags, lambda tag: coalesce(tag, 'NULL'))"
  const arrayText = `'{' || array_to_string(${list}, ',') || '}' AS tags`

  it.each([
    ['char(n) without its blanks', 'duckdb-postgres', lineitem, trimmed, "l_shipmode = 'XRAY'"],
    ['numeric as text', 'adbc-duckdb', lineitem, asText, "l_tax = '0.09'"],
    ['jsonb written anew', 'connectorx-duckdb', events, anew, `payload = replace(payload, '/', '-')`],
    ['text[] as text', 'sling-duckdb', events, arrayText, "tags = '{wrong}' WHERE tags = '{}'"],
  ])(
    'undoes %s for the program that lands so, and for no other',
    async (alteration, job, set, replaced, wrong) => {
      await landInDuckDb(job, set, replaced)
      expect(await check(job, set)).toBeNull()
      await landInDuckDb(job, set, replaced, wrong)
      expect(await check(job, set)).toContain(`${set.name}, `)
      await landInDuckDb('query-stream-duckdb', set, replaced)
      expect(await check('query-stream-duckdb', set)).toBe(`${set.name}: ${alteration} was not expected`)
    },
  )

  it('finds a number of rows that is not that of the table', async () => {
    const rows = String(lineitem.rows)
    expect(await jobNamed('pg-cursor').check?.(contextOf(lineitem), `${rows}\n`)).toBeNull()
    expect(await jobNamed('pg-cursor').check?.(contextOf(lineitem), '7\n')).toBe(`7 rows came of ${rows}`)
  })
})
