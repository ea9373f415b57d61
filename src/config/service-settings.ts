/** How `trunkline serve` listens, whom it lets in and what it allows; complete with defaults. */
import { TrunklineError } from '../model/error.js'
import type { Limits } from '../model/sync-spec.js'
import {
  SERVICE_CLIENT_TIMEOUT_MS,
  SERVICE_EXTRACTIONS,
  SERVICE_GRACE_MS,
  SERVICE_PORT,
  SERVICE_RUNS,
  SERVICE_TOKEN_MIN_LENGTH,
} from '../model/thresholds.js'

export type OpenEndpoint = 'health' | 'metrics'
export type LogLevel = 'error' | 'warn' | 'info' | 'debug'

export interface ServiceSettings {
  /** Address to listen on; loopback unless stated. */
  readonly host: string
  /** 0 takes a free one. */
  readonly port: number
  /** Null: one is made at start, unless authentication is `none`. */
  readonly token: string | null
  readonly authentication: 'token' | 'none'
  /** What is answered without a token; /health/live and /health/ready always are. */
  readonly open: readonly OpenEndpoint[]
  /** Extractions at the same time; more are refused with 429. */
  readonly maxExtractions: number
  /** Runs at the same time; more are refused with 429. */
  readonly maxRuns: number
  /** How long extractions under way may take to end after a stop was asked for. */
  readonly gracePeriodMs: number
  /** A client that takes nothing for so long is left. */
  readonly clientTimeoutMs: number
  readonly logLevel: LogLevel
  /** Requests may bring SQL, and connections to hosts of `allowHosts`. */
  readonly allowInline: boolean
  /** Names, addresses and networks (10.1.0.0/16) that inline connections may go to. */
  readonly allowHosts: readonly string[]
  /** Read as a role that could do more than read. */
  readonly allowPrivilegedRole: boolean
  /** Of extractions; those of runs are their sync's. */
  readonly limits: Partial<Limits>
}

/** As a file or flags state it; what is absent falls to the next, then to the default. */
export type StatedServiceSettings = { readonly [K in keyof ServiceSettings]?: ServiceSettings[K] | undefined }

const DEFAULTS: ServiceSettings = {
  host: '127.0.0.1',
  port: SERVICE_PORT,
  token: null,
  authentication: 'token',
  open: [],
  maxExtractions: SERVICE_EXTRACTIONS,
  maxRuns: SERVICE_RUNS,
  gracePeriodMs: SERVICE_GRACE_MS,
  clientTimeoutMs: SERVICE_CLIENT_TIMEOUT_MS,
  logLevel: 'info',
  allowInline: false,
  allowHosts: [],
  allowPrivilegedRole: false,
  limits: {},
}

/**
 * The first that states something wins, key by key.
 * @throws CONFIG_INVALID for a token that is too short to keep anybody out
 */
export function resolveServiceSettings(...stated: readonly StatedServiceSettings[]): ServiceSettings {
  const settings: ServiceSettings = { ...DEFAULTS }
  for (const layer of stated.toReversed()) {
    const present = Object.entries(layer).filter(([, value]) => value !== undefined)
    Object.assign(settings, Object.fromEntries(present))
  }
  const { token } = settings
  if (token !== null && token.length < SERVICE_TOKEN_MIN_LENGTH) {
    throw new TrunklineError(
      'CONFIG_INVALID',
      `The token of the service has fewer than ${SERVICE_TOKEN_MIN_LENGTH} characters.`,
      { hint: 'Make one with `openssl rand -hex 32`, or leave it out to have one made at each start.' },
    )
  }
  return settings
}
