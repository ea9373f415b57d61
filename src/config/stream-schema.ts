/** The options of a stream as a file, a flag or a program states them, checked and in the model's words. */
import { z } from 'zod'
import type { AuditEvery, Landing, Lookback, Mode, StreamOptions } from '../model/sync-spec.js'
import { parseDuration, parseSize } from './quantity.js'
import { TRANSFORM_KEYS } from './transform-schema.js'

/** Other tools' words for a mode; some also say how rows land. */
const MODE_WORDS: Readonly<Record<string, { readonly mode: Mode; readonly landing?: Landing }>> = {
  mirror: { mode: 'mirror' },
  full_refresh: { mode: 'full_refresh' },
  'full-refresh': { mode: 'full_refresh' },
  replace: { mode: 'full_refresh', landing: 'replace' },
  overwrite: { mode: 'full_refresh', landing: 'replace' },
  incremental: { mode: 'incremental' },
  merge: { mode: 'incremental', landing: 'upsert' },
  append_dedup: { mode: 'incremental', landing: 'upsert' },
  append: { mode: 'incremental', landing: 'append' },
}

const LANDING_WORDS: Readonly<Record<string, Landing>> = {
  replace: 'replace',
  overwrite: 'replace',
  upsert: 'upsert',
  merge: 'upsert',
  append_dedup: 'upsert',
  append: 'append',
}

const words = <const T extends readonly [string, ...string[]]>(values: T) =>
  z.enum(values, { error: () => `must be one of: ${values.join(', ')}` })

const keysOf = (table: Readonly<Record<string, unknown>>): [string, ...string[]] =>
  Object.keys(table) as [string, ...string[]]

/** A whole number, also as the text that a `${VAR}` or a flag gives. */
export const wholeNumber = (minimum: number) => {
  const error = () => `must be a whole number, ${minimum} or more`
  return z
    .union([z.number(), z.string().regex(/^\d+$/)], { error })
    .transform(Number)
    .refine((value) => Number.isSafeInteger(value) && value >= minimum, { error })
}

export const flag = z
  .union([z.boolean(), z.enum(['true', 'false'])], { error: () => 'must be true or false' })
  .transform((value) => value === true || value === 'true')

/** Milliseconds. */
export const duration = z
  .string({ error: () => 'must be a duration with its unit, such as 30s or 2h' })
  .transform((text, context) => {
    const milliseconds = parseDuration(text)
    if (milliseconds !== null) return milliseconds
    context.addIssue({ code: 'custom', message: 'must be a duration with its unit, such as 30s or 2h' })
    return z.NEVER
  })

/** Bytes. */
export const size = z
  .union([z.number().int().nonnegative(), z.string()], { error: () => 'must be a size, such as 8MiB' })
  .transform((value, context) => {
    const bytes = parseSize(String(value))
    if (bytes !== null) return bytes
    context.addIssue({ code: 'custom', message: 'must be a size, such as 8MiB' })
    return z.NEVER
  })

export const text = z.string({ error: () => 'must be text; quote it if it looks like a number' })
export const name = text.min(1, { error: () => 'must not be empty' })
export const names = z
  .union([name.transform((single) => [single]), z.array(name)], {
    error: () => 'must be a list of names',
  })
  .transform((list): readonly string[] => list)

const LOOKBACK_ERROR = () => 'must be a duration with its unit, such as 1h, or for numbers an amount'
const milliseconds = z.strictObject({ kind: z.literal('duration'), ms: z.number().nonnegative() })
const amount = z.strictObject({ kind: z.literal('amount'), amount: z.string().regex(/^\d+(\.\d+)?$/) })
/** Programs also state it in the model's own words. */
const lookback = z
  .union([z.number(), z.string(), milliseconds, amount], { error: LOOKBACK_ERROR })
  .transform((value, context): Lookback => {
    if (typeof value === 'object') return value
    const stated = String(value)
    if (/^\d{1,18}(\.\d{1,18})?$/.test(stated)) return { kind: 'amount', amount: stated }
    const ms = parseDuration(stated)
    if (ms !== null) return { kind: 'duration', ms }
    context.addIssue({ code: 'custom', message: LOOKBACK_ERROR() })
    return z.NEVER
  })

const AUDIT_ERROR = () => 'must be a duration with its unit, such as 24h, or a number of runs'
const runs = z.strictObject({ kind: z.literal('runs'), runs: z.number().int().positive() })
const auditEvery = z
  .union([z.number(), z.string(), milliseconds, runs], { error: AUDIT_ERROR })
  .transform((value, context): AuditEvery => {
    if (typeof value === 'object') return value
    const stated = String(value)
    if (/^[1-9]\d{0,8}$/.test(stated)) return { kind: 'runs', runs: Number(stated) }
    const ms = parseDuration(stated)
    if (ms !== null) return { kind: 'duration', ms }
    context.addIssue({ code: 'custom', message: AUDIT_ERROR() })
    return z.NEVER
  })

const specialValue = words(['error', 'null', 'text'])

/** Keys of one entry under `streams` and of `defaults`. */
export const STREAM_KEYS = {
  disabled: flag.describe('Leave the stream out of every run.'),
  mode: words(keysOf(MODE_WORDS)).describe(
    "What a run does; other tools' words are accepted. Default: mirror where the table allows it, else full_refresh.",
  ),
  landing: words(keysOf(LANDING_WORDS)).describe('How rows enter the destination.'),
  landing_without_key: words(['replace', 'append']).describe(
    'In place of `landing`, where the stream has no key.',
  ),
  cursor_field: name.describe('The column by which `incremental` reads on.'),
  cursor_start: name.describe('Only rows whose cursor lies after it. Default: all rows.'),
  lookback: lookback.describe('How far below the highest cursor seen each run reads again: 1h, or 1000.'),
  cursor_bound: words(['xmin', 'in_flight', 'lookback']).describe(
    'What keeps rows that commit late from being missed. Default: by the kind and size of the table.',
  ),
  audit_every: auditEvery.describe(
    'How often to look by transaction id for what a cursor missed: 24h, or 10 (runs).',
  ),
  primary_key: names.describe('Columns that identify a row, where the table does not say so itself.'),
  columns: names.describe('Only these columns.'),
  exclude_columns: names.describe('All columns but these.'),
  where: name.describe("A condition over the stream's own columns."),
  sql: name.describe('A SELECT; the stream is then a query and its name is free.'),
  type_profile: words(['exact', 'widened']).describe(
    'exact: no value loses anything. widened: six landing types, numeric as a double.',
  ),
  types: z.record(name, name).describe('Landing type by column: text, json, decimal(18,2).'),
  deletes: words(['hard', 'soft', 'ignore']).describe('What becomes of rows that the source deleted.'),
  indexes: flag.describe('Make the indexes of the source, too (PostgreSQL destinations).'),
  on_schema_change: words(['evolve', 'freeze', 'discard_value']).describe(
    "Follow the source's new columns, stop, or leave them out.",
  ),
  read_method: words(['copy', 'named', 'client']).describe('How rows are read.'),
  batch_size: wholeNumber(1).describe('Most rows in a batch.'),
  special_numeric: specialValue.describe('What becomes of NaN and infinities in numeric columns.'),
  special_temporal: specialValue.describe(
    'What becomes of dates and timestamps that the destination cannot hold.',
  ),
  invalid_utf8: words(['error', 'binary']).describe(
    'What becomes of text that is not UTF-8 (SQL_ASCII databases).',
  ),
  only_with_column: name.describe('Streams of a pattern without this column are left out.'),
  row_security: words(['stop', 'on']).describe('on: copy only the rows that row security lets the role see.'),
  ...TRANSFORM_KEYS,
} as const

const streamObject = z.strictObject(STREAM_KEYS).partial()

export const streamSchema = streamObject.transform(toStreamOptions)

function toStreamOptions({ mode, landing, ...rest }: z.output<typeof streamObject>): StreamOptions {
  const meaning = mode === undefined ? undefined : MODE_WORDS[mode]
  const words = {
    mode: meaning?.mode,
    landing: landing === undefined ? meaning?.landing : LANDING_WORDS[landing],
  }
  return camelKeys({ ...rest, ...words })
}

type CamelCase<S> = S extends `${infer Head}_${infer Tail}` ? `${Head}${Capitalize<CamelCase<Tail>>}` : S
export type CamelKeys<T> = {
  [K in keyof T as CamelCase<K & string>]: Exclude<T[K], undefined>
}

/** `primary_key` becomes `primaryKey`; keys that are not set are left out. */
export function camelKeys<T extends object>(object: T): CamelKeys<T> {
  const entries = Object.entries(withoutUndefined(object))
  return Object.fromEntries(entries.map(([key, value]) => [toCamelCase(key), value])) as CamelKeys<T>
}

export function withoutUndefined<T extends object>(object: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  const entries = Object.entries(object).filter(([, value]) => value !== undefined)
  return Object.fromEntries(entries) as { [K in keyof T]: Exclude<T[K], undefined> }
}

export function toCamelCase(key: string): string {
  return key.replaceAll(/_([a-z0-9])/g, (_, char: string) => char.toUpperCase())
}

/** `primaryKey` becomes `primary_key`; keys already in snake case stay. */
export function toSnakeCase(key: string): string {
  return key.replaceAll(/[A-Z]/g, (char) => `_${char.toLowerCase()}`)
}
