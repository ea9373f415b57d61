/** What the double replaces in statements on their way to the server, and in what the server says of itself. */

/** Relations that lead to views of {@link ./double-schema.ts}. */
const VIEWS = [
  'pg_attribute',
  'pg_class',
  'pg_constraint',
  'pg_index',
  'pg_locks',
  'pg_partition',
  'pg_proc',
  'pg_roles',
  'pg_stat_activity',
  'gp_distribution_policy',
  'gp_segment_configuration',
]
/** What Greenplum 6 does not know: 42883, 42P01 or 42601 from the server, as the name stands. */
const MISSING = [
  // Functions.
  'jsonb_agg',
  'jsonb_build_object',
  'jsonb_set',
  'pg_blocking_pids',
  'pg_control_checkpoint',
  'pg_control_system',
  'pg_current_snapshot',
  'pg_current_wal_flush_lsn',
  'pg_current_wal_insert_lsn',
  'pg_current_wal_lsn',
  'pg_get_partkeydef',
  'pg_last_wal_receive_lsn',
  'pg_last_wal_replay_lsn',
  'pg_last_xact_replay_timestamp',
  'pg_partition_tree',
  'pg_walfile_name',
  'regexp_match',
  'row_security_active',
  'sha256',
  'to_jsonb',
  'to_regclass',
  'to_regnamespace',
  'to_regrole',
  'txid_current_if_assigned',
  // Relations.
  'pg_partitioned_table',
  'pg_policies',
  'pg_publication',
  'pg_sequences',
  'pg_stat_progress_copy',
  'pg_stat_wal_receiver',
  // Syntax: the server takes it for a name.
  'AS MATERIALIZED',
  'SKIP LOCKED',
  'TABLESAMPLE',
]

const MISSING_SETTINGS = [
  'enable_partition_pruning',
  'idle_in_transaction_session_timeout',
  'jit',
  'max_parallel_workers_per_gather',
  'row_security',
  'transaction_timeout',
]

export interface Rules {
  /** Relations that LOCK TABLE refuses with 42809, as a view: `public.v`. */
  readonly views: readonly string[]
  readonly segments: number
  readonly version: string
  readonly base: string
}

export class FrontendRules {
  readonly segments: number
  readonly #rules: Rules

  constructor(rules: Rules) {
    this.#rules = rules
    this.segments = rules.segments
  }

  rewrite(sql: string): string {
    const { base, version, segments } = this.#rules
    // Not inside literals: those are names that somebody looks for.
    const outside = (text: string): string =>
      text
        .replace(/(?<![\w."])(?:pg_catalog\.)?version\(\)/g, `gp_double.version('${base}', '${version}')`)
        .replace(namesOf(VIEWS), (_, name: string) => `gp_double.${name}`)
        .replace(namesOf(MISSING), (_, name: string) => `gp_missing_${name.replace(' ', '_')}`)
        .replace(/(?<![\w.])gp_segment_id = (\d+)/g, `gp_double.segment_of(tableoid, ctid, ${segments}) = $1`)
        .replace(SETTING, 'SET LOCAL gp_missing_$1')
        .replace(/gp_dist_random\(\s*$/, 'gp_double.gp_dist_random(')
    return this.#withoutViews(sql)
      .replaceAll(`current_setting('server_version_num')`, `'${toVersionNumber(base)}'`)
      .split(/('(?:[^']|'')*')/)
      .map((part, index) => (index % 2 === 0 ? outside(part) : part))
      .join('')
  }

  /** PostgreSQL locks views, and refuses a sequence. */
  #withoutViews(sql: string): string {
    if (!sql.includes('LOCK TABLE')) return sql
    return this.#rules.views.reduce((text, view) => {
      const quoted = view
        .split('.')
        .map((part) => `"${part}"`)
        .join('.')
      return text.replaceAll(quoted, 'gp_double.not_a_table')
    }, sql)
  }

  isOutOfRange(sql: string): boolean {
    return [...sql.matchAll(/gp_segment_id = (\d+)/g)].some(([, segment]) => Number(segment) >= this.segments)
  }

  /** Of a queue: not for BEGIN, SET, SHOW, LOCK and what handles the transaction. */
  takesSlot(sql: string): boolean {
    return sql.split(';').some((statement) => /^\s*(SELECT|WITH|COPY|FETCH)\b/i.test(statement))
  }

  /** In place of a ParameterStatus. */
  parameters(message: Buffer): readonly Buffer[] {
    const [name] = message.toString('utf8', 5).split('\0')
    if (name !== 'server_version') return NOT_REPORTED.has(name ?? '') ? [] : [message]
    const { base, version } = this.#rules
    return [
      parameterStatus('server_version', base),
      parameterStatus('gp_server_version', `${version} build commit:double`),
    ]
  }
}

const NOT_REPORTED: ReadonlySet<string> = new Set([
  'default_transaction_read_only',
  'in_hot_standby',
  'search_path',
  'scram_iterations',
])

const SETTING = new RegExp(`SET LOCAL (${MISSING_SETTINGS.join('|')})\\b`, 'g')

function namesOf(names: readonly string[]): RegExp {
  return new RegExp(`(?<![\\w."])(?:pg_catalog\\.)?(${names.join('|')})(?![\\w."])`, 'g')
}

function toVersionNumber(base: string): number {
  const [major = 0, minor = 0, patch = 0] = base.split('.').map(Number)
  return major >= 10 ? major * 10_000 + minor : major * 10_000 + minor * 100 + patch
}

function parameterStatus(name: string, value: string): Buffer {
  const body = Buffer.from(`${name}\0${value}\0`)
  const header = Buffer.alloc(5)
  header.write('S', 0, 'latin1')
  header.writeInt32BE(4 + body.length, 1)
  return Buffer.concat([header, body])
}
