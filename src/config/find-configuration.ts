/**
 * Finds and reads a configuration, and what is in it once it is checked.
 *
 * What parses and checks a file takes 140 ms to load (zod and yaml), so it is imported only where there is a file.
 */
import { readFile } from 'node:fs/promises'
import { basename, join, relative } from 'node:path'
import { closestKey } from '../model/closest-name.js'
import { TrunklineError } from '../model/error.js'
import type { parseConfiguration } from './configuration.js'
import type { ConnectionInput } from './connection-input.js'
import type { Environment } from './interpolate.js'
import type { StatedServiceSettings } from './service-settings.js'
import type { ConfiguredProfile } from './profiles/profile.js'
import type { SyncOptions } from './sync-options.js'

export const CONFIGURATION_NAMES = ['trunkline.yaml', 'trunkline.yml', 'trunkline.json'] as const

export interface ConfiguredSync {
  readonly connection: ConnectionInput
  readonly destination: string
  /** For errors: where the destination stands in the file; null where it stands in none. */
  readonly destinationPlace: string | null
  /** `name` is the key of the sync unless stated. */
  readonly options: SyncOptions
}

export interface Configuration {
  readonly path: string
  readonly connections: ReadonlyMap<string, ConnectionInput>
  readonly syncs: ReadonlyMap<string, ConfiguredSync>
  /** Absent where the file has no such section. */
  readonly service?: StatedServiceSettings
  /** The tool that the file was written for; absent for trunkline.yaml. */
  readonly profile?: ConfiguredProfile
}

/** The configuration of a directory, or null where there is none. */
export async function findConfiguration(directory: string, env: Environment): Promise<Configuration | null> {
  for (const name of CONFIGURATION_NAMES) {
    const path = join(directory, name)
    const text = await readIfPresent(path)
    if (text !== null) return parse(text, name, path, env)
  }
  return null
}

/** @throws CONFIG_INVALID where there is no such file */
export async function readConfiguration(path: string, env: Environment, cwd: string): Promise<Configuration> {
  const text = await readIfPresent(path)
  if (text === null) {
    throw new TrunklineError('CONFIG_INVALID', `${path}: no such file.`, {
      hint: '`trunkline init` writes one.',
      context: { path },
    })
  }
  const shown = relative(cwd, path)
  return parse(text, shown === '' || shown.startsWith('..') ? path : shown, path, env)
}

/**
 * What POSTGRES_* in the environment says where there is no file; null where it says nothing. libpq's own variables win.
 * @throws ProfileError
 */
export async function configurationFromEnvironment(env: Environment): Promise<Configuration | null> {
  if (env['POSTGRES_HOST'] === undefined || env['PGHOST'] !== undefined || env['PGSERVICE'] !== undefined) {
    return null
  }
  const parser = await import('./configuration.js')
  return parser.configurationFromVariables(env)
}

async function parse(...call: Parameters<typeof parseConfiguration>): Promise<Configuration> {
  const parser = await import('./configuration.js')
  return parser.parseConfiguration(...call)
}

/** @throws CONFIG_INVALID with a suggestion */
export function findSync(configuration: Configuration, name: string): ConfiguredSync {
  const sync = configuration.syncs.get(name)
  if (sync !== undefined) return sync
  const suggestion = closestKey(name, configuration.syncs.keys())
  throw new TrunklineError(
    'CONFIG_INVALID',
    `${basename(configuration.path)} has no sync named \`${name}\`.`,
    {
      hint:
        suggestion === null
          ? `Its syncs: ${[...configuration.syncs.keys()].join(', ') || 'none'}.`
          : `Did you mean \`${suggestion}\`?`,
      context: { path: configuration.path },
    },
  )
}

async function readIfPresent(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8')
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw new TrunklineError('CONFIG_INVALID', `${path} cannot be read.`, {
      hint: 'It must be a readable file.',
      context: { path },
      cause,
    })
  }
}
