/** What a configuration file says, `trunkline.yaml` or one of another tool: checked, and as connections and syncs by name. */
import { closestKey } from '../model/closest-name.js'
import { TrunklineError } from '../model/error.js'
import type { ConnectionInput } from './connection-input.js'
import { isConnectionString } from './connection-input.js'
import { fileSchema, knownKeysAt } from './file-schema.js'
import type { ConfigurationFile } from './file-schema.js'
import type { Configuration, ConfiguredSync } from './find-configuration.js'
import type { Environment } from './interpolate.js'
import { toConfigError } from './issues.js'
import { NOESIS_VARIABLES, REQUIRED_VARIABLES } from './profiles/noesis.js'
import type { ProfileDocument, ProfileName } from './profiles/profile.js'
import { readProfile, recognise } from './profiles/recognise.js'
import { placeHooks } from './transform-schema.js'
import { parseYamlDocument } from './yaml-document.js'

/** Where a profile's sync goes that is told nothing else. */
const PROFILE_DESTINATION = './warehouse.duckdb'

/** @param file how errors name it */
export function parseConfiguration(
  text: string,
  file: string,
  path: string,
  env: Environment,
): Configuration {
  const asWritten = parseYamlDocument(text.replace(/^\uFEFF/, ''), file, null)
  if (isMapping(asWritten.value)) {
    const values = asWritten.value
    const profile = recognise({ values, file, json: text.trimStart().startsWith('{') })
    const placeOf = (key: string): string => asWritten.placeOf([key])
    const writtenAt = (key: string): string | null => asWritten.writtenAt([key])
    if (profile !== null) return fromProfile(profile, { values, file, env, placeOf, writtenAt }, path)
  }
  return parseNative(text, file, path, env)
}

/** Of noesis' connector, which runs from variables alone; null unless every one that it needs is set. */
export function configurationFromVariables(env: Environment): Configuration | null {
  if (!REQUIRED_VARIABLES.every((name) => (env[name] ?? '') !== '')) return null
  const file = `the environment (${NOESIS_VARIABLES.filter((name) => env[name] !== undefined).join(', ')})`
  const placeOf = (key: string): string => `${file} (${key})`
  return fromProfile('noesis', { values: {}, file, env, placeOf, writtenAt: () => null }, file)
}

function fromProfile(name: ProfileName, document: ProfileDocument, path: string): Configuration {
  const { connection, options, profile } = readProfile(name, document)
  const key = options.name ?? name
  const sync: ConfiguredSync = {
    connection,
    destination: PROFILE_DESTINATION,
    destinationPlace: null,
    options,
  }
  return {
    path,
    connections: new Map([[key, connection]]),
    syncs: new Map([[key, sync]]),
    profile,
  }
}

function isMapping(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function parseNative(text: string, file: string, path: string, env: Environment): Configuration {
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
    const destinationPlace = document.placeOf(['syncs', name, 'destination'])
    if (connections.has(destination)) throw connectionAsDestination(destinationPlace, destination)
    syncs.set(name, {
      connection,
      destination,
      destinationPlace,
      options: placeHooks({ name, ...options }, path),
    })
  }
  const { service } = parsed.data
  return { path, connections, syncs, ...(service === undefined ? {} : { service }) }
}

type FileConnection = NonNullable<ConfigurationFile['connections']>[string]

function toConnectionInput(connection: FileConnection, place: string): ConnectionInput {
  if (typeof connection === 'string') return { url: checkUrl(connection, place), options: {}, place }
  const {
    url,
    password_command: passwordCommand,
    search_path: searchPath,
    database,
    ssh_tunnel: tunnel,
    ssh_key: key,
    ssh_passphrase: passphrase,
    ssh_password: password,
    ssh_password_command: sshPasswordCommand,
    ssh_known_hosts: knownHosts,
    ...keywords
  } = connection
  const options: Record<string, string> = {}
  for (const [key, value] of Object.entries(keywords)) if (value !== undefined) options[key] = value
  if (database !== undefined) options['dbname'] ??= database
  const ssh = { tunnel, key, passphrase, password, passwordCommand: sshPasswordCommand, knownHosts }
  const tunnelled = Object.values(ssh).some((value) => value !== undefined)
  return {
    options,
    place,
    ...(url === undefined ? {} : { url: checkUrl(url, place) }),
    ...(passwordCommand === undefined ? {} : { passwordCommand }),
    ...(tunnelled ? { ssh } : {}),
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

function connectionAsDestination(place: string, destination: string): TrunklineError {
  return new TrunklineError(
    'CONFIG_INVALID',
    `${place}: \`${destination}\` is a connection, which is read from.`,
    {
      hint: 'Write the destination out: postgresql://user@host/database?sslmode=verify-full, or duckdb:FILE, parquet:DIR, …',
    },
  )
}

function unknownConnection(
  place: string,
  source: string,
  connections: ReadonlyMap<string, unknown>,
): TrunklineError {
  const suggestion = closestKey(source, connections.keys())
  const shown = isConnectionString(source) ? 'a connection string' : `\`${source}\``
  return new TrunklineError('CONFIG_INVALID', `${place}: ${shown} is not a key of connections.`, {
    hint:
      suggestion === null
        ? `Connections: ${[...connections.keys()].join(', ') || 'none'}. Put the connection there and name it here.`
        : `Did you mean \`${suggestion}\`?`,
  })
}
