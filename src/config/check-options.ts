/**
 * Checks options that are stated by a program or by flags.
 *
 * Apart from what only completes them, because it takes zod (90 ms of loading): faces import this when something is stated.
 */
import { z } from 'zod'
import { TrunklineError } from '../model/error.js'
import type { Limits, StreamOptions } from '../model/sync-spec.js'
import { DEFAULT_LIMITS } from '../model/thresholds.js'
import { checkAdaptive } from './check-adaptive.js'
import { SYNC_OPTION_KEYS, jitter } from './file-schema.js'
import { toConfigError } from './issues.js'
import { STREAM_KEYS, streamSchema, toCamelCase, toSnakeCase } from './stream-schema.js'
import type { SyncOptions } from './sync-options.js'
import { addedAsInFile, takeFunctions } from './transform-schema.js'
import { formatPath } from './format-path.js'

const limitNumber = z.number().nonnegative()
const programOptions = z
  .strictObject({
    ...SYNC_OPTION_KEYS,
    limits: z.record(z.string(), z.unknown()),
    adaptive: z.record(z.string(), z.unknown()),
  })
  .partial()

/**
 * Checks options that a program hands in, in camel case, by the rules that hold for files.
 * @throws CONFIG_INVALID, CONFIG_UNKNOWN_KEY, CONFIG_UNSUPPORTED naming the option
 */
export function checkSyncOptions(stated: SyncOptions): SyncOptions {
  const { options, functions } = apartFromFunctions(stated)
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
    ...(streams === undefined ? {} : { streams: withFunctions(streams, functions.streams) }),
    ...(defaults === undefined ? {} : { defaults: { ...defaults, ...functions.defaults } }),
    ...(options.limits === undefined ? {} : { limits: checkLimits(options.limits) }),
    ...(options.adaptive === undefined ? {} : { adaptive: checkAdaptive(options.adaptive) }),
  }
}

interface StatedFunctions {
  readonly defaults: StreamOptions
  readonly streams: Readonly<Record<string, StreamOptions>>
}

/** The schema is that of files, which hold no functions. */
function apartFromFunctions(stated: SyncOptions): {
  readonly options: SyncOptions
  readonly functions: StatedFunctions
} {
  const { defaults, streams = {} } = stated
  const taken = Object.entries(streams).map(([pattern, stream]) => ({
    pattern,
    ...takeFunctions(stream ?? {}, formatPath(['streams', pattern])),
  }))
  const general = takeFunctions(defaults ?? {}, 'defaults')
  return {
    options: {
      ...stated,
      ...(defaults === undefined ? {} : { defaults: general.rest }),
      ...(stated.streams === undefined
        ? {}
        : { streams: Object.fromEntries(taken.map(({ pattern, rest }) => [pattern, rest])) }),
    },
    functions: {
      defaults: general.functions,
      streams: Object.fromEntries(taken.map(({ pattern, functions }) => [pattern, functions])),
    },
  }
}

function withFunctions(
  streams: Readonly<Record<string, StreamOptions>>,
  functions: StatedFunctions['streams'],
): Readonly<Record<string, StreamOptions>> {
  return Object.fromEntries(
    Object.entries(streams).map(([pattern, stream]) => [pattern, { ...stream, ...functions[pattern] }]),
  )
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

function checkLimits(limits: Partial<Limits>): Partial<Limits> {
  for (const [key, value] of Object.entries(limits)) {
    if (!Object.hasOwn(DEFAULT_LIMITS, key)) {
      throw toUnknownLimit(key)
    }
    if (key === 'retryJitter') {
      checkJitter(value)
      continue
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

function checkJitter(value: unknown): void {
  if (jitter.safeParse(value).success) return
  throw new TrunklineError(
    'CONFIG_INVALID',
    'limits.retryJitter: must be two factors, the smaller one first.',
    {
      hint: 'As [0.5, 1.5]: each pause is multiplied by a chance number between them.',
    },
  )
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
    entries
      .filter(([, value]) => value !== undefined)
      .map(([key, value]) => [toSnakeCase(key), key === 'addColumns' ? addedAsInFile(value) : value]),
  )
}
