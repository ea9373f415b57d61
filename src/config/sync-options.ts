/** What the faces hand over: options of a sync, complete with defaults, as one SyncSpec. */
import { z } from 'zod'
import { TrunklineError } from '../model/error.js'
import type { Limits, Selection, StreamOptions, SyncSpec } from '../model/sync-spec.js'
import { DEFAULT_LIMITS } from '../model/thresholds.js'
import { SYNC_OPTION_KEYS } from './file-schema.js'
import { toConfigError } from './issues.js'
import { STREAM_KEYS, streamSchema, toCamelCase, toSnakeCase } from './stream-schema.js'
import { formatPath } from './yaml-document.js'

/** A sync as the library takes it and as a file or flags come down to; what is absent has a default. */
export interface SyncOptions {
  /** Identity of the sync at the destination; default: the database's name. */
  readonly name?: string
  /** Patterns of streams; default: the keys of `streams`, else every schema the role may use. */
  readonly select?: readonly string[]
  readonly exclude?: readonly string[]
  readonly defaults?: StreamOptions
  /** Options by stream or pattern; the most specific pattern wins, key by key. */
  readonly streams?: Readonly<Record<string, StreamOptions | null>>
  readonly limits?: Partial<Limits>
  readonly targetSchema?: string
  readonly nameTemplate?: string
  readonly adopt?: boolean
  readonly allowMassDelete?: boolean
  readonly allowPrivilegedRole?: boolean
  readonly acceptNewSource?: boolean
  readonly jobs?: number
  readonly verify?: boolean
}

/** As a pattern. */
const EVERYTHING = '*'

const limitNumber = z.number().nonnegative()
const programOptions = z
  .strictObject({ ...SYNC_OPTION_KEYS, limits: z.record(z.string(), z.unknown()) })
  .partial()

/**
 * Checks options that a program hands in, in camel case, by the rules that hold for files.
 * @throws CONFIG_INVALID, CONFIG_UNKNOWN_KEY, CONFIG_UNSUPPORTED naming the option
 */
export function checkSyncOptions(options: SyncOptions): SyncOptions {
  const parsed = programOptions.safeParse(snakeKeysDeep(options))
  if (!parsed.success) {
    throw toConfigError(parsed.error, {
      placeOf: (path) =>
        formatPath(path.map((part) => (typeof part === 'string' ? toCamelCase(part) : part))) || 'options',
      knownKeysAt: knownOptionKeysAt,
      spell: toCamelCase,
    })
  }
  const { streams, defaults } = parsed.data
  return {
    ...options,
    ...(streams === undefined ? {} : { streams }),
    ...(defaults === undefined ? {} : { defaults }),
    ...(options.limits === undefined ? {} : { limits: checkLimits(options.limits) }),
  }
}

/**
 * Checks stream options that flags state, in camel case.
 * @throws CONFIG_INVALID, CONFIG_UNSUPPORTED naming the flag
 */
export function checkStreamFlags(options: Readonly<Record<string, unknown>>): StreamOptions {
  const parsed = streamSchema.safeParse(snakeKeys(options))
  if (parsed.success) return parsed.data
  throw toConfigError(parsed.error, {
    placeOf: (path) => (typeof path[0] === 'string' ? toFlag(path[0]) : 'flags'),
    knownKeysAt: () => Object.keys(STREAM_KEYS),
    spell: toFlag,
  })
}

function toFlag(key: string): string {
  return `--${key.replace(/^--/, '').replaceAll('_', '-')}`
}

/** A sync without a name takes the one given. */
export function toSyncSpec(options: SyncOptions, defaultName: string): SyncSpec {
  const streams = withoutNull(options.streams)
  return {
    name: options.name ?? defaultName,
    selection: toSelection(options, streams),
    defaults: options.defaults ?? {},
    streams,
    limits: { ...DEFAULT_LIMITS, ...options.limits },
    targetSchema: options.targetSchema ?? null,
    nameTemplate: options.nameTemplate ?? null,
    adopt: options.adopt ?? false,
    allowMassDelete: options.allowMassDelete ?? false,
    allowPrivilegedRole: options.allowPrivilegedRole ?? false,
    acceptNewSource: options.acceptNewSource ?? false,
    jobs: options.jobs ?? null,
    verify: options.verify ?? false,
  }
}

/**
 * Options that beat those of every stream, whatever its pattern: flags. A key with a pattern (`--where 'public.t=…'`)
 * is laid over that pattern alone.
 */
export function overlayStreamOptions(
  options: SyncOptions,
  all: StreamOptions,
  byPattern: Readonly<Record<string, StreamOptions>>,
): SyncOptions {
  const streams: Record<string, StreamOptions> = {}
  for (const [pattern, stream] of Object.entries(options.streams ?? {}))
    streams[pattern] = { ...stream, ...all }
  for (const [pattern, stream] of Object.entries(byPattern)) {
    streams[pattern] = { ...streams[pattern], ...all, ...stream }
  }
  return {
    ...options,
    // Chosen before: a pattern that only a flag names narrows nothing.
    ...toSelection(options, withoutNull(options.streams)),
    defaults: { ...options.defaults, ...all },
    streams,
  }
}

/** What is listed is selected; a list of nothing but exceptions is about everything, one of nothing but queries about them. */
function toSelection(options: SyncOptions, streams: Readonly<Record<string, StreamOptions>>): Selection {
  const exclude = options.exclude ?? []
  if (options.select !== undefined) return { select: options.select, exclude }
  const entries = Object.entries(streams)
  const listed = entries.filter(([, stream]) => stream.sql === undefined)
  const select = listed.filter(([, stream]) => stream.disabled !== true).map(([pattern]) => pattern)
  const onlyQueries = entries.length > 0 && listed.length === 0
  return { select, exclude: onlyQueries ? [...exclude, EVERYTHING] : exclude }
}

function withoutNull(streams: SyncOptions['streams']): Readonly<Record<string, StreamOptions>> {
  return Object.fromEntries(Object.entries(streams ?? {}).map(([pattern, stream]) => [pattern, stream ?? {}]))
}

function checkLimits(limits: Partial<Limits>): Partial<Limits> {
  for (const [key, value] of Object.entries(limits)) {
    if (!Object.hasOwn(DEFAULT_LIMITS, key)) {
      throw toUnknownLimit(key)
    }
    const mayBeNull = DEFAULT_LIMITS[key as keyof Limits] === null
    if (!(mayBeNull && value === null) && !limitNumber.safeParse(value).success) {
      throw new TrunklineError('CONFIG_INVALID', `limits.${key}: must be a number.`, {
        hint: 'Milliseconds, bytes, rows or a count, as the name says.',
      })
    }
  }
  return limits
}

function toUnknownLimit(key: string): TrunklineError {
  return new TrunklineError('CONFIG_UNKNOWN_KEY', `limits.${key}: unknown limit.`, {
    hint: `Known: ${Object.keys(DEFAULT_LIMITS).join(', ')}.`,
  })
}

function knownOptionKeysAt(path: readonly PropertyKey[]): readonly string[] | null {
  if (path.length === 0) return Object.keys(SYNC_OPTION_KEYS)
  if (path[0] === 'defaults' && path.length === 1) return Object.keys(STREAM_KEYS)
  if (path[0] === 'streams' && path.length === 2) return Object.keys(STREAM_KEYS)
  return null
}

/** Keys of options, not names of streams or columns. */
function snakeKeysDeep(options: SyncOptions): unknown {
  const { streams, defaults, limits, ...rest } = options
  return {
    ...snakeKeys(rest),
    ...(limits === undefined ? {} : { limits }),
    ...(defaults === undefined ? {} : { defaults: snakeKeys(defaults) }),
    ...(streams === undefined
      ? {}
      : {
          streams: Object.fromEntries(
            Object.entries(streams).map(([pattern, stream]) => [
              pattern,
              stream === null ? null : snakeKeys(stream),
            ]),
          ),
        }),
  }
}

function snakeKeys(object: object): Record<string, unknown> {
  const entries = Object.entries(object) as [string, unknown][]
  return Object.fromEntries(
    entries.filter(([, value]) => value !== undefined).map(([key, value]) => [toSnakeCase(key), value]),
  )
}
