/** Ways to reach the server: plain, under TLS, and over a distance. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import type { PathTaken } from './results.js'
import { type BenchServer, READER } from './server.js'
import { median } from './statistics.js'

export type ConditionName = 'tcp' | 'tls' | 'delay_2ms' | 'delay_20ms'

interface Condition {
  readonly title: string
  readonly tls: boolean
  /** Added by a proxy, half in each direction. */
  readonly roundTripMs: number
}

export const CONDITIONS: Readonly<Record<ConditionName, Condition>> = {
  tcp: { title: 'TCP over loopback', tls: false, roundTripMs: 0 },
  tls: { title: 'TLS 1.3, certificate verified', tls: true, roundTripMs: 0 },
  delay_2ms: { title: 'TCP, 2 ms of round trip', tls: false, roundTripMs: 2 },
  delay_20ms: { title: 'TCP, 20 ms of round trip', tls: false, roundTripMs: 20 },
}

export interface Path extends AsyncDisposable {
  readonly connection: Readonly<Record<string, string>>
  readonly url: string
  readonly taken: PathTaken
}

/** Opens a way to the server for as long as the path is not disposed of. @throws Error where the machine cannot make it. */
export async function openPath(name: ConditionName, server: BenchServer): Promise<Path> {
  const { title, tls, roundTripMs } = CONDITIONS[name]
  const cleanups: (() => Promise<void>)[] = []
  const close = async (): Promise<void> => {
    for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
  }
  try {
    let { port } = server
    let certificate: string | null = null
    if (roundTripMs > 0) port = await startProxy(server, roundTripMs / 2, cleanups)
    if (tls) {
      certificate = await server.enableTls()
      cleanups.push(() => server.disableTls())
    }
    const connection = {
      PGHOST: server.host,
      PGPORT: String(port),
      PGUSER: READER,
      PGDATABASE: server.database,
      ...(certificate === null ? {} : { PGSSLMODE: 'verify-full', PGSSLROOTCERT: certificate }),
    }
    const measured = await measureRoundTrip(connection, certificate)
    const query =
      certificate === null ? '' : `?sslmode=verify-full&sslrootcert=${encodeURIComponent(certificate)}`
    return {
      connection,
      url: `postgresql://${READER}@${server.host}:${String(port)}/${server.database}${query}`,
      taken: { name, title, roundTripMs: measured },
      [Symbol.asyncDispose]: close,
    }
  } catch (error) {
    await close()
    throw error
  }
}

/** A process of its own, so that it waits for nobody; returns its port. */
async function startProxy(
  server: BenchServer,
  oneWayMs: number,
  cleanups: (() => Promise<void>)[],
): Promise<number> {
  const script = fileURLToPath(new URL('children/delay-proxy.mjs', import.meta.url))
  const child = spawn(process.execPath, [script, server.host, String(server.port), String(oneWayMs)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  cleanups.push(async () => {
    child.stdin.end()
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
  })
  const [port] = (await once(child.stdout, 'data')) as [Buffer]
  return Number(port.toString())
}

const ROUND_TRIPS = 15
/** The postmaster loads its certificate just after it has told the sessions of its new configuration. */
const TLS_RETRIES = 50

/** Median of the smallest query; proves at the same time that the path is what it is called. */
async function measureRoundTrip(
  connection: Readonly<Record<string, string>>,
  certificate: string | null,
): Promise<number> {
  const client = await connectOver(connection, certificate)
  try {
    const { rows } = await client.query<{ version: string | null }>(
      'SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()',
    )
    const version = rows[0]?.version ?? null
    if (version !== (certificate === null ? null : 'TLSv1.3')) {
      throw new Error(
        `The connection is over ${version ?? 'plain TCP'}, which is not what was to be measured.`,
      )
    }
    const times: number[] = []
    for (let index = 0; index < ROUND_TRIPS; index += 1) {
      const started = performance.now()
      await client.query('SELECT 1')
      times.push(performance.now() - started)
    }
    return median(times)
  } finally {
    await client.end()
  }
}

async function connectOver(
  connection: Readonly<Record<string, string>>,
  certificate: string | null,
): Promise<pg.Client> {
  for (let attempt = 1; ; attempt += 1) {
    const client = new pg.Client({
      host: connection['PGHOST'],
      port: Number(connection['PGPORT']),
      user: connection['PGUSER'],
      database: connection['PGDATABASE'],
      ssl: certificate === null ? false : { ca: await readFile(certificate, 'utf8') },
    })
    try {
      await client.connect()
      return client
    } catch (error) {
      if (certificate === null || attempt === TLS_RETRIES) throw error
      await sleep(20)
    }
  }
}
