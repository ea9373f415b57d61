/**
 * What every profile shares. A profile is the configuration of another tool, taken as it stands: its keys, its defaults, and its words
 * for what goes wrong.
 */
import type { ErrorOptions } from '../../model/error.js'
import { TrunklineError } from '../../model/error.js'
import type { ConnectionInput } from '../connection-input.js'
import type { Environment } from '../interpolate.js'
import type { SyncOptions } from '../sync-options.js'

export const PROFILE_NAMES = ['server-side-cursors', 'adaptive', 'greenplum', 'sqlflow', 'noesis'] as const
export type ProfileName = (typeof PROFILE_NAMES)[number]

/** An error in the words of the tool that the configuration was written for: `ValueError`, `Invalid sslmode value: x`. */
export interface ProfileWords {
  readonly className: string
  readonly text: string
}

/** One of our errors that also has the words of a profile. Code, message and hint are ours. */
export class ProfileError extends TrunklineError {
  readonly words: ProfileWords

  constructor(words: ProfileWords, error: TrunklineError) {
    const options: ErrorOptions = { retry: error.retry, context: error.context, cause: error }
    super(error.code, error.message, error.hint === undefined ? options : { ...options, hint: error.hint })
    this.words = words
  }
}

/** What a run says on its way where the profile has words for it. */
export interface RunWords {
  /** The connection is made and the login accepted. */
  readonly connected: string
  readonly reading: string
  landed(rows: number): string
  /** After the last use of the connection. */
  readonly closed: string
}

/** What a command does differently because its configuration is of a profile. */
export interface ConfiguredProfile {
  readonly name: ProfileName
  /** Each a sentence, said before anything is done. */
  readonly warnings: readonly string[]
  /** The configuration asks for more to be logged, as -v does. */
  readonly debug: boolean
  /** Null where the documents have no words for it. */
  describeError(error: TrunklineError): ProfileWords | null
  readonly runWords: RunWords | null
  /** What the service takes from a noesis configuration; null for every other profile. */
  readonly service: ServiceFigures | null
}

export interface ServiceFigures {
  readonly schema: string
  readonly batchSize: number
  readonly maxConnections: number
  readonly idleTimeoutMs: number
  readonly statementTimeoutMs: number
}

/** What a profile's reader makes of a configuration. */
export interface ProfileReading {
  readonly connection: ConnectionInput
  readonly options: SyncOptions
  readonly profile: ConfiguredProfile
}

/** A configuration as it is handed to a profile's reader. */
export interface ProfileDocument {
  /** By top-level key, nothing replaced. */
  readonly values: Readonly<Record<string, unknown>>
  /** How errors name the file. */
  readonly file: string
  readonly env: Environment
  /** `config.yaml:3:7 (port)`. */
  placeOf(key: string): string
  /** A number as it is written, null where there is none: `007` is a password and not 7. */
  writtenAt(key: string): string | null
}

/** Where a profile's tables land, so that `FROM people` finds them. */
export const TARGET_SCHEMA = 'main'

/** One database can be the source of several profiles: each keeps a state of its own. */
export function syncName(database: string, profile: ProfileName): string {
  return `${database}.${profile}`
}

/** An error in the configuration, in both tools' words. */
export function refuse(words: ProfileWords, message: string, hint: string): ProfileError {
  return new ProfileError(words, new TrunklineError('CONFIG_INVALID', message, { hint }))
}
