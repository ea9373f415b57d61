/**
 * The server that is measured: an embedded PostgreSQL whose data folder is kept, so that the data sets are built once.
 *
 * The superuser gets in by a unix socket in a folder that only we can enter; over TCP there is only `reader`, who may SELECT.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { chmod, chown, mkdir, open, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { totalmem } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { installServers, isAlive } from '../scripts/servers/install.mjs'
import { type ServerUser, reachableBinaries, runtimeRoot, serverUser } from '../scripts/servers/places.js'

export const READER = 'reader'
const HOST = '127.0.0.1'
const GIB = 1024 ** 3
const START_TIMEOUT_MS = 60_000

export interface BenchServer extends AsyncDisposable {
  readonly host: string
  readonly port: number
  readonly pid: number
  /** Settings that are not the defaults, for the report. */
  readonly settings: Readonly<Record<string, string>>
  readonly database: string
  /** Where the superuser gets in: PGHOST for programs that must do more than read. */
  readonly socketDir: string
  /** Takes connections under TLS from now on; returns the path of the certificate to trust. @throws Error without openssl */
  enableTls(): Promise<string>
  disableTls(): Promise<void>
  /** A connection as superuser; the caller ends it. */
  connect(): Promise<pg.Client>
  close(): Promise<void>
}

/** Starts the server of `major`, with its data under `cacheFolder` where the server's user can reach that. */
export async function startBenchServer(
  major: number,
  cacheFolder: string,
  database: string,
): Promise<BenchServer> {
  const user = serverUser()
  const root = await runtimeRoot(user)
  const native = (await installServers([major])).get(major)
  if (native === undefined) throw new Error(`PostgreSQL ${String(major)} was not installed`)
  const bin = join(await reachableBinaries(native, root, user), 'bin')
  const folder = join(
    canEnter(cacheFolder, user) ? cacheFolder : join(root, 'bench'),
    `postgresql-${String(major)}`,
  )
  await mkdir(folder, { recursive: true, mode: 0o755 })
  await claim(join(folder, 'owner.pid'))
  const dataDir = join(folder, 'data')
  await stopLeftover(bin, dataDir, user)
  if (!existsSync(join(dataDir, 'PG_VERSION'))) await initialize(bin, dataDir, user)
  await writeOwned(
    join(dataDir, 'pg_hba.conf'),
    `local all all trust\nhost all ${READER} ${HOST}/32 trust\n`,
    user,
  )
  const socketDir = join(root, `bench-${String(process.pid)}`)
  await mkdir(socketDir, { recursive: true, mode: 0o700 })
  if (user) await chown(socketDir, user.uid, user.gid)
  const port = await freePort()
  const settings = serverSettings()
  const log = await open(join(folder, 'server.log'), 'w')
  const child = spawn(
    join(bin, 'postgres'),
    [
      '-D',
      dataDir,
      '-p',
      String(port),
      '-k',
      socketDir,
      ...confArguments({ ...settings, listen_addresses: HOST }),
    ],
    {
      ...user,
      cwd: '/',
      env: { PATH: process.env['PATH'] ?? '', LC_ALL: 'C', TZ: 'UTC' },
      stdio: ['ignore', log.fd, log.fd],
    },
  )
  await log.close()
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  const { pid } = child
  if (pid === undefined) throw new Error(`${join(bin, 'postgres')} could not be started`)
  const connectTo = async (name: string): Promise<pg.Client> => {
    const client = new pg.Client({ host: socketDir, port, user: 'postgres', database: name })
    client.on('error', () => undefined)
    await client.connect()
    return client
  }
  const setTls = async (on: boolean): Promise<void> => {
    const client = await connectTo(database)
    try {
      await client.query(on ? 'ALTER SYSTEM SET ssl = on' : 'ALTER SYSTEM RESET ssl')
      await client.query('SELECT pg_reload_conf()')
    } finally {
      await client.end()
    }
  }
  const close = async (): Promise<void> => {
    child.kill('SIGINT')
    await exited
    await rm(socketDir, { recursive: true, force: true })
    await rm(join(folder, 'owner.pid'), { force: true })
  }
  try {
    await waitUntilReady(child, dataDir, join(folder, 'server.log'))
    await prepareDatabase(connectTo, database)
    // A benchmark that was killed can have left it on.
    await setTls(false)
  } catch (error) {
    await close()
    throw error
  }
  return {
    host: HOST,
    port,
    pid,
    database,
    socketDir,
    settings,
    enableTls: async () => {
      const certificate = await makeCertificate(folder, dataDir, user)
      await setTls(true)
      return certificate
    },
    disableTls: () => setTls(false),
    connect: () => connectTo(database),
    close,
    [Symbol.asyncDispose]: close,
  }
}

/** Large enough that the data sets stay cached; no durability, because nothing here is worth it; no background work. */
function serverSettings(): Record<string, string> {
  const megabytes = Math.floor(Math.min(4 * GIB, totalmem() / 4) / 1024 ** 2)
  return {
    shared_buffers: `${String(megabytes)}MB`,
    fsync: 'off',
    full_page_writes: 'off',
    autovacuum: 'off',
    max_wal_size: '1GB',
    ssl_min_protocol_version: 'TLSv1.3',
  }
}

const confArguments = (conf: Readonly<Record<string, string>>): string[] =>
  Object.entries(conf).flatMap(([name, value]) => ['-c', `${name}=${value}`])

function canEnter(folder: string, user: ServerUser | null): boolean {
  return user === null || spawnSync('sh', ['-c', 'cd "$1"', 'sh', folder], { ...user, cwd: '/' }).status === 0
}

/** Two benchmarks at once would measure each other. */
async function claim(path: string): Promise<void> {
  const owner = Number(await readFile(path, 'utf8').catch(() => '0'))
  if (owner > 0 && owner !== process.pid && isAlive(owner)) {
    throw new Error(`Another benchmark is running (process ${String(owner)}): wait for it to end.`)
  }
  await writeFile(path, String(process.pid))
}

/** A benchmark that was killed leaves its server behind. */
async function stopLeftover(bin: string, dataDir: string, user: ServerUser | null): Promise<void> {
  const pid = Number((await readFile(join(dataDir, 'postmaster.pid'), 'utf8').catch(() => '')).split('\n')[0])
  if (!(pid > 0) || !isAlive(pid)) return
  spawnSync(join(bin, 'pg_ctl'), ['-D', dataDir, '-m', 'fast', '-w', 'stop'], { ...user, cwd: '/' })
}

async function initialize(bin: string, dataDir: string, user: ServerUser | null): Promise<void> {
  await rm(dataDir, { recursive: true, force: true })
  await mkdir(dataDir, { mode: 0o700 })
  if (user) await chown(dataDir, user.uid, user.gid)
  const args = ['-D', dataDir, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale=C', '--no-sync']
  const initdb = spawnSync(join(bin, 'initdb'), args, { ...user, cwd: '/', encoding: 'utf8' })
  if (initdb.status !== 0) throw new Error(`initdb failed:\n${initdb.stdout}\n${initdb.stderr}`)
}

async function writeOwned(path: string, content: string, user: ServerUser | null): Promise<void> {
  await writeFile(path, content)
  await chmod(path, 0o600)
  if (user) await chown(path, user.uid, user.gid)
}

/** For itself and this address only. PostgreSQL wants the key to be the server's own. */
async function makeCertificate(folder: string, dataDir: string, user: ServerUser | null): Promise<string> {
  const [key, certificate] = [join(folder, 'server.key'), join(folder, 'server.crt')]
  const args = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
  const names = ['-subj', `/CN=${HOST}`, '-addext', `subjectAltName=IP:${HOST}`, '-days', '30']
  const made = spawnSync('openssl', [...args, ...names, '-keyout', key, '-out', certificate], {
    encoding: 'utf8',
  })
  if (made.status !== 0) throw new Error(`No certificate: ${made.error?.message ?? made.stderr}`)
  await writeOwned(join(dataDir, 'server.key'), await readFile(key, 'utf8'), user)
  await writeOwned(join(dataDir, 'server.crt'), await readFile(certificate, 'utf8'), user)
  return certificate
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer()
    probe.on('error', reject)
    probe.listen(0, HOST, () => {
      const address = probe.address()
      probe.close(() =>
        typeof address === 'object' && address ? resolve(address.port) : reject(new Error('no free port')),
      )
    })
  })
}

/** The eighth line of postmaster.pid is the server's own word on whether it takes connections. */
async function waitUntilReady(child: ChildProcess, dataDir: string, logFile: string): Promise<void> {
  const deadline = Date.now() + START_TIMEOUT_MS
  while (child.exitCode === null && child.signalCode === null && Date.now() < deadline) {
    const lines = (await readFile(join(dataDir, 'postmaster.pid'), 'utf8').catch(() => '')).split('\n')
    if (lines[0] === String(child.pid) && lines[7]?.trim() === 'ready') return
    await sleep(20)
  }
  const log = await readFile(logFile, 'utf8')
  throw new Error(`The server did not start. The end of its log:\n${log.slice(-4000)}`)
}

async function prepareDatabase(connectTo: (name: string) => Promise<pg.Client>, name: string): Promise<void> {
  const client = await connectTo('postgres')
  try {
    const role = await client.query('SELECT FROM pg_roles WHERE rolname = $1', [READER])
    if (role.rowCount === 0) await client.query(`CREATE ROLE ${READER} LOGIN`)
    const database = await client.query('SELECT FROM pg_database WHERE datname = $1', [name])
    if (database.rowCount === 0) await client.query(`CREATE DATABASE ${name}`)
  } finally {
    await client.end()
  }
}
