/**
 * Real servers for tests. `onEachServer` runs a block against every major under test (TRUNKLINE_TEST_PG, default 12,15,18)
 * on servers that the files of a worker share, so: a database of one's own, roles by `createRole`, and nothing that changes the
 * server. What needs a configuration, a crash or a standby of its own takes `startServer`.
 *
 * Which majors a block is worth: `onEachServer` where catalogs, types or the protocol are what is tested; `onOldestAndNewestServer`
 * where a whole run is, whose code takes another way on old servers; `onNewestServer` where versions make no difference.
 */
import { randomBytes } from 'node:crypto'
import pg from 'pg'
import { afterAll, afterEach, describe, inject } from 'vitest'
import { parseMajors } from '../../scripts/servers/install.mjs'
import { type Server, type ServerOptions, startServer as launch } from '../../scripts/servers/server.js'
import type { SharedServer } from './global-setup.js'
import { SERVER_SETTINGS } from './server-settings.js'

export interface TestServer {
  readonly major: number
  readonly host: string
  readonly port: number
  readonly socketDir: string
  /** A fresh, empty database, or a copy of a prepared one. Call it in `beforeAll` or in a test. */
  createDatabase(options?: DatabaseOptions): Promise<TestDatabase>
}

export interface DatabaseOptions {
  /**
   * A database that is built once per server and then copied: `prepare` fills it. Equal names must mean equal content.
   */
  readonly template?: { readonly name: string; readonly prepare: (database: TestDatabase) => Promise<void> }
  /** As of CREATE DATABASE: `"ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'"`. */
  readonly settings?: string
}

export interface TestDatabase {
  /** For the superuser, over TCP. */
  readonly url: string
  readonly host: string
  readonly port: number
  readonly name: string
  /** The superuser. */
  readonly user: string
  readonly socketDir: string
  /** As superuser on one connection that stays open, by the unix socket. Every value as the server's text, null for NULL. */
  sql<T = Record<string, string | null>>(text: string, values?: unknown[]): Promise<T[]>
  /** Another connection as superuser, with pg's own conversions. Ended with the database at the latest. */
  connect(): Promise<pg.Client>
  /** A login role with a unique name, removed with the database. `attributes` as of CREATE ROLE: `"PASSWORD 'x'"`. */
  createRole(attributes?: string): Promise<TestRole>
  /** Removes the database and its roles. Done by itself at the end of the block, unless a test of it failed. */
  close(): Promise<void>
}

export interface TestRole {
  readonly name: string
  /** Connects as this role; without a password, which loopback does not ask. */
  readonly url: string
}

/** Of this worker, one for each major under test. */
function sharedServers(): readonly SharedServer[] {
  const worker = Number(process.env['VITEST_POOL_ID'])
  return inject('servers').filter((server) => server.worker === worker)
}

/** Ascending. */
export function majorsUnderTest(): readonly number[] {
  return sharedServers()
    .map(({ major }) => major)
    .sort((a, b) => a - b)
}

/** A `describe` per major under test. */
export function onEachServer(name: string, body: (server: TestServer) => void): void {
  describeOn(majorsUnderTest(), name, body)
}

/**
 * As {@link onEachServer}, for what takes long and differs between old servers and new ones, but hardly from one to the next: on the two
 * ends of the default majors. Where other majors are asked for (TRUNKLINE_TEST_PG, `npm run test:all`), on each of them.
 */
export function onOldestAndNewestServer(name: string, body: (server: TestServer) => void): void {
  describeOn(oldestAndNewestMajors(), name, body)
}

/** Those that {@link onOldestAndNewestServer} takes. */
export function oldestAndNewestMajors(): readonly number[] {
  const majors = majorsUnderTest()
  if (!areDefaultMajors()) return majors
  return majors.filter((_, index) => index === 0 || index === majors.length - 1)
}

/** Whether nobody has asked for majors: then tests may choose among them, or else each of them is wanted. */
export function areDefaultMajors(): boolean {
  return majorsUnderTest().join() === parseMajors(undefined).join()
}

/** As {@link onEachServer}, for what depends on anything but the server and takes long: only on the newest under test. */
export function onNewestServer(name: string, body: (server: TestServer) => void): void {
  describeOn(majorsUnderTest().slice(-1), name, body)
}

/** As {@link onNewestServer}, on the oldest: in front of which another server is played. */
export function onOldestServer(name: string, body: (server: TestServer) => void): void {
  describeOn(majorsUnderTest().slice(0, 1), name, body)
}

function describeOn(majors: readonly number[], name: string, body: (server: TestServer) => void): void {
  for (const shared of sharedServers()) {
    if (!majors.includes(shared.major)) continue
    describe(`${name} on PostgreSQL ${shared.major}`, () => {
      const databases: OwnedDatabase[] = []
      let failed = false
      // Registered first, so that it runs after every afterAll of the block.
      afterAll(async ({}, suite) => {
        const hookFailed = suite.result?.state === 'fail'
        for (const database of databases) {
          if (failed || hookFailed) await database.keep()
          else await database.close()
        }
      })
      afterEach(({ task }) => {
        if (task.result?.state === 'fail') failed = true
      })
      body({
        ...shared,
        async createDatabase(options) {
          const database = await createDatabase(shared, options)
          databases.push(database)
          return database
        },
      })
    })
  }
}

export type SpecialServer = Server & TestServer

/** A server of one's own, to be ended with `close()` (or `await using`). At the latest it ends with the test process. */
export async function startServer(options: ServerOptions): Promise<SpecialServer> {
  return withDatabases(await launch({ ...options, conf: { ...SERVER_SETTINGS, ...options.conf } }))
}

function withDatabases(server: Server): SpecialServer {
  return Object.assign(server, {
    createDatabase: (options?: DatabaseOptions) => createDatabase(server, options),
  })
}

interface Address {
  readonly host: string
  readonly port: number
  readonly socketDir: string
}

interface OwnedDatabase extends TestDatabase {
  keep(): Promise<void>
}

async function createDatabase(server: Address, options: DatabaseOptions = {}): Promise<OwnedDatabase> {
  const name = `test_${randomBytes(6).toString('hex')}`
  const template = options.template ? await prepareTemplate(server, options.template) : 'template0'
  await administer(server, (client) =>
    client.query(`CREATE DATABASE ${name} TEMPLATE ${template} ${options.settings ?? ''}`),
  )
  return openDatabase(server, name)
}

async function prepareTemplate(
  server: Address,
  template: NonNullable<DatabaseOptions['template']>,
): Promise<string> {
  const name = pg.escapeIdentifier(`template_${template.name}`)
  await administer(server, async (client) => {
    // Held to the end of the session: whoever comes second finds the template complete.
    await client.query('SELECT pg_advisory_lock(hashtext($1))', [name])
    const existing = await client.query('SELECT FROM pg_database WHERE datname = $1', [
      `template_${template.name}`,
    ])
    if (existing.rowCount !== 0) return
    const staging = `preparing_${randomBytes(6).toString('hex')}`
    await client.query(`CREATE DATABASE ${staging} TEMPLATE template0`)
    const database = openDatabase(server, staging)
    await template.prepare(database)
    await database.disconnect()
    await client.query(`ALTER DATABASE ${staging} RENAME TO ${name}`)
  })
  return name
}

function openDatabase(server: Address, name: string): OwnedDatabase & { disconnect(): Promise<void> } {
  const user = 'postgres'
  const roles: string[] = []
  const clients = new Set<pg.Client>()
  let main: pg.Client | null = null

  async function open(types?: pg.CustomTypesConfig): Promise<pg.Client> {
    const client = new pg.Client({
      host: server.socketDir,
      port: server.port,
      user,
      database: name,
      ...(types ? { types } : {}),
    })
    const forget = (): void => {
      clients.delete(client)
      if (main === client) main = null
    }
    // A server that is stopped or killed by its test ends our connections, too; the next query opens a new one.
    client.on('error', forget)
    client.on('end', forget)
    await client.connect()
    clients.add(client)
    return client
  }

  async function disconnect(): Promise<void> {
    await Promise.all([...clients].map((client) => client.end().catch(() => undefined)))
  }

  return {
    url: `postgresql://${user}@${server.host}:${server.port}/${name}`,
    host: server.host,
    port: server.port,
    socketDir: server.socketDir,
    name,
    user,
    async sql<T>(text: string, values?: unknown[]): Promise<T[]> {
      main ??= await open(textTypes)
      const result: unknown = await main.query(text, values)
      // Several statements in one text give several results; the last one counts.
      const last = (Array.isArray(result) ? result.at(-1) : result) as pg.QueryResult
      return last.rows as T[]
    },
    connect: () => open(),
    async createRole(attributes = ''): Promise<TestRole> {
      const role = `role_${randomBytes(6).toString('hex')}`
      await administer(server, (client) => client.query(`CREATE ROLE ${role} LOGIN ${attributes}`))
      roles.push(role)
      return { name: role, url: `postgresql://${role}@${server.host}:${server.port}/${name}` }
    },
    disconnect,
    async close(): Promise<void> {
      await disconnect()
      await administer(server, async (client) => {
        await dropDatabase(server, client, name)
        // Emptied as we go: a test may close its database itself.
        for (let role = roles.pop(); role !== undefined; role = roles.pop()) {
          await client.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`)
        }
      })
    },
    async keep(): Promise<void> {
      await disconnect()
      await administer(server, (client) => client.query(`COMMENT ON DATABASE ${name} IS 'kept'`))
      process.stderr.write(
        `A test failed; its database is kept: postgresql://${user}@${server.host}:${server.port}/${name}\n`,
      )
    },
  }
}

const textTypes: pg.CustomTypesConfig = { getTypeParser: () => (value: unknown) => value }

/** Ends what holds a database back first: sessions, replication slots, prepared transactions. */
async function dropDatabase(server: Address, client: pg.Client, name: string): Promise<void> {
  const prepared = await client.query<{ gid: string }>(
    'SELECT gid FROM pg_prepared_xacts WHERE database = $1',
    [name],
  )
  if (prepared.rows.length > 0) {
    await administer(
      server,
      async (inside) => {
        for (const { gid } of prepared.rows) await inside.query(`ROLLBACK PREPARED ${pg.escapeLiteral(gid)}`)
      },
      name,
    )
  }
  for (let attempt = 1; ; attempt++) {
    await client.query(
      'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid()',
      [name],
    )
    try {
      await client.query(
        'SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = $1',
        [name],
      )
      await client.query(`DROP DATABASE IF EXISTS ${name}`)
      return
    } catch (error) {
      // 55006 object_in_use: a session that was just told to end has not yet.
      if ((error as { code?: string }).code !== '55006' || attempt === 20) throw error
    }
  }
}

async function administer<T>(
  server: Address,
  work: (client: pg.Client) => Promise<T>,
  database = 'postgres',
): Promise<T> {
  const client = new pg.Client({ host: server.socketDir, port: server.port, user: 'postgres', database })
  await client.connect()
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}
