/** What Trunkline logs to: pino's method shape, so that a pino or console-like logger can be handed in as it is. */
export interface Logger {
  debug(fields: LogFields, message: string): void
  info(fields: LogFields, message: string): void
  warn(fields: LogFields, message: string): void
  error(fields: LogFields, message: string): void
}

/** Structured, without secrets and without row values. */
export type LogFields = Readonly<Record<string, string | number | boolean | bigint | null | undefined>>

const ignore = (): void => undefined
export const silentLogger: Logger = { debug: ignore, info: ignore, warn: ignore, error: ignore }
