/** The service's log: JSON lines by pino, on stderr. */
import type { DestinationStream, Logger as PinoLogger } from 'pino'
import type { LogLevel } from '../config/service-settings.js'
import { redact } from '../connectors.js'
import type { ServicePackages } from './packages.js'

const SECRET_FIELDS = ['token', 'password', 'authorization', '*.token', '*.password', '*.authorization']

/** `error`, `warn`, `info` or `debug`; what a message holds by accident is redacted in it. */
export function createServiceLog(
  pino: ServicePackages['pino'],
  options: { readonly level: LogLevel; readonly destination: DestinationStream },
): PinoLogger {
  return pino(
    {
      level: options.level,
      base: null,
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: SECRET_FIELDS, censor: '***' },
      hooks: {
        logMethod(args, method) {
          method.apply(this, args.map((arg) => (typeof arg === 'string' ? redact(arg) : arg)) as typeof args)
        },
      },
    },
    options.destination,
  )
}
