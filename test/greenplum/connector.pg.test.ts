/** The configuration of the Greenplum connector as it stands, against a played cluster. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { queryFile } from '../cli/query-file.js'
import { makeFolder, runCli, type CliResult } from '../cli/run-cli.js'
import { onOldestServer, type TestDatabase } from '../server/servers.js'
import { installDouble } from './double-schema.js'
import { startGreenplumDouble, type GreenplumDouble } from './greenplum-double.js'

const EXAMPLE = join(import.meta.dirname, '../../examples/greenplum/configuration.json')

onOldestServer("The Greenplum connector's configuration, before a played cluster", (server) => {
  const folder = makeFolder()
  const file = join(folder, 'out.duckdb')
  let database: TestDatabase
  let double: GreenplumDouble

  beforeAll(async () => {
    database = await server.createDatabase()
    await installDouble(database)
    double = await startGreenplumDouble({ target: server })
    const text = (await readFile(EXAMPLE, 'utf8'))
      .replace('<YOUR_GREENPLUM_DATABASE_HOST>', '127.0.0.1')
      .replace('<YOUR_GREENPLUM_DATABASE_PORT>', String(double.port))
      .replace('<YOUR_GREENPLUM_DATABASE_NAME>', database.name)
      .replace('<YOUR_GREENPLUM_DATABASE_USERNAME>', database.user)
      .replace('<YOUR_GREENPLUM_DATABASE_PASSWORD>', 'not asked for')
    await writeFile(join(folder, 'configuration.json'), text)
  })
  afterAll(() => double.close())

  const run = (): Promise<CliResult> =>
    runCli(['sync', '-c', 'configuration.json', 'out.duckdb'], { cwd: folder })
  const landed = (): Promise<unknown[][]> =>
    queryFile(
      file,
      `SELECT application_name, query FROM main.sample_table WHERE datname = '${database.name}'
          AND application_name LIKE 'someone%' ORDER BY application_name`,
    )

  it('lands who does what, sessions of one database each as a row, read by a cursor at the server in one connection', async () => {
    const [first, second, silent] = await Promise.all([
      database.connect(),
      database.connect(),
      database.connect(),
    ])
    await first.query(`SET application_name = 'someone 1'`)
    await second.query(`SET application_name = 'someone 2'`)
    const before = double.statements.length
    expect(await run()).toMatchObject({ code: 0 })
    const sent = double.statements.slice(before)
    expect(sent.some(({ sql }) => /DECLARE .* CURSOR/s.test(sql))).toBe(true)
    const reading = sent.filter(({ sql }) =>
      /^(DECLARE|FETCH|COPY)|pg_export_snapshot|txid_current_snapshot/.test(sql.trim()),
    )
    expect(new Set(reading.map(({ session }) => session)).size).toBe(1)
    expect(await landed()).toEqual([
      ['someone 1', `SET application_name = 'someone 1'`],
      ['someone 2', `SET application_name = 'someone 2'`],
    ])
    const columns = await queryFile(file, `SELECT column_name FROM (DESCRIBE main.sample_table)`)
    expect(columns.flat()).toEqual(
      expect.arrayContaining(['datid', 'sess_id', 'query_start', 'waiting', 'rsgname']),
    )
    // A session that has asked nothing yet has no query_start, and breaks nothing.
    expect(await queryFile(file, 'SELECT count(*) FROM main.sample_table WHERE query_start IS NULL')).toEqual(
      [['0']],
    )
    await silent.end()

    await second.query('SELECT 2 AS later')
    await first.end()
    expect(await run()).toMatchObject({ code: 0 })
    expect(await landed()).toEqual([
      ['someone 1', `SET application_name = 'someone 1'`],
      ['someone 2', 'SELECT 2 AS later'],
    ])
    const [[saved]] = (await queryFile(file, `SELECT checkpoint FROM _trunkline.state`)) as [[string]]
    expect(JSON.parse(saved)).toMatchObject({
      kind: 'cursor',
      cursor: { field: 'query_start' },
      horizon: null,
    })
  })

  it('says what is wrong with the connection in its own words', async () => {
    const text = await readFile(join(folder, 'configuration.json'), 'utf8')
    await writeFile(join(folder, 'away.json'), text.replace(String(double.port), '1'))
    const { code, stderr } = await runCli(['sync', '-c', 'away.json', 'away.duckdb'], { cwd: folder })
    expect(code).not.toBe(0)
    expect(stderr).toContain('ConnectionError: Error connecting to Greenplum database: ')
  })
})
