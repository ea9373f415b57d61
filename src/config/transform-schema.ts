/** Keys of a stream that say what is done to its rows on their way, checked and in the model's words. */
import { dirname, resolve } from 'node:path'
import { z } from 'zod'
import { CONSTANT_TYPES, ROW_FACTS, type AddedColumn } from '../model/added-column.js'
import { TrunklineError } from '../model/error.js'
import { readMask } from '../model/mask.js'
import type { StreamOptions } from '../model/sync-spec.js'
import type { SyncOptions } from './sync-options.js'

const name = z.string({ error: () => 'must be text' }).min(1, { error: () => 'must not be empty' })

const oneOf = <const T extends readonly [string, ...string[]]>(values: T) =>
  z.enum(values, { error: () => `must be one of: ${values.join(', ')}` })

/** The text may hold a secret: what is wrong with it is said without it. YAML's own null means the mask `null`. */
const mask = z
  .union([z.null(), z.string()], { error: () => 'must be text' })
  .transform((stated, context): string => {
    const read = readMask(stated ?? 'null')
    if (typeof read !== 'string') return stated ?? 'null'
    context.addIssue({ code: 'custom', message: `must be a mask: ${read}` })
    return z.NEVER
  })

const ADDED_ERROR = () => 'must be text, a number, true or false, or a mapping with either `from` or `value`'
const scalar = z.union([z.string(), z.number(), z.boolean()], { error: ADDED_ERROR })
const addedColumn = z
  .union(
    [
      scalar,
      z.strictObject({
        from: oneOf(ROW_FACTS).optional(),
        value: scalar.nullable().optional(),
        type: oneOf(CONSTANT_TYPES).optional(),
        if_present: oneOf(['error', 'keep', 'replace'] as const).optional(),
      }),
    ],
    { error: ADDED_ERROR },
  )
  .transform((stated, context): AddedColumn => {
    if (typeof stated !== 'object') return stated
    const { from, value, type, if_present: present } = stated
    const more = present === undefined ? {} : { ifPresent: present }
    if (from !== undefined && value === undefined && type === undefined) return { from, ...more }
    if (from === undefined && value !== undefined) {
      return { value, ...(type === undefined ? {} : { type }), ...more }
    }
    context.addIssue({ code: 'custom', message: ADDED_ERROR() })
    return z.NEVER
  })

const hookModule = z.union(
  [
    name,
    z
      .strictObject({ module: name, options: z.record(z.string(), z.unknown()).optional() })
      .transform(({ module, options }) => (options === undefined ? { module } : { module, options })),
  ],
  { error: () => 'must be the path of a module, or `module` and `options`' },
)

export const TRANSFORM_KEYS = {
  mask: z
    .record(name, mask)
    .describe('By column: hmac:SECRET, hash (reversible by guessing), redact, partial, partial:N, null.'),
  rename: z.record(name, name).describe('Name at the destination, by column.'),
  add_columns: z
    .record(name, addedColumn)
    .describe('By name: a constant, or { from: run_at | epoch_seconds | row_id }.'),
  hooks: hookModule.describe(
    'A JavaScript module of your own that exports transformRow, shouldReadStream or both; its path is relative to this file.',
  ),
} as const

const FUNCTIONS = ['transformRow', 'shouldReadStream'] as const

/** What only a program can state, apart from what a file could. @throws CONFIG_INVALID */
export function takeFunctions<Options extends StreamOptions>(
  options: Options,
  place: string,
): { readonly functions: StreamOptions; readonly rest: Options } {
  // What is no object at all is refused with the rest.
  if (typeof (options as unknown) !== 'object') return { functions: {}, rest: options }
  const { transformRow, shouldReadStream, hookVersion, ...rest } = options
  const functions = {
    ...(transformRow === undefined ? {} : { transformRow }),
    ...(shouldReadStream === undefined ? {} : { shouldReadStream }),
    ...(hookVersion === undefined ? {} : { hookVersion }),
  }
  for (const key of FUNCTIONS) {
    const stated: unknown = functions[key]
    if (stated !== undefined && typeof stated !== 'function') throw invalid(`${place}.${key}`, 'a function')
  }
  if (hookVersion !== undefined && typeof (hookVersion as unknown) !== 'string') {
    throw invalid(`${place}.hookVersion`, 'text')
  }
  return { functions, rest: rest as Options }
}

function invalid(place: string, what: string): TrunklineError {
  return new TrunklineError('CONFIG_INVALID', `${place}: must be ${what}.`, {
    hint: 'docs/reference/transforms.md describes hooks.',
  })
}

/** Added columns as a file would state them, which has no bigints and keys in snake case. */
export function addedAsInFile(columns: unknown): unknown {
  if (typeof columns !== 'object' || columns === null) return columns
  return Object.fromEntries(
    Object.entries(columns).map(([column, stated]: [string, unknown]) => [column, oneAsInFile(stated)]),
  )
}

function oneAsInFile(stated: unknown): unknown {
  if (typeof stated === 'bigint') return { value: stated.toString(), type: 'bigint' }
  if (typeof stated !== 'object' || stated === null) return stated
  const { ifPresent: present, value, ...rest } = stated as Readonly<Record<string, unknown>>
  return {
    ...(typeof value === 'bigint'
      ? { value: value.toString(), type: 'bigint' }
      : value === undefined
        ? {}
        : { value }),
    ...rest,
    ...(present === undefined ? {} : { if_present: present }),
  }
}

/** Paths of hook modules as seen from the configuration file. */
export function placeHooks(options: SyncOptions, configurationFile: string): SyncOptions {
  const folder = dirname(resolve(configurationFile))
  const place = (stream: StreamOptions): StreamOptions => {
    const { hooks } = stream
    if (hooks === undefined) return stream
    if (typeof hooks === 'string') return { ...stream, hooks: resolve(folder, hooks) }
    return { ...stream, hooks: { ...hooks, module: resolve(folder, hooks.module) } }
  }
  const { defaults, streams } = options
  return {
    ...options,
    ...(defaults === undefined ? {} : { defaults: place(defaults) }),
    ...(streams === undefined
      ? {}
      : {
          streams: Object.fromEntries(
            Object.entries(streams).map(([pattern, stream]) => [
              pattern,
              stream === null ? null : place(stream),
            ]),
          ),
        }),
  }
}
