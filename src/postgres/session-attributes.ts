/** target_session_attrs: which sessions are acceptable. */
import type { TargetSessionAttrs } from './connection-settings.js'
import type { Login } from './login.js'

type Wanted = Exclude<TargetSessionAttrs, 'prefer-standby'>

/** Servers from 14 on report both facts by themselves; older ones are asked. */
export async function isSuitable({ client, wire }: Login, wanted: Wanted): Promise<boolean> {
  if (wanted === 'any') return true
  if (wanted === 'primary' || wanted === 'standby') {
    const reported = wire.parameters.get('in_hot_standby')
    const standby =
      reported !== undefined
        ? reported === 'on'
        : await ask(client, 'SELECT pg_catalog.pg_is_in_recovery()::text AS answer').then((x) => x === 'true')
    return standby === (wanted === 'standby')
  }
  const readOnlyDefault = wire.parameters.get('default_transaction_read_only')
  const standby = wire.parameters.get('in_hot_standby')
  const readOnly =
    readOnlyDefault !== undefined && standby !== undefined
      ? readOnlyDefault === 'on' || standby === 'on'
      : await ask(client, "SELECT pg_catalog.current_setting('transaction_read_only') AS answer").then(
          (x) => x === 'on',
        )
  return readOnly === (wanted === 'read-only')
}

async function ask(client: Login['client'], sql: string): Promise<string | undefined> {
  const { rows } = await client.query<{ answer: string }>(sql)
  return rows[0]?.answer
}

export function describeUnsuitable(wanted: Wanted): string {
  switch (wanted) {
    case 'read-write':
      return 'the session is read-only'
    case 'read-only':
      return 'the session is not read-only'
    case 'primary':
      return 'the server is a standby'
    case 'standby':
      return 'the server is not a standby'
    case 'any':
      return 'the session is acceptable'
  }
}
