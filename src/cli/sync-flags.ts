/** The flags of a sync, and what they say about its streams. */
import type { Command } from 'commander'
import type { SyncOptions } from '../config/sync-options.js'
import { checkStreamFlags, overlayStreamOptions } from '../config/sync-options.js'
import { TrunklineError } from '../model/error.js'
import type { StreamOptions } from '../model/sync-spec.js'

export interface SyncFlags {
  readonly select?: readonly string[]
  readonly exclude?: readonly string[]
  readonly columns?: readonly string[]
  readonly excludeColumns?: readonly string[]
  readonly mode?: string
  readonly landing?: string
  readonly cursorField?: string
  readonly primaryKey?: readonly string[]
  readonly where?: readonly string[]
  readonly readMethod?: string
  readonly jobs?: string
  readonly batchSize?: string
  readonly targetSchema?: string
  readonly nameTemplate?: string
  readonly deletes?: string
  readonly onSchemaChange?: string
  readonly name?: string
  readonly maxConnections?: string
  readonly verify?: boolean
  readonly adopt?: boolean
  readonly allowMassDelete?: boolean
  readonly allowPrivilegedRole?: boolean
  readonly acceptNewSource?: boolean
}

const collect = (value: string, previous: readonly string[] = []): readonly string[] => [...previous, value]

export function addSyncFlags(command: Command): Command {
  return command
    .option('-s, --select <pattern>', "streams to read, as 'public.*' (repeatable)", collect)
    .option('--exclude <pattern>', 'streams to leave out (repeatable)', collect)
    .option('--columns <[stream=]names>', 'only these columns, separated by commas (repeatable)', collect)
    .option('--exclude-columns <[stream=]names>', 'all columns but these (repeatable)', collect)
    .option('--mode <mode>', 'mirror, full_refresh or incremental')
    .option('--landing <landing>', 'replace, upsert or append')
    .option('--cursor-field <[stream=]name>', 'not available in this version')
    .option('--primary-key <[stream=]names>', 'columns that identify a row (repeatable)', collect)
    .option(
      '--where <stream=condition>',
      "read only some rows, as 'public.orders=total > 0' (repeatable)",
      collect,
    )
    .option('--read-method <method>', 'copy; named and client are not available in this version')
    .option('-j, --jobs <n>', 'reader threads, each with a connection')
    .option('--max-connections <n>', 'connections to the source, all together')
    .option('--batch-size <rows>', 'most rows in a batch')
    .option('--target-schema <name>', 'land every stream in this schema')
    .option('--name-template <template>', 'destination table, with {schema} and {table} replaced')
    .option('--deletes <policy>', 'hard, soft or ignore')
    .option('--on-schema-change <policy>', 'evolve, freeze or discard_value')
    .option('--name <name>', 'identity of the sync at the destination (default: the database)')
    .option('--verify', 'compare everything after landing')
    .option('--adopt', 'take over destination tables that another sync or nobody owns')
    .option('--allow-mass-delete', 'let a run delete more rows than the guard allows')
    .option('--allow-privileged-role', 'let custom SQL run under a role that can do more than read')
    .option('--accept-new-source', 'go on although the source is another one than before')
}

/**
 * Flags beat the file, whatever the pattern there.
 * @throws CONFIG_INVALID, CONFIG_UNSUPPORTED naming the flag
 */
export function applyFlags(options: SyncOptions, flags: SyncFlags): SyncOptions {
  const { all, byPattern } = toStreamOptions(flags)
  const jobs = toCount('--jobs', flags.jobs)
  const maxConnections = toCount('--max-connections', flags.maxConnections)
  const overlaid = overlayStreamOptions({ ...options, ...pick(flags, ['select', 'exclude']) }, all, byPattern)
  return {
    ...overlaid,
    ...pick(flags, ['targetSchema', 'nameTemplate', 'name', 'verify', 'adopt']),
    ...pick(flags, ['allowMassDelete', 'allowPrivilegedRole', 'acceptNewSource']),
    ...(jobs === null ? {} : { jobs }),
    ...(maxConnections === null ? {} : { limits: { ...options.limits, maxConnections } }),
  }
}

interface StreamFlags {
  readonly all: StreamOptions
  readonly byPattern: Readonly<Record<string, StreamOptions>>
}

function toStreamOptions(flags: SyncFlags): StreamFlags {
  const all: Record<string, unknown> = {
    ...pick(flags, [
      'mode',
      'landing',
      'cursorField',
      'readMethod',
      'batchSize',
      'deletes',
      'onSchemaChange',
    ]),
  }
  const byPattern: Record<string, Record<string, unknown>> = {}
  const addTo = (pattern: string | null): Record<string, unknown> =>
    pattern === null ? all : (byPattern[pattern] ??= {})

  for (const key of ['primaryKey', 'columns', 'excludeColumns'] as const) {
    for (const value of flags[key] ?? []) {
      const { pattern, rest } = splitPattern(value)
      const target = addTo(pattern)
      const before = (target[key] as readonly string[] | undefined) ?? []
      target[key] = [...before, ...rest.split(',').map((name) => name.trim())]
    }
  }
  for (const value of flags.where ?? []) {
    const { pattern, rest } = splitPattern(value)
    if (pattern === null || rest.trim() === '') {
      throw new TrunklineError('CONFIG_INVALID', '--where: say for which stream the condition is.', {
        hint: "Write --where 'public.orders=total > 0'.",
      })
    }
    addTo(pattern)['where'] = rest.trim()
  }
  return {
    all: checkStreamFlags(all),
    byPattern: Object.fromEntries(
      Object.entries(byPattern).map(([pattern, options]) => [pattern, checkStreamFlags(options)]),
    ),
  }
}

/** `public.orders=id` is about one stream, `id` about all. Quotes keep an equals sign that is part of a name. */
function splitPattern(value: string): { readonly pattern: string | null; readonly rest: string } {
  const match = /^((?:"(?:[^"]|"")*"|[^"=\s])+)=([^]*)$/.exec(value)
  return match?.[1] === undefined
    ? { pattern: null, rest: value }
    : { pattern: match[1], rest: match[2] ?? '' }
}

function toCount(flag: string, text: string | undefined): number | null {
  if (text === undefined) return null
  const count = Number(text)
  if (/^\d+$/.test(text) && count >= 1 && Number.isSafeInteger(count)) return count
  throw new TrunklineError('CONFIG_INVALID', `${flag}: must be a whole number, 1 or more.`, {
    hint: `Write ${flag} 4.`,
  })
}

function pick<T extends object, K extends keyof T>(object: T, keys: readonly K[]): Pick<T, K> {
  return Object.fromEntries(
    keys.filter((key) => object[key] !== undefined).map((key) => [key, object[key]]),
  ) as Pick<T, K>
}
