/** A configuration of a profile as the command line reads it. */
import { readFileSync } from 'node:fs'
import { parseConfiguration } from '../../../src/config/configuration.js'
import type { ConnectionInput } from '../../../src/config/connection-input.js'
import type { Configuration } from '../../../src/config/find-configuration.js'
import type { ConfiguredProfile } from '../../../src/config/profiles/profile.js'
import { ProfileError } from '../../../src/config/profiles/profile.js'
import type { SyncOptions } from '../../../src/config/sync-options.js'
import type { StreamOptions } from '../../../src/model/sync-spec.js'
import { TrunklineError } from '../../../src/model/error.js'

export interface ReadProfile {
  readonly configuration: Configuration
  readonly profile: ConfiguredProfile
  readonly connection: ConnectionInput
  readonly options: SyncOptions
  readonly destination: string
  /** Of the one stream or pattern that it lists. */
  readonly stream: StreamOptions
  readonly streamName: string
}

type Environment = Readonly<Record<string, string>>

/** @param values what a JSON file holds, or the text of a file */
export function readProfile(
  values: object | string,
  env: Environment = {},
  file = typeof values === 'string' ? 'config.yaml' : 'configuration.json',
): ReadProfile {
  const text = typeof values === 'string' ? values : JSON.stringify(values)
  const configuration = parseConfiguration(text, file, `/etc/${file}`, env)
  const [sync] = configuration.syncs.values()
  const { profile } = configuration
  if (sync === undefined || profile === undefined) throw new Error('was read as trunkline.yaml')
  const [entry] = Object.entries(sync.options.streams ?? {})
  const { connection, options, destination } = sync
  return {
    configuration,
    profile,
    connection,
    options,
    destination,
    stream: entry?.[1] ?? {},
    streamName: entry?.[0] ?? '',
  }
}

/** `ValueError: …`, with the code and the two sentences of ours. */
export function refusalOf(values: object | string, env: Environment = {}): ProfileError {
  try {
    readProfile(values, env)
  } catch (error) {
    if (error instanceof ProfileError) return error
    throw error
  }
  throw new Error('was accepted')
}

export function wordsOf(values: object | string, env: Environment = {}): string {
  const { words, cause } = refusalOf(values, env)
  if (!(cause instanceof TrunklineError)) throw new Error('the original is not kept as the cause')
  return `${words.className}: ${words.text}`
}

export function exampleText(path: string): string {
  return readFileSync(new URL(`../../../examples/${path}`, import.meta.url), 'utf8')
}

export function without<T extends object>(object: T, key: string): Record<string, unknown> {
  return Object.fromEntries(Object.entries(object).filter(([name]) => name !== key))
}
