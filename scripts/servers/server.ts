/**
 * Starts real PostgreSQL servers, 12 to 18, from the embedded packages: for tests, the demo and the benchmarks.
 *
 * Each server has a folder of its own under the temporary one: `data`, `server.log`, its unix socket, and the pid of the process
 * that owns it. A server never outlives its owner: a small watchdog holds the other end of a pipe and ends it when the owner
 * is gone, however that happened; what even that leaves behind is removed when the next server starts.
 */
import { randomBytes } from 'node:crypto'
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import {
  appendFile,
  chmod,
  chown,
  mkdir,
  open,
  readFile,
  readdir,
  rename,
  rm,
  stat,
  writeFile,
} from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { installServers, isAlive } from './install.mjs'
import {
  type ServerUser,
  copyTree,
  makeFolder,
  reachableBinaries,
  runtimeRoot,
  serverUser,
} from './places.js'

/** How a server is told to stop: wait for sessions, end them, or as if it had crashed (recovery at the next start). */
export type StopMode = 'smart' | 'fast' | 'immediate'

export interface ServerOptions {
  readonly major: number
  /** postgresql.conf settings, after (and so over) the defaults. */
  readonly conf?: Readonly<Record<string, string | number | boolean>>
  /** pg_hba.conf lines for TCP, instead of trust from loopback. The superuser `postgres` always gets in by the unix socket. */
  readonly hba?: readonly string[]
  /** Files to write into the data folder (certificates, pg_ident.conf): path to content, mode 0600. */
  readonly files?: Readonly<Record<string, string>>
  /** fsync and full_page_writes on, for tests of crashes. Default: off. */
  readonly durable?: boolean
  /** A system identifier of its own, by running initdb anew (1 s). Otherwise all servers of a major share one. */
  readonly freshIdentity?: boolean
  /** Default: any free one. */
  readonly port?: number
}

export interface StandbyOptions {
  readonly conf?: Readonly<Record<string, string | number | boolean>>
  /** Physical replication slot to make and use. */
  readonly slot?: string
}

export interface Server extends AsyncDisposable {
  readonly major: number
  readonly host: string
  readonly port: number
  /** The superuser; trusted by the default hba, so without password. */
  readonly user: string
  readonly dataDir: string
  readonly socketDir: string
  readonly logFile: string
  readonly running: boolean
  readonly postmasterPid: number | null
  url(database?: string): string
  /** A connection as superuser by the unix socket, whatever the hba lines say. The caller ends it. */
  connect(database?: string): Promise<pg.Client>
  start(): Promise<void>
  stop(mode?: StopMode): Promise<void>
  restart(mode?: StopMode): Promise<void>
  /** SIGKILL to the postmaster, as a crash of the machine would; `start()` then recovers. Waits until all of it is gone. */
  kill(): Promise<void>
  /** Rereads postgresql.conf, pg_hba.conf and certificates. */
  reload(): Promise<void>
  /** A hot standby that streams from this server. Stopped on its own, before or after its primary. */
  startStandby(options?: StandbyOptions): Promise<Standby>
  /** Stops the server; its data stays where `dataDir` says, for `scripts/servers/reopen.ts`. */
  keep(): Promise<void>
  /** Stops the server and removes its folder. */
  close(): Promise<void>
}

export interface Standby extends Server {
  /** Waits until the standby has replayed what the primary has written so far. */
  catchUp(): Promise<void>
  promote(): Promise<void>
}

const superuser = 'postgres'
const host = '127.0.0.1'
const startTimeoutMs = 60_000
const stopSignals = { smart: 'SIGTERM', fast: 'SIGINT', immediate: 'SIGQUIT' } as const

/** Installs the major if need be, and starts a server of its own on a free port. @throws with the end of the server's log. */
export async function startServer(options: ServerOptions): Promise<Server> {
  const place = await prepare(options.major)
  const dir = await makeRunFolder(place)
  const dataDir = join(dir, 'data')
  if (options.freshIdentity) await initialize(place, dataDir)
  else await copyTree(await template(place), dataDir, { owner: place.user })
  for (const [name, content] of Object.entries(options.files ?? {})) {
    await writeOwned(join(dataDir, name), content, place.user)
  }
  await writeOwned(join(dataDir, 'pg_hba.conf'), hbaText(options.hba), place.user)
  await appendFile(join(dataDir, 'postgresql.conf'), confText({ ...defaults(options), ...options.conf }))
  return openServer(place, dir, options.port)
}

/** Starts the server on a data folder that `keep()` left. */
export async function reopenServer(dir: string): Promise<Server> {
  const major = Number((await readFile(join(dir, 'data', 'PG_VERSION'), 'utf8')).trim())
  await writeFile(join(dir, 'owner.pid'), String(process.pid))
  return openServer(await prepare(major), dir)
}

interface Place {
  readonly major: number
  readonly user: ServerUser | null
  readonly root: string
  readonly bin: string
}

/** Where a major's servers run; sweeps once per process. */
async function prepare(major: number): Promise<Place> {
  const native = (await installServers([major])).get(major)
  if (native === undefined) throw new Error(`PostgreSQL ${major} was not installed`)
  const user = serverUser()
  const root = await runtimeRoot(user)
  swept ??= sweep(root)
  await swept
  return { major, user, root, bin: join(await reachableBinaries(native, root, user), 'bin') }
}

let swept: Promise<void> | undefined

/** How long the data of a failed test stays at least; the last one of each major stays until the next. */
const keptMs = 30 * 60_000

/** Ends servers whose owner is gone and removes their folders. */
async function sweep(root: string): Promise<void> {
  const run = join(root, 'run')
  const kept: { dir: string; major: string; mtimeMs: number }[] = []
  for (const name of await readdir(run).catch(() => [])) {
    const dir = join(run, name)
    const found = await stat(dir).catch(() => null)
    if (!found) continue
    const owner = Number(await readFile(join(dir, 'owner.pid'), 'utf8').catch(() => ''))
    // Without a pid it is being made at this moment, or was left half made.
    if (owner > 0 ? isAlive(owner) : Date.now() - found.mtimeMs < 60_000) continue
    if (existsSync(join(dir, 'kept'))) {
      kept.push({ dir, major: name.split('-')[0] ?? '', mtimeMs: found.mtimeMs })
      continue
    }
    const postmaster = await readPostmasterPid(join(dir, 'data'))
    if (postmaster !== null && (await isPostgres(postmaster, dir))) process.kill(postmaster, 'SIGQUIT')
    await removeFolder(dir)
  }
  kept.sort((a, b) => b.mtimeMs - a.mtimeMs)
  const seen = new Set<string>()
  for (const { dir, major, mtimeMs } of kept) {
    if (seen.has(major) && Date.now() - mtimeMs > keptMs) await removeFolder(dir)
    seen.add(major)
  }
}

/** A backend may still be writing its last words when the postmaster is gone. */
async function removeFolder(dir: string): Promise<void> {
  await rm(dir, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 })
}

/** Guards against a pid that now belongs to something else: the command line of ours names its data folder. */
async function isPostgres(pid: number, dir: string): Promise<boolean> {
  return new Promise((resolve) => {
    const child = spawn('ps', ['-o', 'command=', '-p', String(pid)], { stdio: ['ignore', 'pipe', 'ignore'] })
    let output = ''
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
    child.on('error', () => resolve(false))
    child.on('close', () => resolve(output.includes(dir)))
  })
}

/** A data folder made by initdb once per major, to be copied: 0.1 s instead of 1 s. */
async function template(place: Place): Promise<string> {
  const folder = join(place.root, 'templates', `${place.major}-${place.bin.split('/').at(-3) ?? ''}`)
  if (existsSync(folder)) return folder
  await makeFolder(join(place.root, 'templates'))
  const staging = join(place.root, 'templates', `tmp-${randomBytes(5).toString('hex')}`)
  try {
    await initialize(place, staging)
    await rename(staging, folder)
  } catch (error) {
    if (!existsSync(folder)) throw error
  } finally {
    await rm(staging, { recursive: true, force: true })
  }
  return folder
}

async function initialize(place: Place, dataDir: string): Promise<void> {
  await mkdir(dataDir, { mode: 0o700 })
  if (place.user) await chown(dataDir, place.user.uid, place.user.gid)
  const args = ['-D', dataDir, '-U', superuser, '-A', 'trust', '-E', 'UTF8', '--no-sync']
  // Not every system has C.UTF-8; with C the server compares bytes and only ASCII has upper and lower case.
  const first = await run(place, 'initdb', [...args, '--locale=C.UTF-8'])
  if (first.code === 0) return
  await rm(dataDir, { recursive: true, force: true })
  await mkdir(dataDir, { mode: 0o700 })
  if (place.user) await chown(dataDir, place.user.uid, place.user.gid)
  const second = await run(place, 'initdb', [...args, '--locale=C'])
  if (second.code !== 0)
    throw new Error(`initdb of PostgreSQL ${place.major} failed:\n${first.output}\n${second.output}`)
}

function run(
  place: Place,
  program: string,
  args: readonly string[],
): Promise<{ code: number | null; output: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(join(place.bin, program), args, {
      ...place.user,
      cwd: place.root,
      env: serverEnvironment(),
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let output = ''
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
    child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()))
    child.on('error', reject)
    child.on('close', (code) => resolve({ code, output }))
  })
}

/** Nothing of ours: PGDATA, PGPORT or a locale must not change how a server behaves. */
function serverEnvironment(): NodeJS.ProcessEnv {
  return { PATH: process.env['PATH'] ?? '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' }
}

function defaults(options: ServerOptions): Record<string, string | number | boolean> {
  return {
    listen_addresses: host,
    max_connections: 100,
    max_prepared_transactions: 20,
    max_wal_senders: 10,
    wal_level: 'logical',
    log_statement: 'none',
    log_timezone: 'UTC',
    timezone: 'UTC',
    // A standby that is a little behind still finds its WAL.
    ...(options.major >= 13 ? { wal_keep_size: '256MB' } : { wal_keep_segments: 16 }),
    ...(options.durable ? {} : { fsync: false, full_page_writes: false }),
  }
}

function confText(conf: Readonly<Record<string, string | number | boolean>>): string {
  const lines = Object.entries(conf).map(([key, value]) => {
    const text = typeof value === 'boolean' ? (value ? 'on' : 'off') : String(value)
    return `${key} = '${text.replaceAll("'", "''")}'`
  })
  return `\n${lines.join('\n')}\n`
}

function hbaText(lines: readonly string[] | undefined): string {
  const own = [`local all ${superuser} trust`, `local replication ${superuser} trust`]
  const rest = lines ?? [
    'local all all trust',
    'host all all 127.0.0.1/32 trust',
    'host all all ::1/128 trust',
  ]
  return [...own, ...rest, ''].join('\n')
}

async function writeOwned(path: string, content: string, user: ServerUser | null): Promise<void> {
  await writeFile(path, content, { mode: 0o600 })
  await chmod(path, 0o600)
  if (user) await chown(path, user.uid, user.gid)
}

async function makeRunFolder(place: Place): Promise<string> {
  const dir = join(place.root, 'run', `${place.major}-${randomBytes(4).toString('hex')}`)
  await makeFolder(join(place.root, 'run'))
  await makeFolder(dir)
  await writeFile(join(dir, 'owner.pid'), String(process.pid))
  if (place.user) await chown(dir, place.user.uid, place.user.gid)
  return dir
}

async function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer()
    probe.on('error', reject)
    probe.listen(0, host, () => {
      const address = probe.address()
      probe.close(() =>
        typeof address === 'object' && address ? resolve(address.port) : reject(new Error('no port')),
      )
    })
  })
}

/** First line of postmaster.pid; null without a running (or crashed) server. */
async function readPostmasterPid(dataDir: string): Promise<number | null> {
  const text = await readFile(join(dataDir, 'postmaster.pid'), 'utf8').catch(() => '')
  const pid = Number(text.split('\n')[0])
  return pid > 0 ? pid : null
}

/**
 * Ends the server when our end of the pipe closes, which the kernel does whatever happens to us. In a session of its own, so
 * that Ctrl-C at a terminal reaches neither it nor the server: the owner decides.
 */
function startWatchdog(dir: string): ChildProcess {
  const script = [
    'cat >/dev/null',
    'read -r pid < "$1/data/postmaster.pid" 2>/dev/null && kill -QUIT "$pid" 2>/dev/null',
    'n=0; while [ -n "$pid" ] && kill -0 "$pid" 2>/dev/null && [ $n -lt 100 ]; do sleep 0.1; n=$((n+1)); done',
    '[ -e "$1/kept" ] || rm -rf "$1"',
  ].join('\n')
  const watchdog = spawn('sh', ['-c', script, 'trunkline-watchdog', dir], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  })
  watchdog.unref()
  const pipe = watchdog.stdin as unknown as { unref?: () => void }
  pipe.unref?.()
  watchdog.stdin.on('error', () => undefined)
  return watchdog
}

async function openServer(place: Place, dir: string, wantedPort?: number): Promise<Server> {
  const server = new RunningServer(place, dir, wantedPort ?? (await freePort()), wantedPort === undefined)
  try {
    await server.start()
  } catch (error) {
    await server.close()
    throw error
  }
  return server
}

class RunningServer implements Standby {
  readonly major: number
  readonly host = host
  readonly user = superuser
  readonly dataDir: string
  readonly socketDir: string
  readonly logFile: string
  port: number
  readonly #place: Place
  readonly #dir: string
  #primary: RunningServer | null = null
  #portIsFree: boolean
  #process: ChildProcess | null = null
  #exited: Promise<void> = Promise.resolve()
  #watchdog: ChildProcess | null = null

  constructor(place: Place, dir: string, port: number, mayChangePort: boolean) {
    this.#place = place
    this.#dir = dir
    this.#portIsFree = mayChangePort
    this.major = place.major
    this.port = port
    this.dataDir = join(dir, 'data')
    this.socketDir = dir
    this.logFile = join(dir, 'server.log')
  }

  get running(): boolean {
    return this.#process !== null
  }

  get postmasterPid(): number | null {
    return this.#process?.pid ?? null
  }

  url(database: string = superuser): string {
    return `postgresql://${superuser}@${host}:${this.port}/${encodeURIComponent(database)}`
  }

  async connect(database: string = superuser): Promise<pg.Client> {
    const client = new pg.Client({ host: this.socketDir, port: this.port, user: superuser, database })
    client.on('error', () => undefined)
    await client.connect()
    return client
  }

  async start(): Promise<void> {
    if (this.#process) return
    this.#watchdog ??= startWatchdog(this.#dir)
    const deadline = Date.now() + startTimeoutMs
    for (;;) {
      const failure = await this.#spawn(deadline)
      if (failure === null) {
        // Whoever got the port has written it down: from now on it stays.
        this.#portIsFree = false
        return
      }
      // The port was taken between our probe and the bind, or a killed server's backends have not all gone yet.
      const portTaken = this.#portIsFree && /could not bind|already in use/.test(failure)
      const leftovers = /pre-existing shared memory block|still running|still in use/.test(failure)
      if ((!portTaken && !leftovers) || Date.now() > deadline) {
        throw new Error(
          `PostgreSQL ${this.major} did not start in ${this.dataDir}. The end of its log:\n${failure}`,
        )
      }
      if (portTaken) this.port = await freePort()
      else await sleep(100)
    }
  }

  /** Null once the server takes connections; else the end of what it logged. */
  async #spawn(deadline: number): Promise<string | null> {
    const log = await open(this.logFile, 'a', 0o644)
    const logStart = (await log.stat()).size
    const child = spawn(
      join(this.#place.bin, 'postgres'),
      ['-D', this.dataDir, '-p', String(this.port), '-k', this.socketDir],
      {
        ...this.#place.user,
        cwd: this.#dir,
        env: serverEnvironment(),
        stdio: ['ignore', log.fd, log.fd],
        detached: true,
      },
    )
    await log.close()
    let ended = false
    this.#exited = new Promise((resolve) => {
      const end = (): void => {
        ended = true
        if (this.#process === child) this.#process = null
        resolve()
      }
      child.on('exit', end)
      child.on('error', end)
    })
    child.unref()
    this.#process = child
    while (!ended && Date.now() < deadline) {
      if (await this.#isReady(child.pid)) return null
      await sleep(10)
    }
    if (!ended) {
      child.kill('SIGQUIT')
      await this.#exited
    }
    const text = await readFile(this.logFile, 'utf8')
    return text.slice(logStart).slice(-4000)
  }

  /** As pg_ctl does: the eighth line of postmaster.pid is the server's own word. */
  async #isReady(pid: number | undefined): Promise<boolean> {
    const lines = (await readFile(join(this.dataDir, 'postmaster.pid'), 'utf8').catch(() => '')).split('\n')
    const status = lines[7]?.trim()
    return lines[0] === String(pid) && (status === 'ready' || status === 'standby')
  }

  async stop(mode: StopMode = 'fast'): Promise<void> {
    const child = this.#process
    if (!child) return
    child.ref()
    child.kill(stopSignals[mode])
    const impatience = setTimeout(() => child.kill('SIGQUIT'), 60_000)
    await this.#exited
    clearTimeout(impatience)
  }

  async restart(mode: StopMode = 'fast'): Promise<void> {
    await this.stop(mode)
    await this.start()
  }

  async kill(): Promise<void> {
    const child = this.#process
    if (!child) return
    child.ref()
    child.kill('SIGKILL')
    await this.#exited
  }

  async reload(): Promise<void> {
    const client = await this.connect()
    const before = await client.query<{ at: string }>('SELECT pg_conf_load_time()::text AS at')
    await client.query('SELECT pg_reload_conf()')
    for (;;) {
      // Our own backend may be the last to see it; a new session starts with the new settings once the postmaster has them.
      const after = await client.query<{ at: string }>('SELECT pg_conf_load_time()::text AS at')
      if (after.rows[0]?.at !== before.rows[0]?.at) break
      await sleep(10)
    }
    await client.end()
  }

  async startStandby(options: StandbyOptions = {}): Promise<Standby> {
    const dir = await makeRunFolder(this.#place)
    const dataDir = join(dir, 'data')
    const client = await this.connect()
    if (options.slot !== undefined) {
      await client.query('SELECT pg_create_physical_replication_slot($1, true)', [options.slot])
    }
    const start =
      this.major >= 15 ? "pg_backup_start('standby', true)" : "pg_start_backup('standby', true, false)"
    const stop = this.major >= 15 ? 'pg_backup_stop(false)' : 'pg_stop_backup(false, false)'
    await client.query(`SELECT ${start}`)
    await copyTree(this.dataDir, dataDir, { owner: this.#place.user, keep: belongsInBackup })
    const label = await client.query<{ labelfile: string }>(`SELECT labelfile FROM ${stop}`)
    await client.end()
    await writeOwned(join(dataDir, 'backup_label'), label.rows[0]?.labelfile ?? '', this.#place.user)
    await writeOwned(join(dataDir, 'standby.signal'), '', this.#place.user)
    const conf = {
      primary_conninfo: `host=${this.socketDir} port=${this.port} user=${superuser} application_name=standby`,
      hot_standby: true,
      ...(options.slot === undefined ? {} : { primary_slot_name: options.slot }),
      ...options.conf,
    }
    await appendFile(join(dataDir, 'postgresql.conf'), confText(conf))
    const standby = new RunningServer(this.#place, dir, await freePort(), true)
    standby.#primary = this
    try {
      await standby.start()
      await standby.catchUp()
    } catch (error) {
      await standby.close()
      throw error
    }
    return standby
  }

  async catchUp(): Promise<void> {
    if (!this.#primary) return
    const primary = await this.#primary.connect()
    const standby = await this.connect()
    try {
      const written = await primary.query<{ lsn: string }>('SELECT pg_current_wal_insert_lsn()::text AS lsn')
      // A commit record that nothing flushed yet would be waited for in vain.
      await primary.query(
        "SET synchronous_commit = on; SELECT pg_logical_emit_message(false, 'catch-up', '')",
      )
      const deadline = Date.now() + startTimeoutMs
      for (;;) {
        const { rows } = await standby.query<{ reached: boolean }>(
          'SELECT NOT pg_is_in_recovery() OR pg_last_wal_replay_lsn() >= $1::pg_lsn AS reached',
          [written.rows[0]?.lsn],
        )
        if (rows[0]?.reached) return
        if (Date.now() > deadline) {
          throw new Error(
            `The standby did not catch up. The end of its log:\n${(await readFile(this.logFile, 'utf8')).slice(-4000)}`,
          )
        }
        await sleep(10)
      }
    } finally {
      await primary.end()
      await standby.end()
    }
  }

  async promote(): Promise<void> {
    const client = await this.connect()
    await client.query('SELECT pg_promote(true)')
    await client.end()
  }

  async keep(): Promise<void> {
    await writeFile(join(this.#dir, 'kept'), '')
    await this.stop()
    await this.#dismissWatchdog()
  }

  async close(): Promise<void> {
    await this.stop('immediate')
    await this.#dismissWatchdog()
    await removeFolder(this.#dir)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  /** With the server stopped it has only the folder left to remove, which is what close wants too. */
  async #dismissWatchdog(): Promise<void> {
    const watchdog = this.#watchdog
    if (!watchdog) return
    this.#watchdog = null
    await new Promise<void>((resolve) => {
      watchdog.ref()
      watchdog.on('exit', () => resolve())
      watchdog.kill('SIGKILL')
    })
  }
}

/** What `pg_basebackup` leaves out, too: files of the running instance, and WAL, which the standby streams. */
function belongsInBackup(path: string): boolean {
  if (
    ['postmaster.pid', 'postmaster.opts', 'standby.signal', 'backup_label', 'recovery.signal'].includes(path)
  )
    return false
  return (
    !/^(pg_replslot|pg_dynshmem|pg_notify|pg_serial|pg_snapshots|pg_stat_tmp|pg_subtrans|pg_wal)\/./.test(
      path,
    ) || /^pg_wal\/archive_status$/.test(path)
  )
}
