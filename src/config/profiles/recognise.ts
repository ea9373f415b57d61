/** Which tool a configuration was written for, told by its keys: the first rule that fits decides. */
import { basename } from 'node:path'
import { closestKey } from '../../model/closest-name.js'
import { TrunklineError } from '../../model/error.js'
import { CONFIGURATION_NAMES } from '../find-configuration.js'
import { readAdaptive } from './adaptive.js'
import { readGreenplum } from './greenplum.js'
import { readNoesis } from './noesis.js'
import type { ProfileDocument, ProfileName, ProfileReading } from './profile.js'
import { PROFILE_NAMES } from './profile.js'
import { readServerSideCursors } from './server-side-cursors.js'
import { readSqlflow } from './sqlflow.js'

type Values = Readonly<Record<string, unknown>>

export interface RecogniseInput {
  readonly values: Values
  /** Of the file, with or without its folder. */
  readonly file: string
  /** JSON rather than YAML. */
  readonly json: boolean
}

/** Keys that only trunkline.yaml has. */
const NATIVE_KEYS = ['version', 'connections', 'syncs']
const GREENPLUM_KEYS = ['HOST', 'PORT', 'DATABASE', 'USERNAME', 'PASSWORD']
const SQLFLOW_KEYS = ['dbname', 'user', 'sync_mode', 'cursor_field', 'table', 'query']
/** Names of noesis' catalog, which no other tool has. */
const NOESIS_KEYS = ['sslMode', 'connectTimeout', 'statementTimeout']
const CONNECTION_KEYS = ['host', 'port', 'database', 'username', 'password']
const NOESIS_YAML_KEYS = [...CONNECTION_KEYS, 'hostname', 'mode']

const READERS: Readonly<Record<ProfileName, (document: ProfileDocument) => ProfileReading>> = {
  'server-side-cursors': readServerSideCursors,
  adaptive: readAdaptive,
  greenplum: readGreenplum,
  sqlflow: readSqlflow,
  noesis: readNoesis,
}

export function readProfile(name: ProfileName, document: ProfileDocument): ProfileReading {
  const { profile: _, ...values } = document.values
  return READERS[name]({ ...document, values })
}

/**
 * Null for trunkline.yaml's own shape.
 * @throws CONFIG_INVALID that lists the candidates, for a file that is none of them
 */
export function recognise(input: RecogniseInput): ProfileName | null {
  const { values, file, json } = input
  const has = (key: string): boolean => Object.hasOwn(values, key)
  if (has('profile')) return statedProfile(values['profile'], file)
  if (NATIVE_KEYS.some(has) || (CONFIGURATION_NAMES as readonly string[]).includes(basename(file)))
    return null
  if (GREENPLUM_KEYS.some(has)) return 'greenplum'
  if (isServerSideCursors(has)) return 'server-side-cursors'
  if (NOESIS_KEYS.some(has)) return 'noesis'
  const textOnly = json && Object.values(values).every((value) => typeof value === 'string')
  if (textOnly && has('hostname')) return 'server-side-cursors'
  if (has('region') || has('retry_sleep_seconds')) return 'adaptive'
  // Before what only text tells: a table to read can be stated in text alone, too.
  if (SQLFLOW_KEYS.some(has)) return 'sqlflow'
  if (textOnly && CONNECTION_KEYS.some(has)) return 'adaptive'
  if (!json && NOESIS_YAML_KEYS.some(has)) return 'noesis'
  throw unrecognised(file)
}

/** One of the two names may be missing: that is then what has to be said. */
function isServerSideCursors(has: (key: string) => boolean): boolean {
  return has('cursor_mode') || (has('table_name') && (has('hostname') || !has('host')))
}

function statedProfile(stated: unknown, file: string): ProfileName {
  const found = PROFILE_NAMES.find((name) => name === stated)
  if (found !== undefined) return found
  const suggestion = typeof stated === 'string' ? closestKey(stated, PROFILE_NAMES) : null
  throw new TrunklineError('CONFIG_INVALID', `${file}: profile names no configuration that is known.`, {
    hint:
      suggestion === null ? `It is one of ${PROFILE_NAMES.join(', ')}.` : `Did you mean \`${suggestion}\`?`,
    context: { path: file },
  })
}

function unrecognised(file: string): TrunklineError {
  const candidates = [
    'trunkline.yaml has version and syncs',
    'greenplum has HOST',
    'server-side-cursors has hostname and table_name',
    'adaptive has region or retry_sleep_seconds, or is JSON with text alone',
    `sqlflow has one of ${SQLFLOW_KEYS.join(', ')}`,
    'noesis is YAML with host',
  ]
  return new TrunklineError('CONFIG_INVALID', `${file}: this is no configuration that is known.`, {
    hint: `Known are: ${candidates.join('; ')}. Say which with \`profile: NAME\`.`,
    context: { path: file },
  })
}
