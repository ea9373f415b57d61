/** `trunkline serve`: starts the HTTP service and ends it in order when it is asked to. */
import { readFileSync } from 'node:fs'
import type { ConnectionInput } from '../../config/connection-input.js'
import { isConnectionString } from '../../config/connection-input.js'
import type { Configuration, ConfiguredSync } from '../../config/find-configuration.js'
import type { Environment } from '../../config/interpolate.js'
import type { ConfiguredProfile } from '../../config/profiles/profile.js'
import { parseDuration } from '../../config/quantity.js'
import type { LogLevel, OpenEndpoint, StatedServiceSettings } from '../../config/service-settings.js'
import { resolveServiceSettings } from '../../config/service-settings.js'
import { TrunklineError } from '../../model/error.js'
import type { RunningService } from '../../service/start-service.js'
import { startService } from '../../service/start-service.js'
import type { FileFlags, Setting } from '../arguments.js'
import { configurationOf, openSetting, toConnection } from '../arguments.js'
import { EXIT } from '../exit-code.js'
import { watchInterrupt } from '../interrupt.js'
import { printJson } from '../json-result.js'
import type { OutputFlags, Terminal } from '../terminal.js'

export interface ServeFlags extends OutputFlags, FileFlags {
  readonly port?: string
  readonly host?: string
  readonly open?: readonly string[]
  /** Commander's form of `--no-token`. */
  readonly token?: boolean
  readonly maxExtractions?: string
  readonly maxRuns?: string
  readonly grace?: string
  readonly clientTimeout?: string
  readonly logLevel?: LogLevel
  readonly allowInline?: boolean
  readonly allowHost?: readonly string[]
  readonly allowPrivilegedRole?: boolean
}

/** The name of a source that was given as a connection string. */
const UNNAMED = 'default'

export async function runServeCommand(
  terminal: Terminal,
  args: readonly string[],
  flags: ServeFlags,
): Promise<number> {
  const setting = await openSetting(flags)
  const configuration = await configurationOf(setting)
  const served = await whatIsServed(setting, configuration, { source: args[0], terminal })
  const { profile } = served
  const settings = resolveServiceSettings(
    fromFlags(flags),
    configuration?.service ?? {},
    profile === undefined ? {} : fromProfile(profile),
    fromEnvironment(setting.env),
  )
  if (served.connections.size === 0 && !settings.allowInline) {
    throw new TrunklineError(
      'CONFIG_INVALID',
      'There is nothing to serve: no SOURCE and no trunkline.yaml here.',
      {
        hint: '`trunkline serve postgresql://user@host/shop`, `trunkline init` to write a file, or set POSTGRES_HOST and its kind.',
      },
    )
  }
  using interrupt = watchInterrupt(terminal)
  const service = await startService({
    settings,
    connections: served.connections,
    syncs: served.syncs,
    env: setting.env,
    version: readVersion(),
    log: { write: (line) => process.stderr.write(line) },
    schema: profile?.service?.schema ?? null,
    warnings: profile?.warnings ?? [],
    ...(profile === undefined
      ? {}
      : { describeError: (error) => profile.describeError(error)?.text ?? null }),
  })
  await announce(terminal, service, [...served.connections.keys()])
  await interrupted(interrupt.signal)
  await service.stop()
  return EXIT.done
}

interface Served {
  readonly connections: ReadonlyMap<string, ConnectionInput>
  readonly syncs: ReadonlyMap<string, ConfiguredSync>
  readonly profile?: ConfiguredProfile
}

/** All of the configuration, or one source: a connection string, or a name of the configuration. */
async function whatIsServed(
  setting: Setting,
  configuration: Configuration | null,
  { source, terminal }: { readonly source: string | undefined; readonly terminal: Terminal },
): Promise<Served> {
  if (source === undefined) return configuration ?? { connections: new Map(), syncs: new Map() }
  const connection = await toConnection(setting, source, terminal)
  const name = isConnectionString(source) ? UNNAMED : source
  const syncs = [...(configuration?.syncs ?? [])].filter(([, sync]) => sync.connection === connection)
  return { connections: new Map([[name, connection]]), syncs: new Map(syncs) }
}

function fromFlags(flags: ServeFlags): StatedServiceSettings {
  return {
    host: flags.host,
    port: toPort('--port', flags.port),
    authentication: flags.token === false ? 'none' : undefined,
    open: flags.open === undefined ? undefined : toOpen(flags.open),
    maxExtractions: toCount('--max-extractions', flags.maxExtractions),
    maxRuns: toCount('--max-runs', flags.maxRuns),
    gracePeriodMs: toDuration('--grace', flags.grace),
    clientTimeoutMs: toDuration('--client-timeout', flags.clientTimeout),
    logLevel:
      flags.logLevel ?? (flags.verbose === true ? 'debug' : flags.quiet === true ? 'error' : undefined),
    allowInline: flags.allowInline,
    allowHosts: flags.allowHost,
    allowPrivilegedRole: flags.allowPrivilegedRole,
  }
}

/** A noesis configuration says nothing of roles, and its own example connects as a superuser: the log warns instead. */
function fromProfile({ debug, service }: ConfiguredProfile): StatedServiceSettings {
  const logLevel = debug ? 'debug' : undefined
  if (service === null) return { logLevel }
  const { maxConnections, idleTimeoutMs, statementTimeoutMs, batchSize: batchRows } = service
  const limits = { maxConnections, idleTimeoutMs, statementTimeoutMs, batchRows }
  return { logLevel, allowPrivilegedRole: true, limits }
}

function fromEnvironment(env: Environment): StatedServiceSettings {
  const token = env['TRUNKLINE_TOKEN']
  return { port: toPort('PORT', env['PORT']), token: token === '' ? undefined : token }
}

async function announce(
  terminal: Terminal,
  { url, token, tokenIsNew }: RunningService,
  sources: readonly string[],
): Promise<void> {
  if (terminal.json) {
    await printJson(terminal, { url, sources, ...(tokenIsNew ? { token } : {}) })
    return
  }
  await terminal.out(`Listening on ${url}\n`)
  if (tokenIsNew) await terminal.out(`Token for this start, as TRUNKLINE_TOKEN is not set: ${token ?? ''}\n`)
}

function interrupted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    signal.addEventListener('abort', () => {
      resolve()
    })
  })
}

const OPEN: readonly OpenEndpoint[] = ['health', 'metrics']

function toOpen(stated: readonly string[]): readonly OpenEndpoint[] {
  return stated
    .flatMap((value) => value.split(','))
    .map((value) => {
      const found = OPEN.find((endpoint) => endpoint === value.trim())
      if (found !== undefined) return found
      throw invalid(
        '--open',
        'must be health or metrics, or both separated by a comma',
        '--open health,metrics',
      )
    })
}

function toPort(place: string, text: string | undefined): number | undefined {
  if (text === undefined || text === '') return undefined
  const port = Number(text)
  if (/^\d+$/.test(text) && port <= 65_535) return port
  throw invalid(place, 'must be a port, from 0 to 65535', place === 'PORT' ? 'PORT=8080' : `${place} 8080`)
}

function toCount(flag: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const count = Number(text)
  if (/^\d+$/.test(text) && count >= 1 && Number.isSafeInteger(count)) return count
  throw invalid(flag, 'must be a whole number, 1 or more', `${flag} 4`)
}

function toDuration(flag: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const milliseconds = parseDuration(text)
  if (milliseconds !== null) return milliseconds
  throw invalid(flag, 'must be a duration with its unit', `${flag} 30s`)
}

function invalid(place: string, why: string, example: string): TrunklineError {
  return new TrunklineError('CONFIG_INVALID', `${place}: ${why}.`, { hint: `Write ${example}.` })
}

function readVersion(): string {
  const text = readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')
  return (JSON.parse(text) as { version: string }).version
}
