/** What the arguments of a command mean: a connection string, a name in the configuration file, a destination. */
import { resolve } from 'node:path'
import type { ConnectionInput } from '../config/connection-input.js'
import { holdsPassword, isConnectionString } from '../config/connection-input.js'
import { looksLikeDestination } from '../config/destination-text.js'
import { readEnvironment } from '../config/env-file.js'
import type { Configuration, ConfiguredSync } from '../config/find-configuration.js'
import {
  configurationFromEnvironment,
  findConfiguration,
  findSync,
  readConfiguration,
} from '../config/find-configuration.js'
import type { Environment } from '../config/interpolate.js'
import type { ConfiguredProfile } from '../config/profiles/profile.js'
import { closestKey } from '../model/closest-name.js'
import { TrunklineError } from '../model/error.js'
import { escapeText } from './escape.js'
import type { Terminal } from './terminal.js'

export interface FileFlags {
  readonly config?: string
}

/** What every command starts from. */
export interface Setting {
  readonly env: Environment
  /** Stated with -c, or found in the working directory. */
  readonly configuration: Configuration | null
}

export async function openSetting(flags: FileFlags): Promise<Setting> {
  const cwd = process.cwd()
  const env = await readEnvironment(cwd, process.env)
  lendToSdk(env)
  const configuration =
    flags.config === undefined ? null : await readConfiguration(resolve(cwd, flags.config), env, cwd)
  return { env, configuration }
}

/** What `.env` says of a bucket's keys and region: the AWS SDK, and commands that its profiles run, look at this process alone. */
function lendToSdk(env: Environment): void {
  for (const [name, value] of Object.entries(env)) {
    if (name.startsWith('AWS_') && value !== undefined) process.env[name] ??= value
  }
}

/** The stated configuration, that in the working directory, or that of the environment: looked for only when a command needs one. */
export async function configurationOf(setting: Setting): Promise<Configuration | null> {
  return (
    setting.configuration ??
    (await findConfiguration(process.cwd(), setting.env)) ??
    (await configurationFromEnvironment(setting.env))
  )
}

function warnOfConfiguration(configuration: Configuration | null, terminal: Terminal): void {
  for (const warning of configuration?.profile?.warnings ?? []) {
    terminal.note(`${terminal.style.yellow('warning:')} ${escapeText(warning)}`)
  }
}

/** SOURCE: a connection string, or the name of a connection, or of a sync whose connection is meant. */
export async function toConnection(
  setting: Setting,
  source: string | undefined,
  terminal: Terminal,
): Promise<ConnectionInput> {
  if (source !== undefined && isConnectionString(source)) {
    warnOfPassword(source, terminal)
    return { url: source, options: {}, place: null }
  }
  const configuration = await configurationOf(setting)
  warnOfConfiguration(configuration, terminal)
  if (source === undefined) return onlyConnection(configuration)
  const connection = configuration?.connections.get(source) ?? configuration?.syncs.get(source)?.connection
  if (connection !== undefined) return connection
  const suggestion = closestKey(source, configuration?.connections.keys() ?? [])
  throw new TrunklineError(
    'CONFIG_INVALID',
    `SOURCE ${JSON.stringify(source)} is neither a connection string nor a connection of ${configuration?.path ?? 'a configuration file'}.`,
    {
      hint:
        suggestion === null
          ? 'Write postgresql://user@host:port/database, or keywords as in "host=db dbname=shop".'
          : `Did you mean \`${suggestion}\`?`,
    },
  )
}

export interface RequestedSync extends ConfiguredSync {
  /** From a file: what it asks for has been considered before. */
  readonly configured: boolean
  readonly profile?: ConfiguredProfile
}

/** `SOURCE DESTINATION`, or names of syncs of the file with a DESTINATION instead of theirs; nothing means all of them. */
export async function toRequestedSyncs(
  setting: Setting,
  args: readonly string[],
  terminal: Terminal,
): Promise<readonly RequestedSync[]> {
  const [first, second] = args
  if (setting.configuration === null && first !== undefined && isConnectionString(first)) {
    if (second === undefined || args.length > 2) {
      throw new TrunklineError('CONFIG_INVALID', 'Say one SOURCE and one DESTINATION.', {
        hint: 'trunkline sync postgresql://user@host/shop shop.duckdb',
      })
    }
    warnOfPassword(first, terminal)
    warnOfPassword(second, terminal)
    const connection = { url: first, options: {}, place: null }
    return [{ connection, destination: second, destinationPlace: null, options: {}, configured: false }]
  }

  const configuration = await configurationOf(setting)
  if (configuration === null) {
    throw new TrunklineError(
      'CONFIG_INVALID',
      first === undefined
        ? 'There is nothing to sync: no SOURCE and no trunkline.yaml here.'
        : `SOURCE ${JSON.stringify(first)} is not a connection string, and there is no trunkline.yaml here.`,
      {
        hint: '`trunkline sync postgresql://user@host/shop shop.duckdb`, or `trunkline init` to write a file.',
      },
    )
  }
  warnOfConfiguration(configuration, terminal)
  return fromConfiguration(configuration, args)
}

function fromConfiguration(configuration: Configuration, args: readonly string[]): readonly RequestedSync[] {
  const last = args.at(-1)
  const destination =
    last !== undefined && !configuration.syncs.has(last) && looksLikeDestination(last) ? last : null
  const names = destination === null ? args : args.slice(0, -1)
  const [onlyName] = names
  const connection = onlyName === undefined ? undefined : configuration.connections.get(onlyName)
  if (
    destination !== null &&
    names.length === 1 &&
    connection !== undefined &&
    !configuration.syncs.has(onlyName ?? '')
  ) {
    return [{ connection, destination, destinationPlace: null, options: {}, configured: false }]
  }
  const wanted = names.length === 0 ? [...configuration.syncs.keys()] : names
  if (wanted.length === 0) {
    throw new TrunklineError('CONFIG_INVALID', `${configuration.path} has no syncs.`, {
      hint: 'Add one under `syncs:`; `trunkline init` in an empty directory shows how.',
    })
  }
  return wanted.map((name) => {
    const sync = findSync(configuration, name)
    const { profile } = configuration
    return {
      ...sync,
      ...(destination === null ? {} : { destination, destinationPlace: null }),
      configured: true,
      ...(profile === undefined ? {} : { profile }),
    }
  })
}

export interface StatedDestination {
  readonly destination: string
  /** In the file; null for one of the command line. */
  readonly place: string | null
  readonly sync: string | null
}

/** DESTINATION of commands that look at state: stated, or that of the file's only sync, or of the sync named. */
export async function toDestinationText(
  setting: Setting,
  stated: string | undefined,
  sync: string | undefined,
): Promise<StatedDestination> {
  if (stated !== undefined) return { destination: stated, place: null, sync: sync ?? null }
  const configuration = await configurationOf(setting)
  const names = [...(configuration?.syncs.keys() ?? [])]
  const name = sync ?? (names.length === 1 ? names[0] : undefined)
  if (configuration === null || name === undefined) {
    throw new TrunklineError('CONFIG_INVALID', 'Say which DESTINATION.', {
      hint:
        names.length > 1
          ? `Name it, as shop.duckdb, or one of the syncs with --sync: ${names.join(', ')}.`
          : 'Name it, as shop.duckdb or duckdb:shop.duckdb.',
    })
  }
  const configured = findSync(configuration, name)
  const { destination, destinationPlace: place, options } = configured
  return { destination, place, sync: options.name ?? name }
}

function onlyConnection(configuration: Configuration | null): ConnectionInput {
  const connections = [...(configuration?.connections.values() ?? [])]
  const [only] = connections
  // Without anything stated, libpq's environment says it all, as with psql.
  if (only === undefined) return { options: {}, place: null }
  if (connections.length === 1) return only
  throw new TrunklineError('CONFIG_INVALID', 'Say which SOURCE.', {
    hint: `Connections: ${[...(configuration?.connections.keys() ?? [])].join(', ')}.`,
  })
}

function warnOfPassword(text: string, terminal: Terminal): void {
  if (!holdsPassword(text)) return
  terminal.note(
    `${terminal.style.yellow('warning:')} the password on the command line can be seen by other users of this machine; use PGPASSWORD, ~/.pgpass or trunkline.yaml.`,
  )
}
