/** The section `service` of `trunkline.yaml`. */
import { z } from 'zod'
import type { Limits } from '../model/sync-spec.js'
import type { StatedServiceSettings } from './service-settings.js'
import { duration, flag, name, names, text, wholeNumber } from './stream-schema.js'

const MAX_PORT = 65_535
const oneOf = <const T extends readonly [string, ...string[]]>(values: T) =>
  z.enum(values, { error: () => `must be one of: ${values.join(', ')}` })

export const SERVICE_KEYS = {
  host: name.describe('Address to listen on. Default: 127.0.0.1.'),
  port: wholeNumber(0)
    .refine((port) => port <= MAX_PORT, { error: () => `must be a port, ${MAX_PORT} at most` })
    .describe('Default: 8080.'),
  token: text.describe('Bearer token that requests must show, better in ${VAR}. Default: one made at start.'),
  authentication: oneOf(['token', 'none']).describe('none: whoever can connect may do everything.'),
  open: z
    .array(oneOf(['health', 'metrics']), { error: () => 'must be a list of: health, metrics' })
    .describe('What is answered without a token.'),
  max_extractions: wholeNumber(1).describe('Extractions at the same time.'),
  max_runs: wholeNumber(1).describe('Runs at the same time.'),
  grace_period: duration.describe('How long extractions may go on after a stop was asked for.'),
  client_timeout: duration.describe('A client that takes nothing for so long is left.'),
  log_level: oneOf(['error', 'warn', 'info', 'debug']),
  allow_inline: flag.describe('Requests may bring SQL, and connections to hosts of allow_hosts.'),
  allow_hosts: names.describe('Names, addresses and networks that inline connections may go to.'),
  allow_privileged_role: flag.describe('Read as a role that could do more than read.'),
} as const

type Stated = {
  readonly [Key in keyof typeof SERVICE_KEYS]?: z.output<(typeof SERVICE_KEYS)[Key]> | undefined
} & { readonly limits?: Partial<Limits> | undefined }

export function toServiceSettings(stated: Stated): StatedServiceSettings {
  return {
    host: stated.host,
    port: stated.port,
    token: stated.token,
    authentication: stated.authentication,
    open: stated.open,
    maxExtractions: stated.max_extractions,
    maxRuns: stated.max_runs,
    gracePeriodMs: stated.grace_period,
    clientTimeoutMs: stated.client_timeout,
    logLevel: stated.log_level,
    allowInline: stated.allow_inline,
    allowHosts: stated.allow_hosts,
    allowPrivilegedRole: stated.allow_privileged_role,
    limits: stated.limits,
  }
}
