/**
 * Which kind of server it is, by what it reports of itself at the start of a session: no query is needed.
 *
 * Greenplum reports `gp_server_version` (seen: `6.24.3 build commit:…`), and `server_version` of the PostgreSQL it is based on
 * (9.4.26 for 6, 12 for 7; Cloudberry: 14). `gp_server_version_num` carries no minor version, so it is of no use.
 */
import { TrunklineError } from '../model/error.js'
import type { Connection } from './connection.js'

export type Dialect =
  | { readonly kind: 'postgres' }
  | {
      readonly kind: 'greenplum'
      readonly product: 'Greenplum' | 'Cloudberry'
      /** `[6, 24, 3]` */
      readonly version: readonly [number, number, number]
      /** Of a version whose shared snapshots were measured to be right. */
      readonly verified: boolean
    }

export type GreenplumDialect = Extract<Dialect, { readonly kind: 'greenplum' }>

const POSTGRES: Dialect = { kind: 'postgres' }
/** Importing a snapshot gave rows of later transactions before, and nothing newer was measured. */
const FIRST_VERIFIED: Version = [6, 24, 3]
const FIRST_NOT_VERIFIED: Version = [7, 0, 0]
/** The version of PostgreSQL below which nothing was tried: Greenplum 5 is based on 8.3. */
const FIRST_BASE = 90_400
/** Greenplum 7 is based on 12; what reports a newer one is Cloudberry, which counts its versions from 1. */
const FIRST_BASE_OF_CLOUDBERRY = 130_000

type Version = readonly [number, number, number]
type Reported = Pick<Connection, 'parameters' | 'serverVersion'>

/** @throws CONFIG_UNSUPPORTED for a Greenplum that is too old to be read */
export function dialectOf({ parameters, serverVersion }: Reported): Dialect {
  const reported = parameters.get('gp_server_version')
  if (reported === undefined) return POSTGRES
  const version = parseVersion(reported)
  if (serverVersion < FIRST_BASE || version === null) {
    throw new TrunklineError(
      'CONFIG_UNSUPPORTED',
      'The server is a Greenplum older than 6, or one that does not say its version.',
      { hint: 'Trunkline reads Greenplum 6 from 6.24.3 on, and newer ones as far as they are the same.' },
    )
  }
  const product = serverVersion >= FIRST_BASE_OF_CLOUDBERRY ? 'Cloudberry' : 'Greenplum'
  const verified =
    product === 'Greenplum' &&
    compareVersions(version, FIRST_VERIFIED) >= 0 &&
    compareVersions(version, FIRST_NOT_VERIFIED) < 0
  return { kind: 'greenplum', product, version, verified }
}

/** The dialect where it is Greenplum or of its kind. */
export function greenplumOf(connection: Reported): GreenplumDialect | null {
  const dialect = dialectOf(connection)
  return dialect.kind === 'greenplum' ? dialect : null
}

/** `Greenplum 6.24.3` */
export function describeGreenplum({ product, version }: GreenplumDialect): string {
  return `${product} ${version.join('.')}`
}

function parseVersion(text: string): Version | null {
  const match = /^(\d+)\.(\d+)(?:\.(\d+))?/.exec(text)
  if (match === null) return null
  return [Number(match[1]), Number(match[2]), Number(match[3] ?? 0)]
}

function compareVersions(one: Version, other: Version): number {
  return one[0] - other[0] || one[1] - other[1] || one[2] - other[2]
}
