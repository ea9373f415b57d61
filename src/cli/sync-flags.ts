/** What the flags of a sync say, laid over what a file says. */
import type { SyncOptions } from '../config/sync-options.js'
import { overlayStreamOptions } from '../config/sync-options.js'
import { TrunklineError } from '../model/error.js'
import type { StreamOptions } from '../model/sync-spec.js'
import type { SyncFlags } from './declare-sync-flags.js'

/**
 * Flags beat the file, whatever the pattern there.
 * @throws CONFIG_INVALID, CONFIG_UNSUPPORTED naming the flag
 */
export async function applyFlags(options: SyncOptions, flags: SyncFlags): Promise<SyncOptions> {
  const { all, byPattern } = await toStreamOptions(flags)
  const jobs = toCount('--jobs', flags.jobs, 0)
  const maxConnections = toCount('--max-connections', flags.maxConnections, 1)
  const overlaid = overlayStreamOptions({ ...options, ...pick(flags, ['select', 'exclude']) }, all, byPattern)
  return {
    ...overlaid,
    ...pick(flags, ['targetSchema', 'nameTemplate', 'name', 'verify', 'adopt']),
    ...pick(flags, ['allowMassDelete', 'allowPrivilegedRole', 'acceptNewSource']),
    ...pick(flags, ['allowUnverifiedSnapshot']),
    ...(jobs === null ? {} : { jobs }),
    ...(maxConnections === null ? {} : { limits: { ...options.limits, maxConnections } }),
  }
}

interface StreamFlags {
  readonly all: StreamOptions
  readonly byPattern: Readonly<Record<string, StreamOptions>>
}

async function toStreamOptions(flags: SyncFlags): Promise<StreamFlags> {
  const all: Record<string, unknown> = {
    ...pick(flags, [
      'mode',
      'landing',
      'lookback',
      'auditEvery',
      'readMethod',
      'batchSize',
      'typeProfile',
      'deletes',
      'indexes',
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
  for (const key of ['cursorField', 'cursorStart'] as const) {
    for (const value of flags[key] ?? []) {
      const { pattern, rest } = splitPattern(value)
      addTo(pattern)[key] = rest.trim()
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
  // The usual case, and what checks takes long to load.
  if (Object.keys(all).length === 0 && Object.keys(byPattern).length === 0) return { all: {}, byPattern: {} }
  const { checkStreamFlags } = await import('../config/check-options.js')
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

function toCount(flag: string, text: string | undefined, least: 0 | 1): number | null {
  if (text === undefined) return null
  const count = Number(text)
  if (/^\d+$/.test(text) && count >= least && Number.isSafeInteger(count)) return count
  throw new TrunklineError('CONFIG_INVALID', `${flag}: must be a whole number, ${least} or more.`, {
    hint: `Write ${flag} 4.`,
  })
}

function pick<T extends object, K extends keyof T>(object: T, keys: readonly K[]): Pick<T, K> {
  return Object.fromEntries(
    keys.filter((key) => object[key] !== undefined).map((key) => [key, object[key]]),
  ) as Pick<T, K>
}
