/** The sources that the service reads from, by name: opened when first asked for, kept until it stops. */
import type { ConnectionInput } from '../config/connection-input.js'
import type { ConfiguredSync } from '../config/find-configuration.js'
import type { Environment } from '../config/interpolate.js'
import type { ConnectionObserver } from '../connectors.js'
import { openSource, resolveSettings } from '../connectors.js'
import { closestKey } from '../model/closest-name.js'
import { TrunklineError } from '../model/error.js'
import type { Logger } from '../model/log.js'
import type { Limits } from '../model/sync-spec.js'
import type { ConnectionStatus, NamedQuery, Source } from '../source/contract.js'
import { ServiceError } from './service-error.js'
import { withholdingOf, type Withhold } from './withheld.js'

/** How long it is believed that a role can only read. */
const ROLE_CHECK_MS = 60_000

export interface ServiceSource {
  readonly name: string
  /** Where names without a schema are looked for. */
  readonly schemas: readonly string[]
  /** Configured SELECTs of the source's syncs, by the name of their stream. */
  readonly queries: ReadonlyMap<string, NamedQuery>
  readonly limits: Limits
  /** What the source's syncs leave out, mask or filter. */
  readonly withhold: Withhold
  readonly open: () => Promise<Source>
  /** @throws PRIVILEGED_ROLE unless it is allowed */
  readonly assertOnlyReads: (signal: AbortSignal) => Promise<void>
}

export interface SourcesOptions {
  readonly connections: ReadonlyMap<string, ConnectionInput>
  readonly syncs: ReadonlyMap<string, ConfiguredSync>
  readonly env: Environment
  readonly limits: Limits
  /** Of a profile that names one. */
  readonly schema: string | null
  readonly allowPrivilegedRole: boolean
  readonly logger: Logger
  readonly observe: (source: string) => ConnectionObserver
}

export class Sources {
  readonly #sources = new Map<string, KeptSource>()

  constructor(options: SourcesOptions) {
    for (const [name, input] of options.connections) {
      this.#sources.set(name, new KeptSource(name, input, options))
    }
  }

  get names(): readonly string[] {
    return [...this.#sources.keys()]
  }

  /** Without a name, the only one. @throws ServiceError */
  get(name: string | undefined): ServiceSource {
    const [only] = this.#sources.values()
    if (name === undefined && only !== undefined && this.#sources.size === 1) return only
    const found = name === undefined ? undefined : this.#sources.get(name)
    if (found !== undefined) return found
    if (name === undefined) {
      throw new ServiceError(
        'REQUEST_INVALID',
        'Say which source.',
        `Sources: ${this.names.join(', ') || 'none are configured'}.`,
      )
    }
    const suggestion = closestKey(name, this.names)
    throw new ServiceError(
      'NOT_FOUND',
      `There is no source ${JSON.stringify(name)}.`,
      suggestion === null ? `Sources: ${this.names.join(', ')}.` : `Did you mean \`${suggestion}\`?`,
    )
  }

  all(): readonly ServiceSource[] {
    return [...this.#sources.values()]
  }

  /** Of those that are open and tell. */
  pools(): ReadonlyMap<string, ConnectionStatus> {
    const all = [...this.#sources].map(([name, source]) => [name, source.pool()] as const)
    return new Map(all.filter((entry): entry is [string, ConnectionStatus] => entry[1] !== null))
  }

  async close(): Promise<void> {
    await Promise.all([...this.#sources.values()].map((source) => source.close()))
  }
}

class KeptSource implements ServiceSource {
  readonly name: string
  readonly schemas: readonly string[]
  readonly queries: ReadonlyMap<string, NamedQuery>
  readonly limits: Limits
  readonly withhold: Withhold
  readonly #input: ConnectionInput
  readonly #options: SourcesOptions
  #source: Promise<Source> | null = null
  #opened: Source | null = null
  #roleCheckedAtMs = -Infinity

  constructor(name: string, input: ConnectionInput, options: SourcesOptions) {
    this.name = name
    this.#input = input
    this.#options = options
    this.limits = options.limits
    this.schemas = input.searchPath ?? [options.schema ?? 'public']
    const syncs = [...options.syncs.values()].filter(({ connection }) => connection === input)
    this.queries = queriesOf(syncs)
    this.withhold = withholdingOf(syncs)
  }

  readonly open = (): Promise<Source> => {
    this.#source ??= this.#open().catch((error: unknown) => {
      this.#source = null
      throw error
    })
    return this.#source
  }

  readonly assertOnlyReads = async (signal: AbortSignal): Promise<void> => {
    if (this.#options.allowPrivilegedRole) return
    if (performance.now() - this.#roleCheckedAtMs < ROLE_CHECK_MS) return
    const source = await this.open()
    assertOnlyReads(await source.check({ signal }))
    this.#roleCheckedAtMs = performance.now()
  }

  pool(): ConnectionStatus | null {
    return this.#opened?.connectionStatus?.() ?? null
  }

  async close(): Promise<void> {
    const source = await this.#source?.catch(() => null)
    await source?.close()
  }

  async #open(): Promise<Source> {
    const { env, limits, logger, observe } = this.#options
    this.#opened = await openSource(await resolveSettings(this.#input, env), {
      logger,
      limits,
      searchPath: this.#input.searchPath,
      observer: observe(this.name),
    })
    return this.#opened
  }
}

/** @throws PRIVILEGED_ROLE */
export function assertOnlyReads({ role, privilegedRole }: { role: string; privilegedRole: boolean }): void {
  if (!privilegedRole) return
  throw new TrunklineError(
    'PRIVILEGED_ROLE',
    `The service does not read as role ${role}, which could do more than read.`,
    { hint: 'Connect as a role that can only read, or start it with --allow-privileged-role.' },
  )
}

function queriesOf(syncs: readonly ConfiguredSync[]): ReadonlyMap<string, NamedQuery> {
  const queries = new Map<string, NamedQuery>()
  for (const { options } of syncs) {
    for (const [name, stream] of Object.entries(options.streams ?? {})) {
      if (stream?.sql === undefined || stream.disabled === true) continue
      queries.set(name, { name, sql: stream.sql, primaryKey: stream.primaryKey ?? null })
    }
  }
  return queries
}
