/**
 * What a transaction that writes is pinned to, so that a server's or a role's settings change nothing of what lands.
 *
 * All of it is local to the transaction: behind a pooler nothing leaks to the next client.
 */
import type { Connection } from '../../postgres/connection.js'

/** For rows and weak locks of tables, by which nobody is kept waiting; strong ones are taken as `table-lock.ts` does. */
export const LOCK_TIMEOUT_MS = 60_000

/** The version that brought a setting; one that the server does not know ends the transaction. */
const SETTING_SINCE: Readonly<Record<string, number>> = { transaction_timeout: 170_000 }

/** Names and operators of our statements are those of the server, whoever has made others of their names. */
const SEARCH_PATH = 'pg_catalog, pg_temp'

const SETTINGS: Readonly<Record<string, string>> = {
  statement_timeout: '0',
  idle_in_transaction_session_timeout: '0',
  transaction_timeout: '0',
  lock_timeout: `${LOCK_TIMEOUT_MS}`,
  // Where row security would hide rows from us, counts would be wrong: an error instead.
  row_security: 'off',
  search_path: SEARCH_PATH,
  client_encoding: `'UTF8'`,
  TimeZone: `'UTC'`,
  DateStyle: `'ISO, YMD'`,
  IntervalStyle: `'iso_8601'`,
  extra_float_digits: '3',
  bytea_output: `'hex'`,
  lc_monetary: `'C'`,
  xmloption: 'content',
  standard_conforming_strings: 'on',
  array_nulls: 'on',
  quote_all_identifiers: 'off',
  client_min_messages: 'warning',
  jit: 'off',
}

/** A returned commit is on the disk, whatever the server is used to; nothing stricter is loosened. */
const DURABLE = `SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off'`

/** BEGIN and the preamble, in one message. */
export function beginWriting(connection: Connection): Promise<void> {
  return begin(connection, 'READ WRITE')
}

/**
 * For statements that let triggers, rules and checks of others run: those find what they name as in any other session of the role.
 * The statements themselves must name nothing that a schema of the path could have another of.
 */
export function executeForTriggers(connection: Connection, sql: string): Promise<void> {
  return connection.execute(`${BEFORE_TRIGGERS}; ${sql}; ${AFTER_TRIGGERS}`)
}

/** What {@link executeForTriggers} has around a statement, for a COPY and a COMMIT. */
export const BEFORE_TRIGGERS = 'SET LOCAL search_path TO DEFAULT'
export const AFTER_TRIGGERS = `SET LOCAL search_path = ${SEARCH_PATH}`

async function begin(connection: Connection, access: 'READ WRITE' | 'READ ONLY'): Promise<void> {
  await connection.execute(
    [
      // Said in either case: a database or role can be read-only by default.
      `BEGIN ISOLATION LEVEL READ COMMITTED ${access}`,
      ...Object.entries(SETTINGS)
        .filter(([name]) => connection.serverVersion >= (SETTING_SINCE[name] ?? 0))
        .map(([name, value]) => `SET LOCAL ${name} = ${value}`),
      DURABLE,
    ].join(';\n'),
  )
}

/** Triggers that wait for the commit are those of others. In a transaction that failed this fails, and COMMIT alone would not. */
export function commitWriting(connection: Connection): Promise<void> {
  return connection.execute(`${BEFORE_TRIGGERS}; COMMIT`)
}

/** Runs `work` in a transaction that is committed when it returns. */
export function inTransaction<Result>(connection: Connection, work: () => Promise<Result>): Promise<Result> {
  return within(connection, 'READ WRITE', work)
}

/** The same where nothing is written: also at a standby. */
export function inReading<Result>(connection: Connection, work: () => Promise<Result>): Promise<Result> {
  return within(connection, 'READ ONLY', work)
}

async function within<Result>(
  connection: Connection,
  access: 'READ WRITE' | 'READ ONLY',
  work: () => Promise<Result>,
): Promise<Result> {
  await begin(connection, access)
  try {
    const result = await work()
    await commitWriting(connection)
    return result
  } catch (error) {
    await connection.execute('ROLLBACK').catch(() => undefined)
    throw error
  }
}
