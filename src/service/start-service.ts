/** Puts the service together, listens, and ends it in order. */
import type { FastifyInstance } from 'fastify'
import type { DestinationStream } from 'pino'
import type { ConnectionInput } from '../config/connection-input.js'
import type { ConfiguredSync } from '../config/find-configuration.js'
import type { Environment } from '../config/interpolate.js'
import type { ServiceSettings } from '../config/service-settings.js'
import { TrunklineError } from '../model/error.js'
import { DEFAULT_LIMITS } from '../model/thresholds.js'
import { isLoopbackAddress, makeToken } from './authorize.js'
import { ExtractionSlots } from './extraction-slots.js'
import { CONNECTIONS_EACH, INLINE, addExtractRoute } from './extract-route.js'
import { createHttpServer } from './http-server.js'
import { createServiceLog } from './log.js'
import { Metrics } from './metrics.js'
import { loadServicePackages } from './packages.js'
import { addRoutes } from './routes.js'
import { Runs } from './runs.js'
import type { DescribeError } from './service-error.js'
import { SourceWatch } from './source-watch.js'
import { Sources } from './sources.js'

/** Beside extractions: one that looks at the health, one that reads the catalog. */
const BESIDE = 2
const LAST_ANSWERS_MS = 1000

export interface ServiceOptions {
  readonly settings: ServiceSettings
  readonly connections: ReadonlyMap<string, ConnectionInput>
  readonly syncs: ReadonlyMap<string, ConfiguredSync>
  readonly env: Environment
  readonly version: string
  /** Where the log goes, line by line. */
  readonly log: DestinationStream
  /** Where tables are looked for that are named without a schema; null: in `public`. */
  readonly schema?: string | null
  /** Of the configuration, said when the service begins. */
  readonly warnings?: readonly string[]
  /** Words errors as the document of a profile does. */
  readonly describeError?: DescribeError
}

export interface RunningService {
  /** `http://127.0.0.1:8080`. */
  readonly url: string
  /** That requests must show; null where none is asked for. */
  readonly token: string | null
  /** True where it was made just now, and nobody knows it yet. */
  readonly tokenIsNew: boolean
  /**
   * No new requests; runs end in order, to be gone on with; extractions have the grace period to end by themselves. Resolves
   * when nothing is left.
   */
  stop(): Promise<void>
}

/** @throws MODULE_MISSING, CONFIG_INVALID for an address that cannot be listened on */
export async function startService(options: ServiceOptions): Promise<RunningService> {
  const { settings, connections, syncs, env, version, describeError = () => null } = options
  const packages = await loadServicePackages()
  const log = createServiceLog(packages.pino, { level: settings.logLevel, destination: options.log })
  const limits = {
    ...DEFAULT_LIMITS,
    maxConnections: CONNECTIONS_EACH * settings.maxExtractions + BESIDE,
    ...settings.limits,
  }
  const metrics = new Metrics(packages.prometheus, {
    version,
    sources: [...connections.keys(), ...(settings.allowInline ? [INLINE] : [])],
    maxExtractions: settings.maxExtractions,
    maxRuns: settings.maxRuns,
    pools: () => sources.pools(),
  })
  const observe = (source: string) => metrics.observe(source)
  const { allowPrivilegedRole } = settings
  const sources: Sources = new Sources({
    connections,
    syncs,
    env,
    limits,
    schema: options.schema ?? null,
    allowPrivilegedRole,
    logger: log,
    observe,
  })
  const runs = new Runs({
    syncs,
    sourceOf: ({ connection }, name) =>
      [...connections].find(([, candidate]) => candidate === connection)?.[0] ?? name,
    env,
    maxRuns: settings.maxRuns,
    allowPrivilegedRole,
    logger: log,
    metrics,
    observe,
    describeError,
  })
  const slots = new ExtractionSlots(settings.maxExtractions)
  const stopped = new AbortController()
  let stopping: Promise<void> | null = null
  const isStopping = (): boolean => stopping !== null
  const token = settings.authentication === 'none' ? null : (settings.token ?? makeToken())
  const app = await createHttpServer({
    packages,
    settings,
    token,
    version,
    metrics,
    log,
    isStopping,
    describeError,
  })
  addRoutes(app, {
    sources,
    watch: new SourceWatch(sources, metrics, log),
    runs,
    metrics,
    clientTimeoutMs: settings.clientTimeoutMs,
    isStopping,
    stopped: stopped.signal,
  })
  addExtractRoute(app, { settings, sources, limits, slots, metrics, logger: log, observe, describeError })
  const url = await listen(app, settings)
  log.info({ url, sources: connections.size, syncs: syncs.size, version }, 'the service listens')
  for (const warning of [...(options.warnings ?? []), ...warningsOf(settings)]) log.warn({}, warning)

  const stop = async (): Promise<void> => {
    log.info({ extractions: slots.inUse }, 'the service stops')
    const reason = new TrunklineError('ABORTED', 'The service stops.', {
      hint: 'What is committed stays; the next run goes on from there.',
    })
    await Promise.all([runs.stop(reason), slots.drain(settings.gracePeriodMs)])
    stopped.abort(reason)
    // Whoever is only just asking has this long.
    const timer = setTimeout(() => {
      app.server.closeAllConnections()
    }, LAST_ANSWERS_MS)
    await app.close()
    clearTimeout(timer)
    await sources.close()
    log.info({}, 'the service has stopped')
  }
  return {
    url,
    token,
    tokenIsNew: token !== null && settings.token === null,
    stop: () => (stopping ??= stop()),
  }
}

async function listen(app: FastifyInstance, { host, port }: ServiceSettings): Promise<string> {
  try {
    return await app.listen({ host, port })
  } catch (cause) {
    await app.close()
    const { code } = cause as NodeJS.ErrnoException
    const why =
      WHY[code ?? ''] ??
      (code === undefined ? 'it cannot be listened on' : `it cannot be listened on (${code})`)
    throw new TrunklineError('CONFIG_INVALID', `${host}:${port}: ${why}.`, {
      hint: 'Choose another with --port and --host, or `port` and `host` under `service:`.',
      cause,
    })
  }
}

const WHY: Readonly<Record<string, string | undefined>> = {
  EADDRINUSE: 'another program listens there',
  EACCES: 'this user may not listen there',
  EADDRNOTAVAIL: 'this machine has no such address',
  ENOTFOUND: 'there is no such host',
}

function warningsOf(settings: ServiceSettings): readonly string[] {
  const open = settings.authentication === 'none'
  return [
    ...(open ? ['Requests need no token: whoever can connect may read everything and start runs.'] : []),
    ...(isLoopbackAddress(settings.host)
      ? []
      : ['Tokens and rows cross the network in plain text: have a proxy with TLS in front.']),
    ...(settings.allowPrivilegedRole ? ['Sources may be read by roles that could do more than read.'] : []),
  ]
}
