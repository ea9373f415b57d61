/**
 * What a transaction that reads is pinned to, so that a server's or a role's settings change nothing of what we see.
 *
 * All of it is local to the transaction: behind a pooler nothing leaks to the next client.
 */
import { TrunklineError } from '../model/error.js'
import type { Connection } from './connection.js'

export interface SessionOptions {
  readonly lockTimeoutMs: number
  /** 0, no limit, unless a profile says otherwise. */
  readonly statementTimeoutMs?: number
  /** `off` makes row security an error instead of a silent filter. */
  readonly rowSecurity?: 'off' | 'on'
}

/**
 * The version that brought a setting. One that the server does not know is an error, and the end of the transaction: Greenplum 6
 * has the settings of 9.4.
 */
const SETTING_SINCE: Readonly<Record<string, number>> = {
  row_security: 90_500,
  idle_in_transaction_session_timeout: 90_600,
  max_parallel_workers_per_gather: 90_600,
  jit: 110_000,
  transaction_timeout: 170_000,
}

/** BEGIN and the preamble, to be sent in one message; takes no snapshot yet. */
export function sessionPreamble(serverVersion: number, options: SessionOptions): string {
  const { lockTimeoutMs, statementTimeoutMs = 0, rowSecurity = 'off' } = options
  const settings: Record<string, string> = {
    statement_timeout: milliseconds(statementTimeoutMs),
    idle_in_transaction_session_timeout: '0',
    lock_timeout: milliseconds(lockTimeoutMs),
    transaction_timeout: '0',
    row_security: rowSecurity,
    search_path: 'pg_catalog',
    TimeZone: `'UTC'`,
    DateStyle: `'ISO, YMD'`,
    IntervalStyle: `'iso_8601'`,
    extra_float_digits: '3',
    bytea_output: `'hex'`,
    lc_monetary: `'C'`,
    // What quoting relies on.
    standard_conforming_strings: 'on',
    // A table is read from its first block to its last, each time.
    synchronize_seqscans: 'off',
    max_parallel_workers_per_gather: '0',
    // Compiling gains nothing for scans: the same processor time for COPY and counts of millions of rows (PostgreSQL 15).
    jit: 'off',
    // Ranges of ctid are read by the scan that this allows.
    enable_tidscan: 'on',
  }
  // Never DEFERRABLE: it can wait for ever.
  return [
    'BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY',
    ...Object.entries(settings)
      .filter(([name]) => serverVersion >= (SETTING_SINCE[name] ?? 0))
      .map(([name, value]) => `SET LOCAL ${name} = ${value}`),
  ].join(';\n')
}

export async function beginReading(connection: Connection, options: SessionOptions): Promise<void> {
  await connection.execute(sessionPreamble(connection.serverVersion, options))
}

function milliseconds(value: number): string {
  if (!Number.isSafeInteger(value) || value < 0) {
    throw new TrunklineError('CONFIG_INVALID', 'A timeout is not a whole number of milliseconds.', {
      hint: 'Check lock_timeout and statement_timeout in the configuration.',
    })
  }
  return String(value)
}
