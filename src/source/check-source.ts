/** What `trunkline check` says of a source. */
import { TrunklineError } from '../model/error.js'
import { DEFAULT_LIMITS } from '../model/thresholds.js'
import type { Connection } from '../postgres/connection.js'
import { describeGreenplum, greenplumOf } from '../postgres/dialect.js'
import { detectPooling } from '../postgres/pooling.js'
import { describeConnection } from '../postgres/resolve-connection.js'
import type { SourceCheck } from './contract.js'
import { withinQueueLimit } from './greenplum/queue.js'
import { readSchemaStatistics } from './schema-statistics.js'

/** Roles of the server whose members can run programs or touch files; membership is asked of the role itself, too. */
const PRIVILEGED_SQL = `
SELECT current_user::text AS role,
       version() AS version,
       pg_backend_pid() AS pid,
       pg_is_in_recovery() AS standby,
       r.rolsuper OR EXISTS (
         SELECT 1 FROM pg_catalog.pg_roles g
          WHERE g.rolname IN ('pg_execute_server_program', 'pg_read_server_files', 'pg_write_server_files')
            AND pg_has_role(r.oid, g.oid, 'MEMBER')) AS privileged
  FROM pg_catalog.pg_roles r
 WHERE r.rolname = current_user`

export interface RoleFacts {
  readonly role: string
  readonly version: string
  readonly pid: number
  readonly standby: boolean
  readonly privileged: boolean
}

export async function readRole(connection: Connection): Promise<RoleFacts> {
  const [facts] = await connection.query<RoleFacts>(PRIVILEGED_SQL)
  if (facts === undefined) throw new Error('the current role is not in pg_roles')
  return facts
}

/** @throws PRIVILEGED_ROLE: a query can call any function that its role may, also those that write files. */
export async function refusePrivileged(connection: Connection): Promise<void> {
  const { role, privileged } = await readRole(connection)
  if (!privileged) return
  throw new TrunklineError(
    'PRIVILEGED_ROLE',
    `Custom SQL is refused for role ${role}, which could do more than read.`,
    {
      hint: 'Connect as a role that can only read, or allow it with --allow-privileged-role.',
    },
  )
}

/** Where each query needs a slot of a resource queue, which may have none. @throws SOURCE_PRESSURE */
async function readRoleInTime(connection: Connection, stallTimeoutMs: number): Promise<RoleFacts> {
  await connection.execute('BEGIN READ ONLY')
  const limits = { stallTimeoutMs, statementTimeoutMs: 0 }
  const role = await withinQueueLimit(connection, limits, () => readRole(connection))
  await connection.execute('COMMIT')
  return role
}

/** Outside a transaction, because a pooler shows itself only there. */
export async function checkSource(
  connection: Connection,
  options: { readonly statistics?: boolean; readonly stallTimeoutMs?: number } = {},
): Promise<SourceCheck> {
  const { stallTimeoutMs = DEFAULT_LIMITS.stallTimeoutMs } = options
  const isGreenplum = greenplumOf(connection) !== null
  const askedAtMs = performance.now()
  const role = isGreenplum ? await readRoleInTime(connection, stallTimeoutMs) : await readRole(connection)
  const queryMs = performance.now() - askedAtMs
  const pooled = isGreenplum ? role.pid !== connection.backendPid : await detectPooling(connection, role.pid)
  const warnings: string[] = []
  if (role.privileged) {
    warnings.push(
      `Role ${role.role} could do more than read. Make one that can only read: CREATE ROLE trunkline LOGIN; GRANT USAGE ON SCHEMA … TO trunkline; GRANT SELECT ON … TO trunkline.`,
    )
  }
  warnings.push(...warnOfGreenplum(connection))
  if (pooled) {
    warnings.push('A pooler in transaction mode is in between; connect to the server itself if you can.')
  }
  return {
    description: describeConnection(connection.settings),
    serverVersion: connection.serverVersion,
    serverVersionText: role.version,
    standby: role.standby,
    tls: connection.tls,
    role: role.role,
    privilegedRole: role.privileged,
    pooled,
    connectMs: connection.connectMs,
    queryMs,
    ...(options.statistics === true ? { statistics: await readSchemaStatistics(connection) } : {}),
    warnings,
  }
}

function warnOfGreenplum(connection: Connection): readonly string[] {
  const dialect = greenplumOf(connection)
  if (dialect === null || dialect.verified) return []
  return [
    `${describeGreenplum(dialect)} is read by one connection: that several can share a snapshot was measured on Greenplum 6 from 6.24.3 on. --allow-unverified-snapshot reads side by side all the same.`,
  ]
}
