/** What `trunkline check` says of a source. */
import { TrunklineError } from '../model/error.js'
import type { Connection } from '../postgres/connection.js'
import { detectPooling } from '../postgres/pooling.js'
import { describeConnection } from '../postgres/resolve-connection.js'
import type { SourceCheck } from './contract.js'
import { readSchemaStatistics } from './schema-statistics.js'

/** Roles of the server whose members can run programs or touch files; membership is asked of the role itself, too. */
const PRIVILEGED_SQL = `
SELECT current_user::text AS role,
       version() AS version,
       pg_backend_pid() AS pid,
       pg_is_in_recovery() AS standby,
       r.rolsuper OR EXISTS (
         SELECT FROM pg_catalog.pg_roles g
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

/** Outside a transaction, because a pooler shows itself only there. */
export async function checkSource(
  connection: Connection,
  options: { readonly statistics?: boolean } = {},
): Promise<SourceCheck> {
  const askedAtMs = performance.now()
  const role = await readRole(connection)
  const queryMs = performance.now() - askedAtMs
  const pooled = await detectPooling(connection, role.pid)
  const warnings: string[] = []
  if (role.privileged) {
    warnings.push(
      `Role ${role.role} could do more than read. Make one that can only read: CREATE ROLE trunkline LOGIN; GRANT USAGE ON SCHEMA … TO trunkline; GRANT SELECT ON … TO trunkline.`,
    )
  }
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
