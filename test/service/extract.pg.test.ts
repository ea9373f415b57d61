import { tableFromIPC } from 'apache-arrow'
import { beforeAll, describe, expect, test } from 'vitest'
import type { ConnectionInput } from '../../src/config/connection-input.js'
import { onNewestServer, type TestDatabase } from '../server/servers.js'
import { fullTable, linesOf, openService, readerOf, until } from './open-service.js'

/** More than one batch and than one page of the original's 10,000 rows. */
const ROWS = 25_000

onNewestServer('Extracting over HTTP', (server) => {
  let database: TestDatabase
  let reader: ConnectionInput

  beforeAll(async () => {
    database = await server.createDatabase()
    await database.sql(`
      CREATE TABLE users (id int PRIMARY KEY, name text, updated_at timestamptz NOT NULL);
      INSERT INTO users SELECT i, 'user ' || i, '2023-01-01Z'::timestamptz + i * interval '1 minute'
        FROM generate_series(1, ${ROWS}) AS i;
      CREATE VIEW recent AS SELECT id, name FROM users WHERE id > ${ROWS - 10};
      CREATE TABLE shuffled AS SELECT i AS id, i % 7 AS step FROM generate_series(1, 3000) AS i ORDER BY md5(i::text);
      INSERT INTO shuffled VALUES (0, NULL);
      CREATE SCHEMA sales;
      CREATE TABLE sales.orders (id int);
      CREATE TABLE nothing (id int, "odd ""name" text)`)
    reader = await readerOf(database)
  })

  const open = (settings = {}) => openService({ connections: new Map([['shop', reader]]), settings })

  test('a full table gives all records, one JSON object a line, and says that they are complete', async () => {
    const service = await open()
    const response = await service.extract({ mode: { fullTable: { entity: 'users' } } })
    expect(response.status).toBe(200)
    expect(response.headers.get('content-type')).toBe('application/x-ndjson; charset=utf-8')
    expect(response.headers.get('trunkline-stream')).toBe('public.users')
    const rows = linesOf(await response.text())
    expect(rows).toHaveLength(ROWS)
    expect(rows[0]).toEqual({ id: 1, name: 'user 1', updated_at: '2023-01-01T00:01:00Z' })
  })

  test('an incremental extraction gives the rows above the cursor, in its order, and the cursor to go on from', async () => {
    const service = await open()
    const cursor = '2023-01-15T00:00:00Z'
    const ask = (more = {}) =>
      service.extract({
        mode: { incremental: { entity: 'users', cursorField: 'updated_at', cursor, ...more } },
      })
    const above = linesOf(await (await ask()).text()).map(({ updated_at }) => updated_at)
    expect(above).toHaveLength(ROWS - 14 * 24 * 60)
    expect(above).toEqual([...above].sort())
    expect(above[0]).toBe('2023-01-15T00:01:00Z')
    const from = linesOf(await (await ask({ inclusive: true })).text()).map(({ updated_at }) => updated_at)
    expect(from[0]).toBe(cursor)
  })

  test('a sequence can be the cursor, and without one all rows that have a value come', async () => {
    const service = await open()
    const rowsOf = async (incremental: object): Promise<unknown[]> =>
      linesOf(
        await (
          await service.extract({
            mode: { incremental: { entity: 'users', cursorField: 'id', ...incremental } },
          })
        ).text(),
      ).map(({ id }) => id)
    expect(await rowsOf({ cursor: ROWS - 3 })).toEqual([ROWS - 2, ROWS - 1, ROWS])
    expect(await rowsOf({ cursor: String(ROWS - 3) })).toEqual([ROWS - 2, ROWS - 1, ROWS])
    expect(await rowsOf({ cursor: null })).toHaveLength(ROWS)
  })

  test('rows come in the order of the cursor, however they lie, and those that have none are left out', async () => {
    const service = await open()
    const stepsOf = async (incremental: object): Promise<unknown[]> => {
      const mode = { incremental: { entity: 'shuffled', cursorField: 'step', ...incremental } }
      return linesOf(await (await service.extract({ mode })).text()).map(({ step }) => step)
    }
    const all = await stepsOf({})
    expect(all).toHaveLength(3000)
    expect(all).toEqual([...all].sort())
    expect(new Set(await stepsOf({ cursor: 4 }))).toEqual(new Set([5, 6]))
    expect(new Set(await stepsOf({ cursor: 4, inclusive: true }))).toEqual(new Set([4, 5, 6]))
  })

  test('a cursor is a value, whatever is written in it', async () => {
    const service = await open()
    for (const cursor of ["z' OR true --", "z\\' OR true --", "z'' OR true --"]) {
      const response = await service.extract({
        mode: { incremental: { entity: 'users', cursorField: 'name', cursor } },
      })
      expect([response.status, await response.text()]).toEqual([200, ''])
    }
    const unknown = await service.extract({
      mode: { incremental: { entity: 'users', cursorField: 'id" = 1 OR "id', cursor: 1 } },
    })
    expect(unknown.status).toBe(404)
    expect(await unknown.json()).toMatchObject({
      error: { code: 'STREAM_MISSING', hint: 'Its columns: id, name, updated_at.' },
    })
  })

  test('an Arrow stream has the rows, its end marker, and batches of bounded size', async () => {
    const service = await open()
    const response = await service.extract(fullTable('users'), {
      headers: { accept: 'application/vnd.apache.arrow.stream' },
    })
    expect(response.headers.get('content-type')).toBe('application/vnd.apache.arrow.stream')
    const bytes = Buffer.from(await response.arrayBuffer())
    expect(bytes.subarray(-8).toString('hex')).toBe('ffffffff00000000')
    const table = tableFromIPC(bytes)
    expect(table.numRows).toBe(ROWS)
    expect(table.schema.fields.map(({ name, type }) => `${name} ${type.toString()}`)).toEqual([
      'id Int32',
      'name Utf8',
      'updated_at Timestamp<MICROSECOND, UTC>',
    ])
    expect(table.batches.length).toBeGreaterThan(1)
  })

  test('an empty table gives no lines, or an Arrow stream with its schema', async () => {
    const service = await open()
    const text = await service.extract(fullTable('nothing'))
    expect([text.status, await text.text()]).toEqual([200, ''])
    const arrow = await service.extract({ ...fullTable('nothing'), format: 'arrow' })
    const table = tableFromIPC(Buffer.from(await arrow.arrayBuffer()))
    expect([table.numRows, table.schema.names]).toEqual([0, ['id', 'odd "name']])
  })

  test('columns, excluded columns and a limit narrow what comes', async () => {
    const service = await open()
    const narrow = await service.extract({ ...fullTable('users'), columns: ['name', 'id'], limit: 2 })
    expect(await narrow.text()).toBe('{"name":"user 1","id":1}\n{"name":"user 2","id":2}\n')
    const without = await service.extract({
      ...fullTable('users'),
      excludeColumns: ['name'],
      limit: 1,
      format: 'arrow',
    })
    const table = tableFromIPC(Buffer.from(await without.arrayBuffer()))
    expect([table.numRows, table.schema.names]).toEqual([1, ['id', 'updated_at']])
    await until(async () => (await sessions()) <= 1)
  })

  test('views, tables of other schemas and configured queries are entities, too', async () => {
    await database.sql(`GRANT USAGE ON SCHEMA sales TO PUBLIC; GRANT SELECT ON sales.orders TO PUBLIC`)
    const sync = {
      connection: reader,
      destination: 'duckdb:unused.duckdb',
      destinationPlace: null,
      options: { streams: { few: { sql: 'SELECT count(*) AS n FROM public.users' } } },
    }
    const service = await openService({
      connections: new Map([['shop', reader]]),
      syncs: new Map([['shop', sync]]),
    })
    const textOf = async (entity: string): Promise<string> =>
      (await service.extract(fullTable(entity))).text()
    expect(linesOf(await textOf('recent'))).toHaveLength(10)
    expect(await textOf('sales.orders')).toBe('')
    expect(await textOf('few')).toBe(`{"n":${ROWS}}\n`)
  })

  test.each([
    ['an entity that is not there', fullTable('userz'), 404, 'STREAM_MISSING', /users/],
    ['a wildcard', fullTable('public.*'), 400, 'REQUEST_INVALID', /double quotes/],
    [
      'a source that is not there',
      { ...fullTable('users'), source: 'shops' },
      404,
      'NOT_FOUND',
      /Did you mean `shop`/,
    ],
    ['no mode', {}, 400, 'REQUEST_INVALID', /openapi/],
    ['an unknown key', { ...fullTable('users'), hooks: './hook.js' }, 400, 'REQUEST_INVALID', /openapi/],
    [
      'a condition, which is SQL',
      { ...fullTable('users'), where: 'true' },
      403,
      'REQUEST_INVALID',
      /--allow-inline/,
    ],
    ['a query', { mode: { query: { sql: 'SELECT 1' } } }, 403, 'REQUEST_INVALID', /--allow-inline/],
    [
      'a connection',
      { ...fullTable('users'), connection: 'postgresql://x@127.0.0.1/x' },
      403,
      'REQUEST_INVALID',
      /--allow-inline/,
    ],
    [
      'a column that is not there',
      { ...fullTable('users'), columns: ['nam'] },
      404,
      'STREAM_MISSING',
      /id, name/,
    ],
    ['a limit of nothing', { ...fullTable('users'), limit: 0 }, 400, 'REQUEST_INVALID', /openapi/],
  ])('%s is refused before anything is sent', async (_, body, status, code, hint) => {
    const service = await open()
    const response = await service.extract(body)
    const { error } = (await response.json()) as { error: { code: string; hint: string } }
    expect([response.status, error.code]).toEqual([status, code])
    expect(error.hint).toMatch(hint)
  })

  test('a value that the cursor column cannot have is refused in the words of the server', async () => {
    const service = await open()
    const response = await service.extract({
      mode: { incremental: { entity: 'users', cursorField: 'updated_at', cursor: 'yesterday or so' } },
    })
    expect(response.status).toBeGreaterThanOrEqual(400)
    expect(response.status).toBeLessThan(500)
    expect(await response.text()).not.toContain('yesterday or so')
  })

  test('without an acceptable type nothing is sent', async () => {
    const service = await open()
    const response = await service.extract(fullTable('users'), { headers: { accept: 'image/png' } })
    expect(response.status).toBe(406)
  })

  test('the role may read only what it was granted', async () => {
    await database.sql('CREATE TABLE secret (id int)')
    const service = await open()
    const response = await service.extract(fullTable('secret'))
    expect([response.status, await response.json()]).toMatchObject([
      403,
      { error: { code: 'PERMISSION_DENIED' } },
    ])
  })

  test('a role that could do more than read is refused, unless it is allowed', async () => {
    const connections = new Map([['shop', { url: database.url, options: {}, place: null }]])
    const service = await openService({ connections })
    const refused = await service.extract(fullTable('users'))
    expect([refused.status, await refused.json()]).toMatchObject([
      403,
      { error: { code: 'PRIVILEGED_ROLE' } },
    ])
    expect((await service.ask('/catalog')).status).toBe(403)
    const allowing = await openService({ connections, settings: { allowPrivilegedRole: true } })
    expect(linesOf(await (await allowing.extract(fullTable('recent'))).text())).toHaveLength(10)
  })

  describe('with inline SQL allowed', () => {
    test('a query and a condition are read', async () => {
      const service = await open({ allowInline: true })
      const query = await service.extract({ mode: { query: { sql: 'SELECT 7 AS n' } } })
      expect(await query.text()).toBe('{"n":7}\n')
      const narrowed = await service.extract({ ...fullTable('users'), where: 'id <= 3', columns: ['id'] })
      expect(linesOf(await narrowed.text())).toHaveLength(3)
      const two = await service.extract({ mode: { query: { sql: 'SELECT 1; SELECT 2' } } })
      expect([two.status, await two.json()]).toMatchObject([422, { error: { code: 'CUSTOM_SQL_INVALID' } }])
    })

    test('a connection goes to hosts that are named, and to nothing else', async () => {
      const allowed = await open({ allowInline: true, allowHosts: ['127.0.0.0/8'] })
      const connection = reader.url ?? ''
      const response = await allowed.extract({ ...fullTable('recent'), connection })
      expect(linesOf(await response.text())).toHaveLength(10)
      const refusals: [string, RegExp][] = [
        [connection.replace('127.0.0.1', '10.0.0.1'), /not among allow_hosts/],
        [connection.replace('127.0.0.1', 'localhost'), /not among allow_hosts/],
        [`${connection}?passfile=/etc/passwd`, /sets .*passfile/],
        [`${connection}?host=/tmp`, /no host by name or address/],
        ['host=127.0.0.1 user=x', /not a postgresql:/],
      ]
      for (const [stated, why] of refusals) {
        const refused = await allowed.extract({ ...fullTable('recent'), connection: stated })
        expect(refused.status).toBe(400)
        expect(await refused.text()).toMatch(why)
      }
      const byName = await open({ allowInline: true, allowHosts: ['localhost'] })
      const rebound = await byName.extract({
        ...fullTable('recent'),
        connection: connection.replace('127.0.0.1', 'localhost'),
      })
      expect(await rebound.text()).toMatch(/leads to an address of this machine/)
    })
  })

  async function sessions(): Promise<number> {
    const [row] = await database.sql<{ n: string }>(
      `SELECT count(*) AS n FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'trunkline%'`,
    )
    return Number(row?.n)
  }
})
