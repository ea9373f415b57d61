import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { beforeAll, expect, test } from 'vitest'
import type { LogFields, Logger } from '../../src/model/log.js'
import { silentLogger } from '../../src/model/log.js'
import { onNewestServer, type TestDatabase } from '../server/servers.js'
import { openSource } from './open-source.js'

onNewestServer('connecting', (server) => {
  let database: TestDatabase
  beforeAll(async () => {
    database = await server.createDatabase()
  })

  test('a connection that was made is logged, with where and how, and without the password', async () => {
    const role = await database.createRole("PASSWORD 'kanarienvogel4712'")
    const logged: { readonly fields: LogFields; readonly message: string }[] = []
    const logger: Logger = { ...silentLogger, debug: (fields, message) => logged.push({ fields, message }) }
    const url = role.url.replace('@', ':kanarienvogel4712@')
    await using source = await openSource(url, { logger })
    await source.check()
    expect(logged).toContainEqual({
      message: 'connected',
      fields: {
        host: `127.0.0.1:${database.port}`,
        database: database.name,
        tls: null,
        ms: expect.any(Number) as number,
      },
    })
    expect(JSON.stringify(logged)).not.toContain('kanarienvogel')
  })

  test('the name of the application is visible on the server, for every connection', async () => {
    await using named = await openSource(`${database.url}?application_name=nightly`)
    await using unnamed = await openSource(database.url)
    await named.check()
    await unnamed.check()
    const sessions = await database.sql(
      `SELECT application_name AS name FROM pg_stat_activity
        WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid() ORDER BY 1`,
    )
    expect(sessions.map(({ name }) => name)).toEqual(expect.arrayContaining(['nightly', 'trunkline']))
  })

  test('an error keeps what it came from as its cause, down to the system', async () => {
    const free = createServer().listen(0, '127.0.0.1')
    await new Promise((resolve) => free.once('listening', resolve))
    const { port } = free.address() as AddressInfo
    await new Promise((resolve) => free.close(resolve))
    await using source = await openSource(`postgresql://postgres@127.0.0.1:${port}/x`)
    const codes: unknown[] = []
    const failure: unknown = await source.check().then(
      () => null,
      (error: unknown) => error,
    )
    for (let error = failure; error instanceof Error; error = error.cause) {
      codes.push((error as NodeJS.ErrnoException).code)
    }
    expect(codes[0]).toBe('CONNECT_FAILED')
    expect(codes.at(-1)).toBe('ECONNREFUSED')
    await using missing = await openSource(database.url.replace(database.name, 'not_there'))
    await expect(missing.check()).rejects.toMatchObject({
      code: 'DATABASE_MISSING',
      context: { sqlstate: '3D000' },
    })
    await using working = await openSource(database.url)
    const queries = [{ name: 'q', sql: 'SELECT missing FROM pg_class', primaryKey: null }]
    const refused = working.discover({ select: [], exclude: ['*'] }, { queries, allowPrivilegedRole: true })
    await expect(refused).rejects.toMatchObject({
      context: { sqlstate: '42703' },
      cause: { code: 'STREAM_MISSING', context: { sqlstate: '42703' } },
    })
  })

  test('a table with large objects says that only their numbers are copied, and an oid column without them as well', async () => {
    await database.sql('CREATE TABLE pictures (id int PRIMARY KEY, picture oid); SELECT lo_create(0)')
    await using source = await openSource(database.url)
    const { streams } = await source.discover({ select: ['public.pictures'], exclude: [] })
    const [, picture] = streams.flatMap((stream) =>
      source.mapColumns(stream, {
        types: {},
        specialNumeric: 'error',
        specialTemporal: 'error',
        invalidUtf8: 'error',
      }),
    )
    expect(picture?.loss).toBe('Only the number is copied; a large object that it refers to is not.')
  })
})
