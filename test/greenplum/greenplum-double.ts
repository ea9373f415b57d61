/**
 * A Greenplum for tests: a proxy in front of a real PostgreSQL that makes it answer as Greenplum 6.24.3 was seen to answer.
 *
 * - The startup parameters are Greenplum's: `gp_server_version`, and 9.4.26 as the version it is based on.
 * - Names of the catalog lead to views with the columns of 9.4 and those that Greenplum has, in the schema `gp_double`; settings and
 *   functions that 9.4 lacks get another name, so that the server itself refuses them with its own SQLSTATE.
 * - `gp_segment_id = i` selects a share of the rows by a hash of their place. A number that is out of range ends the session.
 * - The counters of append-optimised tables are sequences: like the real ones they are not read with a snapshot.
 * - With {@link GreenplumDouble.fillQueue} whatever takes a slot of a resource queue waits; what takes none passes.
 *
 * What it cannot show: that importers see later rows once the leader's transaction has ended. It shows that nothing is landed then.
 */
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { FrontendRules } from './rewrite-sql.js'

export interface DoubleOptions {
  readonly target: { readonly host: string; readonly port: number }
  /** What `gp_server_version` begins with. */
  readonly version?: string
  /** What `server_version` says. */
  readonly base?: string
  readonly segments?: number
  /** Views of the database, which cannot be locked. */
  readonly views?: readonly string[]
}

export interface Statement {
  /** Of the session, counted from 0 in the order of arrival. */
  readonly session: number
  readonly sql: string
}

export interface GreenplumDouble extends AsyncDisposable {
  readonly port: number
  /** For a database and a role of the server behind it. */
  url(database: string, user: string): string
  /** As they were sent, before anything was replaced. */
  readonly statements: readonly Statement[]
  /** Asked before a statement goes on; the session is idle then. */
  onStatement: ((statement: Statement) => Promise<void> | void) | null
  /** Runs SQL in a session that is idle, without its client knowing. */
  inject(session: number, sql: string): Promise<void>
  /** From now on SELECT and COPY wait, until the lock with this key is free at the server. */
  queueKey: number | null
  close(): Promise<void>
}

const SSL_REQUEST = 80_877_103
const CANCEL_REQUEST = 80_877_102

export async function startGreenplumDouble(options: DoubleOptions): Promise<GreenplumDouble> {
  const rules = new FrontendRules({
    segments: options.segments ?? 2,
    views: [...(options.views ?? []), 'pg_catalog.pg_stat_activity'],
    version: options.version ?? '6.24.3',
    base: options.base ?? '9.4.26',
  })
  const sessions: Session[] = []
  const statements: Statement[] = []
  const server = createServer((client) => {
    const session: Session = new Session({
      client,
      upstream: connect(options.target),
      rules,
      takesSlot: () => double.queueKey,
      onStatement: async (sql) => {
        const statement = { session: sessions.indexOf(session), sql }
        statements.push(statement)
        await double.onStatement?.(statement)
      },
    })
    sessions.push(session)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const double: GreenplumDouble = {
    port,
    url: (database, user) => `postgresql://${user}@127.0.0.1:${port}/${database}?sslmode=disable`,
    statements,
    onStatement: null,
    queueKey: null,
    async inject(session, sql) {
      await sessions[session]?.inject(sql)
    },
    async close() {
      const closed = new Promise((resolve) => server.close(resolve))
      for (const session of sessions) session.destroy()
      await closed
    },
    [Symbol.asyncDispose]: () => double.close(),
  }
  return double
}

interface SessionOptions {
  readonly client: Socket
  readonly upstream: Socket
  readonly rules: FrontendRules
  readonly takesSlot: () => number | null
  readonly onStatement: (sql: string) => Promise<void>
}

/** One client with its own session at the server. */
class Session {
  readonly #options: SessionOptions
  #startup = true
  #loggedIn = false
  /** What a statement of ours is answered with; its client sees nothing of it. */
  #injected: { failure: Buffer | null; readonly done: (failure: Buffer | null) => void } | null = null
  #fromClient: Buffer = Buffer.alloc(0)
  #fromServer: Buffer = Buffer.alloc(0)
  #busy = false
  /** After a failure of an extended query, until its Sync. */
  #skipping = false

  constructor(options: SessionOptions) {
    this.#options = options
    const { client, upstream } = options
    for (const socket of [client, upstream]) {
      socket.setNoDelay(true)
      socket.on('error', () => undefined)
    }
    client.on('data', (bytes) => {
      this.#fromClient = Buffer.concat([this.#fromClient, bytes])
      void this.#forwardClient()
    })
    client.on('close', () => upstream.destroy())
    upstream.on('close', () => client.destroy())
    upstream.on('end', () => client.end())
    upstream.on('data', (bytes) => {
      this.#forwardServer(bytes)
    })
  }

  destroy(): void {
    this.#options.client.destroy()
    this.#options.upstream.destroy()
  }

  async inject(sql: string): Promise<Buffer | null> {
    return new Promise((resolve) => {
      this.#injected = { failure: null, done: resolve }
      this.#options.upstream.write(frame('Q', Buffer.from(`${sql}\0`)))
    })
  }

  /** One message after the other, so that what waits for a statement holds back what follows it. */
  async #forwardClient(): Promise<void> {
    if (this.#busy) return
    this.#busy = true
    try {
      for (let message = this.#takeMessage(); message !== null; message = this.#takeMessage()) {
        await this.#forwardMessage(message)
      }
    } finally {
      this.#busy = false
    }
  }

  #takeMessage(): Buffer | null {
    const header = this.#startup ? 4 : 5
    const bytes = this.#fromClient
    if (bytes.length < header) return null
    const length = bytes.readInt32BE(header - 4) + header - 4
    if (bytes.length < length) return null
    this.#fromClient = bytes.subarray(length)
    return bytes.subarray(0, length)
  }

  async #forwardMessage(message: Buffer): Promise<void> {
    const { client, upstream, rules, takesSlot } = this.#options
    if (this.#startup) {
      const code = message.readInt32BE(4)
      if (code === SSL_REQUEST) {
        client.write('N')
        return
      }
      this.#startup = false
      if (code === CANCEL_REQUEST) this.#loggedIn = true
      upstream.write(message)
      return
    }
    const type = String.fromCharCode(message[0] ?? 0)
    if (this.#skipping) {
      if (type !== 'S') return
      this.#skipping = false
    }
    if (type !== 'Q' && type !== 'P') {
      upstream.write(message)
      return
    }
    const parts = textOf(message, type)
    await this.#options.onStatement(parts.sql)
    if (rules.isOutOfRange(parts.sql)) {
      const text = `unexpected content id, should be [-1, ${rules.segments - 1}]`
      client.end(frame('E', Buffer.from(`SFATAL\0VFATAL\0C22000\0M${text}\0\0`)))
      upstream.destroy()
      return
    }
    const key = takesSlot()
    if (key !== null && rules.takesSlot(parts.sql)) {
      const failure = await this.inject(waitForSlot(key))
      if (failure !== null) {
        client.write(failure)
        if (type === 'Q') client.write(READY)
        else this.#skipping = true
        return
      }
    }
    upstream.write(
      frame(type, Buffer.concat([parts.before, Buffer.from(`${rules.rewrite(parts.sql)}\0`), parts.after])),
    )
  }

  #forwardServer(bytes: Buffer): void {
    const { client, rules } = this.#options
    if (this.#loggedIn && this.#injected === null) {
      client.write(bytes)
      return
    }
    this.#fromServer = Buffer.concat([this.#fromServer, bytes])
    for (;;) {
      const all = this.#fromServer
      if (all.length < 5) return
      const length = 1 + all.readInt32BE(1)
      if (all.length < length) return
      const message = all.subarray(0, length)
      this.#fromServer = all.subarray(length)
      const type = String.fromCharCode(message[0] ?? 0)
      if (this.#injected !== null) {
        if (type === 'E') this.#injected.failure = message
        if (type === 'Z') {
          const { done, failure } = this.#injected
          this.#injected = null
          done(failure)
        }
        continue
      }
      for (const replaced of type === 'S' ? rules.parameters(message) : [message]) client.write(replaced)
      if (type === 'Z') this.#loggedIn = true
    }
  }
}

/** In a failed transaction, which is where a cancelled statement leaves it. */
const READY = frame('Z', Buffer.from('E'))

function waitForSlot(key: number): string {
  return `DO $$BEGIN PERFORM pg_catalog.pg_advisory_lock_shared(${key}); PERFORM pg_catalog.pg_advisory_unlock_shared(${key}); END$$`
}

function frame(type: string, body: Buffer): Buffer {
  const header = Buffer.alloc(5)
  header.write(type, 0, 'latin1')
  header.writeInt32BE(4 + body.length, 1)
  return Buffer.concat([header, body])
}

/** The SQL of a Query or a Parse, and what stands around it. */
function textOf(message: Buffer, type: 'Q' | 'P'): { sql: string; before: Buffer; after: Buffer } {
  const start = type === 'Q' ? 5 : message.indexOf(0, 5) + 1
  const end = message.indexOf(0, start)
  return {
    sql: message.toString('utf8', start, end),
    before: message.subarray(5, start),
    after: message.subarray(end + 1),
  }
}
