/** The flags of a sync as commander knows them; apart from what they mean, which takes more to load. */
import type { Command } from 'commander'

export interface SyncFlags {
  readonly select?: readonly string[]
  readonly exclude?: readonly string[]
  readonly columns?: readonly string[]
  readonly excludeColumns?: readonly string[]
  readonly mode?: string
  readonly landing?: string
  readonly cursorField?: readonly string[]
  readonly cursorStart?: readonly string[]
  readonly lookback?: string
  readonly auditEvery?: string
  readonly primaryKey?: readonly string[]
  readonly where?: readonly string[]
  readonly readMethod?: string
  readonly jobs?: string
  readonly batchSize?: string
  readonly targetSchema?: string
  readonly nameTemplate?: string
  readonly typeProfile?: string
  readonly deletes?: string
  readonly indexes?: boolean
  readonly onSchemaChange?: string
  readonly name?: string
  readonly maxConnections?: string
  readonly verify?: boolean
  readonly adopt?: boolean
  readonly allowMassDelete?: boolean
  readonly allowPrivilegedRole?: boolean
  readonly allowUnverifiedSnapshot?: boolean
  readonly acceptNewSource?: boolean
}

/** A flag that may stand several times. */
export const collect = (value: string, previous: readonly string[] = []): readonly string[] => [
  ...previous,
  value,
]

export function addSyncFlags(command: Command): Command {
  return command
    .option('-s, --select <pattern>', "streams to read, as 'public.*' (repeatable)", collect)
    .option('--exclude <pattern>', 'streams to leave out (repeatable)', collect)
    .option('--columns <[stream=]names>', 'only these columns, separated by commas (repeatable)', collect)
    .option('--exclude-columns <[stream=]names>', 'all columns but these (repeatable)', collect)
    .option('--mode <mode>', 'mirror, full_refresh or incremental')
    .option('--landing <landing>', 'replace, upsert or append')
    .option('--cursor-field <[stream=]name>', 'column by which incremental reads on (repeatable)', collect)
    .option('--cursor-start <[stream=]value>', 'only rows whose cursor lies after it (repeatable)', collect)
    .option('--lookback <length>', 'how far below the highest cursor to read again: 1h, or 1000')
    .option('--audit-every <when>', 'look for what a cursor missed: 24h, or 10 (runs)')
    .option('--primary-key <[stream=]names>', 'columns that identify a row (repeatable)', collect)
    .option(
      '--where <stream=condition>',
      "read only some rows, as 'public.orders=total > 0' (repeatable)",
      collect,
    )
    .option('--read-method <method>', 'copy, named (a cursor at the server) or client (one query)')
    .option('-j, --jobs <n>', 'reader threads, each with a connection')
    .option('--max-connections <n>', 'connections to the source, all together')
    .option('--batch-size <rows>', 'most rows in a batch, and in a FETCH of a cursor')
    .option('--target-schema <name>', 'land every stream in this schema')
    .option('--name-template <template>', 'destination table, with {schema} and {table} replaced')
    .option('--type-profile <profile>', 'exact, or widened to six landing types')
    .option('--deletes <policy>', 'hard, soft or ignore')
    .option('--indexes', 'make the indexes of the source, too (PostgreSQL destinations)')
    .option('--on-schema-change <policy>', 'evolve, freeze or discard_value')
    .option('--name <name>', 'identity of the sync at the destination (default: the database)')
    .option('--verify', 'compare everything after landing')
    .option('--adopt', 'take over destination tables that another sync or nobody owns')
    .option('--allow-mass-delete', 'let a run delete more rows than the guard allows')
    .option('--allow-privileged-role', 'let custom SQL run under a role that can do more than read')
    .option('--accept-new-source', 'go on although the source is another one than before')
    .option(
      '--allow-unverified-snapshot',
      'read Greenplum by several connections also where its version was not measured',
    )
}
