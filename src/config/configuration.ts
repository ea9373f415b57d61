/** `trunkline.yaml`: found, read, checked, and as connections and syncs by name. */
import { readFile } from 'node:fs/promises'
import { basename, join, relative } from 'node:path'
import { TrunklineError } from '../model/error.js'
import type { ConnectionInput } from './connection-input.js'
import { isConnectionString } from './connection-input.js'
import { fileSchema, knownKeysAt } from './file-schema.js'
import type { ConfigurationFile } from './file-schema.js'
import type { Environment } from './interpolate.js'
import { toConfigError } from './issues.js'
import { suggestName } from './suggest.js'
import type { SyncOptions } from './sync-options.js'
import { parseYamlDocument } from './yaml-document.js'

export const CONFIGURATION_NAMES = ['trunkline.yaml', 'trunkline.yml', 'trunkline.json'] as const

export interface ConfiguredSync {
  readonly connection: ConnectionInput
  readonly destination: string
  /** `name` is the key of the sync unless stated. */
  readonly options: SyncOptions
}

export interface Configuration {
  readonly path: string
  readonly connections: ReadonlyMap<string, ConnectionInput>
  readonly syncs: ReadonlyMap<string, ConfiguredSync>
}

/** The configuration of a directory, or null where there is none. */
export async function findConfiguration(directory: string, env: Environment): Promise<Configuration | null> {
  for (const name of CONFIGURATION_NAMES) {
    const path = join(directory, name)
    const text = await readIfPresent(path)
    if (text !== null) return parseConfiguration(text, name, path, env)
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
  return parseConfiguration(text, shown === '' || shown.startsWith('..') ? path : shown, path, env)
}

/** @param file how errors name it */
export function parseConfiguration(
  text: string,
  file: string,
  path: string,
  env: Environment,
): Configuration {
  const document = parseYamlDocument(text, file, env)
  const parsed = fileSchema.safeParse(document.value, { reportInput: true })
  if (!parsed.success) {
    throw toConfigError(parsed.error, { placeOf: document.placeOf, knownKeysAt, spell: (key) => key })
  }

  const connections = new Map<string, ConnectionInput>()
  for (const [name, connection] of Object.entries(parsed.data.connections ?? {})) {
    connections.set(name, toConnectionInput(connection, document.placeOf(['connections', name])))
  }
  const syncs = new Map<string, ConfiguredSync>()
  for (const [name, sync] of Object.entries(parsed.data.syncs ?? {})) {
    const { source, destination, ...options } = sync
    const connection = connections.get(source)
    if (connection === undefined) {
      throw unknownConnection(document.placeOf(['syncs', name, 'source']), source, connections)
    }
    syncs.set(name, { connection, destination, options: { name, ...options } })
  }
  return { path, connections, syncs }
}

/** @throws CONFIG_INVALID with a suggestion */
export function findSync(configuration: Configuration, name: string): ConfiguredSync {
  const sync = configuration.syncs.get(name)
  if (sync !== undefined) return sync
  const suggestion = suggestName(name, configuration.syncs.keys())
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

type FileConnection = NonNullable<ConfigurationFile['connections']>[string]

function toConnectionInput(connection: FileConnection, place: string): ConnectionInput {
  if (typeof connection === 'string') return { url: checkUrl(connection, place), options: {}, place }
  const {
    url,
    password_command: passwordCommand,
    search_path: searchPath,
    database,
    ...keywords
  } = connection
  const options: Record<string, string> = {}
  for (const [key, value] of Object.entries(keywords)) if (value !== undefined) options[key] = value
  if (database !== undefined) options['dbname'] ??= database
  return {
    options,
    place,
    ...(url === undefined ? {} : { url: checkUrl(url, place) }),
    ...(passwordCommand === undefined ? {} : { passwordCommand }),
    ...(searchPath === undefined ? {} : { searchPath }),
  }
}

/** The text may hold a password, so an error never quotes it. */
function checkUrl(url: string, place: string): string {
  if (isConnectionString(url)) return url
  throw new TrunklineError('CONFIG_INVALID', `${place}: the url is not a connection string.`, {
    hint: 'Write postgresql://user@host:port/database, or keywords as in `host=db dbname=shop`.',
  })
}

function unknownConnection(
  place: string,
  source: string,
  connections: ReadonlyMap<string, unknown>,
): TrunklineError {
  const suggestion = suggestName(source, connections.keys())
  const shown = isConnectionString(source) ? 'a connection string' : `\`${source}\``
  return new TrunklineError('CONFIG_INVALID', `${place}: ${shown} is not a key of connections.`, {
    hint:
      suggestion === null
        ? `Connections: ${[...connections.keys()].join(', ') || 'none'}. Put the connection there and name it here.`
        : `Did you mean \`${suggestion}\`?`,
  })
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
