/**
 * What will be done with a stream and what that promises: mode, landing, key, columns, name. Pure.
 *
 * Whether a run then reads everything or only what changed is decided in `fingerprint.ts`, under the run's snapshot.
 */
import type { CatalogColumn, CatalogStream } from '../model/catalog.js'
import { TrunklineError } from '../model/error.js'
import type {
  Deletes,
  Landing,
  Limits,
  Mode,
  OnSchemaChange,
  ReadMethod,
  StreamOptions,
} from '../model/sync-spec.js'
import type { DestinationCapabilities, TableName } from '../destination/contract.js'
import type { ReadColumn, ResolvedCursor, Source } from '../source/contract.js'
import { describeTransforms, landedFields, type TransformSpec } from '../transform/transform-spec.js'
import { printTable } from './naming.js'
import { checkCursorMasks, chooseTransform, keyAfterMasks } from './plan-transform.js'
import { planCursor, type CursorPlan } from './cursor-plan.js'
import { promiseFor } from './promise.js'
import { rowsAtOnce } from './rows-at-once.js'

export interface StreamPlan {
  readonly stream: CatalogStream
  readonly mode: Mode
  /** Why this mode, as a sentence. */
  readonly reason: string
  readonly landing: Landing
  readonly deletes: Deletes
  readonly table: TableName
  /** Null where rows are not matched by key. */
  readonly key: readonly string[] | null
  /** That the key is unique is a person's word, not an index's, or its values land with a loss. */
  readonly keyDeclared: boolean
  readonly columns: readonly ReadColumn[]
  /** With the start of the cursor. */
  readonly where: string | null
  /** Null for a stream that is not read by a cursor. */
  readonly cursor: CursorPlan | null
  /** Indexes of the source are to be made at the destination. */
  readonly indexes: boolean
  /** Each run adds a whole copy, told apart by the instant of the run. */
  readonly dated: boolean
  readonly onSchemaChange: OnSchemaChange
  readonly readMethod: ReadMethod
  readonly limits: Limits
  /** What is done to rows on their way; key and columns are called here as at the source. */
  readonly transform: TransformSpec
  /** A row hook may leave rows out: nothing at the destination tells those from deleted ones. */
  readonly mayDrop: boolean
  readonly promise: string
  readonly losses: readonly string[]
  readonly warnings: readonly string[]
}

export interface PlanInput {
  readonly stream: CatalogStream
  readonly options: StreamOptions
  readonly table: TableName
  /** Key columns of the saved state: kept as long as they are still a key. */
  readonly savedKey: readonly string[] | null
  readonly capabilities: DestinationCapabilities
  readonly mapColumns: Source['mapColumns']
  readonly limits: Limits
  /** What `cursor_field` names, as `resolveCursor` gives it; absent or null without one. */
  readonly cursor?: ResolvedCursor | null
}

/** @throws TrunklineError that says what to do: KEY_MISSING, STREAM_UNSUPPORTED, CONFIG_INVALID, CONFIG_UNSUPPORTED, … */
export function planStream(input: PlanInput): StreamPlan {
  const { stream, options, table, capabilities } = input
  const selected = chooseColumns(stream, options)
  const { transform, columns: chosen } = chooseTransform(stream, options, selected, capabilities)
  const found = chooseKey(stream, options, chosen, input.savedKey)
  const { mode, reason } = chooseMode(stream, options, found, capabilities)
  const landing = chooseLanding(stream, options, mode, found, capabilities)
  const key = keyAfterMasks(stream, transform, found, landing)
  const warnings: string[] = []
  const cursor = chooseCursor(input, { mode, landing, warnings })
  checkCursorMasks(stream, transform, cursor, landing)
  let deletes = chooseDeletes(options, mode, landing)
  if (stream.rowSecurity && deletes !== 'ignore' && landing === 'upsert') {
    deletes = 'ignore'
    warnings.push('Row security hides rows from this role, so rows missing here are not taken as deleted.')
  }
  const columns = input.mapColumns(
    { ...stream, columns: chosen },
    {
      typeProfile: options.typeProfile ?? 'exact',
      types: options.types ?? {},
      specialNumeric: options.specialNumeric ?? 'error',
      specialTemporal: options.specialTemporal ?? 'error',
      invalidUtf8: options.invalidUtf8 ?? 'error',
      serverText: capabilities.serverText ?? false,
    },
  )
  if (mode === 'incremental' && options.landing === 'replace') {
    warnings.push('Landing `replace` reads the whole stream each run, whatever the mode.')
  }
  if (options.indexes === true && capabilities.serverText !== true) {
    warnings.push('`indexes` has no effect: the destination has none.')
  }
  const onSchemaChange = options.onSchemaChange ?? 'evolve'
  const { readMethod = 'copy' } = options
  const lossy = columns.filter((column) => column.loss !== null)
  const excluded = stream.columns.filter((column) => !chosen.includes(column)).map((column) => column.name)
  const mayDrop = transform.hook !== null && (landing !== 'upsert' || deletes === 'ignore')
  return {
    stream,
    mode: landing === 'replace' ? 'full_refresh' : mode,
    reason: cursor === null ? reason : cursor.reason,
    landing,
    deletes,
    table,
    key: landing === 'upsert' || landing === 'replace' ? key : null,
    keyDeclared:
      options.primaryKey !== undefined ||
      stream.key?.from === 'declared' ||
      lossy.some((column) => key?.includes(column.field.name)),
    columns,
    where: bothConditions(options.where, cursor === null ? undefined : input.cursor?.afterStart),
    cursor,
    indexes: options.indexes === true,
    dated: mode === 'full_refresh' && landing === 'append',
    onSchemaChange,
    readMethod,
    limits: { ...input.limits, batchRows: rowsAtOnce(readMethod, options.batchSize, input.limits) },
    transform,
    mayDrop,
    promise: promiseFor({
      stream: stream.name,
      table: printTable(table),
      mode: landing === 'replace' ? 'full_refresh' : mode,
      landing,
      deletes,
      where: options.where ?? null,
      cursor,
      excludedColumns: excluded,
      lossyColumns: lossy.map((column) => column.field.name),
      widened: options.typeProfile === 'widened',
      transforms: describeTransforms(transform, { mayDrop }),
      discardsNewColumns: onSchemaChange === 'discard_value',
      rowSecurity: stream.rowSecurity,
      declaredKey: options.primaryKey !== undefined || stream.key?.from === 'declared',
    }),
    losses: [
      ...lossy.map((column) => `${column.field.name}: ${column.loss ?? ''}`),
      ...(capabilities.losses?.(
        landedFields(
          transform,
          columns.map((column) => column.field),
          key,
        ),
      ) ?? []),
    ],
    warnings,
  }
}

function chooseCursor(
  { stream, options, cursor = null }: PlanInput,
  chosen: { readonly mode: Mode; readonly landing: Landing; readonly warnings: string[] },
): CursorPlan | null {
  const { mode, landing, warnings } = chosen
  if (cursor === null) return null
  if (landing === 'replace' || mode !== 'incremental') {
    if (mode !== 'incremental') warnings.push(`\`cursor_field\` has no effect in mode ${mode}.`)
    return null
  }
  const plan = planCursor({ stream, options, resolved: cursor, landing, obstacle: horizonObstacle(stream) })
  warnings.push(...plan.warnings)
  if (options.auditEvery !== undefined && plan.auditEvery === null && plan.bound !== 'xmin') {
    warnings.push(
      landing === 'append'
        ? '`audit_every` has no effect: rows that were appended cannot be repaired.'
        : '`audit_every` has no effect: rows without transaction ids cannot be searched by them.',
    )
  }
  return plan
}

/** A line break ends a comment that a condition might end with. */
function bothConditions(where: string | undefined, afterStart: string | null | undefined): string | null {
  if (afterStart === null || afterStart === undefined) return where ?? null
  return where === undefined ? afterStart : `(${where}\n) AND ${afterStart}`
}

/** Why the horizon cannot be used with this relation; null where it can. */
export function horizonObstacle(stream: CatalogStream): string | null {
  if (stream.sql !== null) return 'a query has no transaction ids of its own'
  switch (stream.oddity) {
    case 'hypertable':
      return 'it is a hypertable'
    case 'distributed':
      return 'it is distributed over several servers'
    case 'foreign_leaf':
      return 'one of its partitions is a foreign table'
    case 'unknown_access_method':
      return 'its table access method is not heap'
    case 'unlogged_on_standby':
      return 'it is unlogged and this is a standby'
    case 'greenplum':
      return 'each segment of Greenplum counts transactions of its own'
    case 'external':
      return 'it is an external table, whose rows are not in the database'
    case null:
      break
  }
  if (stream.kind === 'view' || stream.kind === 'foreign' || stream.kind === 'query') {
    return `a ${stream.kind === 'foreign' ? 'foreign table' : stream.kind} has no transaction ids`
  }
  if (!stream.tablePrivilege) return 'the role may read columns but not the whole table'
  return null
}

function chooseColumns(stream: CatalogStream, options: StreamOptions): readonly CatalogColumn[] {
  for (const name of [...(options.columns ?? []), ...(options.excludeColumns ?? [])]) {
    if (!stream.columns.some((column) => column.name === name)) {
      throw new TrunklineError('STREAM_MISSING', `${stream.name} has no column "${name}".`, {
        hint: `Its columns are ${stream.columns.map((column) => column.name).join(', ')}.`,
        context: { stream: stream.name, field: name },
      })
    }
  }
  const included = options.columns
  const chosen = stream.columns.filter(
    (column) =>
      (included === undefined || included.includes(column.name)) &&
      options.excludeColumns?.includes(column.name) !== true,
  )
  if (chosen.length === 0) {
    throw new TrunklineError('STREAM_UNSUPPORTED', `${stream.name} has no columns to land.`, {
      hint: 'Exclude it, or check `columns` and `exclude_columns`.',
      context: { stream: stream.name },
    })
  }
  const hidden = chosen.filter((column) => !column.selectable).map((column) => column.name)
  if (hidden.length > 0) {
    const list = hidden.join(', ')
    throw new TrunklineError(
      'PERMISSION_DENIED',
      `The role may not read ${hidden.length === chosen.length ? 'any column' : list} of ${stream.name}.`,
      {
        hint: `GRANT SELECT ON ${stream.name} to the role, or leave the columns out with \`exclude_columns: [${list}]\`.`,
        context: { stream: stream.name },
      },
    )
  }
  return chosen
}

interface ChosenKey {
  readonly columns: readonly string[] | null
  /** Why there is none, as part of a sentence. */
  readonly missing: string
}

function chooseKey(
  stream: CatalogStream,
  options: StreamOptions,
  chosen: readonly CatalogColumn[],
  savedKey: readonly string[] | null,
): readonly string[] | null {
  const { columns, missing } = findKey(stream, options, chosen, savedKey)
  if (columns === null && options.primaryKey !== undefined) {
    throw new TrunklineError(
      'KEY_MISSING',
      `The declared key of ${stream.name} cannot be used: ${missing}.`,
      {
        hint: 'Name columns of the stream that are NOT NULL and together unique.',
        context: { stream: stream.name },
      },
    )
  }
  return columns
}

function findKey(
  stream: CatalogStream,
  options: StreamOptions,
  chosen: readonly CatalogColumn[],
  savedKey: readonly string[] | null,
): ChosenKey {
  const landed = (name: string): boolean => chosen.some((column) => column.name === name)
  if (options.primaryKey !== undefined) {
    const unknown = options.primaryKey.find((name) => !landed(name))
    if (unknown !== undefined)
      return { columns: null, missing: `column "${unknown}" is not among those landed` }
    const real = stream.kind === 'table' || stream.kind === 'partitioned' || stream.kind === 'inherited'
    const nullable = chosen.find(
      (column) => real && column.nullable && options.primaryKey?.includes(column.name) === true,
    )
    if (nullable !== undefined) return { columns: null, missing: `column "${nullable.name}" may be null` }
    return { columns: options.primaryKey, missing: '' }
  }
  if (savedKey !== null && savedKey.every(landed) && isStillKey(stream, savedKey)) {
    return { columns: savedKey, missing: '' }
  }
  if (stream.key?.columns.every(landed) === true) return { columns: stream.key.columns, missing: '' }
  return { columns: null, missing: 'it has none' }
}

function isStillKey(stream: CatalogStream, key: readonly string[]): boolean {
  const same = (columns: readonly (string | null)[]): boolean =>
    columns.length === key.length && columns.every((column) => column !== null && key.includes(column))
  if (stream.key !== null && same(stream.key.columns)) return true
  if (stream.kind === 'inherited') return false
  const solid = stream.columns.filter((column) => !column.nullable).map((column) => column.name)
  return (
    key.every((column) => solid.includes(column)) &&
    stream.indexes.some((index) => index.unique && index.valid && !index.partial && same(index.columns))
  )
}

/** What else can be set where there are no transaction ids, as the end of a sentence. */
function insteadOf(mode: Mode, { oddity }: CatalogStream): string {
  if (mode === 'incremental') return ', or `cursor_field` to a column that rises with every change'
  if (oddity !== 'greenplum') return ''
  return ', or `mode: incremental` with a `cursor_field` that rises with every change and a `lookback`'
}

/** Append-optimised tables count their changes. */
function whenRead({ greenplum, kind }: CatalogStream): string {
  const counts = greenplum?.storage.startsWith('append_optimised') === true && kind !== 'matview'
  return counts ? 'in each run that finds it changed' : 'each run'
}

function chooseMode(
  stream: CatalogStream,
  options: StreamOptions,
  key: readonly string[] | null,
  capabilities: DestinationCapabilities,
): { readonly mode: Mode; readonly reason: string } {
  const obstacle = horizonObstacle(stream)
  const canUpsert = capabilities.landings.has('upsert') && capabilities.deletes
  if (options.mode === undefined) {
    if (options.cursorField !== undefined && options.landing !== 'replace') {
      return { mode: 'incremental', reason: 'It has a cursor field.' }
    }
    if (options.landing === 'replace') {
      return { mode: 'full_refresh', reason: 'Landing `replace` reads the whole stream each run.' }
    }
    if (obstacle !== null) {
      return { mode: 'full_refresh', reason: `Read in full ${whenRead(stream)}: ${obstacle}.` }
    }
    if (key === null) {
      return {
        mode: 'full_refresh',
        reason: 'Read in full each run: it has no key by which rows could be matched.',
      }
    }
    if (!canUpsert) {
      return { mode: 'full_refresh', reason: 'Read in full each run: the destination replaces whole tables.' }
    }
    if (options.transformRow !== undefined) {
      const reason = 'Read in full each run: rows that its hook leaves out would look like deleted ones.'
      return { mode: 'full_refresh', reason }
    }
    return { mode: 'mirror', reason: 'Changed rows are found by transaction id, deletes by count and key.' }
  }
  if (options.mode !== 'full_refresh' && options.landing !== 'replace') {
    const byCursor = options.mode === 'incremental' && options.cursorField !== undefined
    if (obstacle !== null && !byCursor) {
      const incremental = options.mode === 'incremental'
      throw new TrunklineError(
        'STREAM_UNSUPPORTED',
        `${stream.name} cannot be read in mode ${options.mode}: ${obstacle}.`,
        {
          hint: `Set \`mode: full_refresh\` for it${insteadOf(options.mode, stream)}.`,
          context: { stream: stream.name, ...(incremental ? { field: 'cursor_field' } : {}) },
        },
      )
    }
    if (options.mode === 'mirror' && key === null) throw keyMissing(stream, 'mode mirror')
    if (options.mode === 'mirror' && !canUpsert) {
      throw new TrunklineError(
        'CONFIG_INVALID',
        `${stream.name}: mode mirror needs a destination that can change rows.`,
        { hint: 'Set `mode: full_refresh`.', context: { stream: stream.name } },
      )
    }
  }
  return { mode: options.mode, reason: 'As configured.' }
}

function chooseLanding(
  stream: CatalogStream,
  options: StreamOptions,
  mode: Mode,
  key: readonly string[] | null,
  capabilities: DestinationCapabilities,
): Landing {
  const stated = key === null ? (options.landingWithoutKey ?? options.landing) : options.landing
  const landing = stated ?? defaultLanding(mode, key, capabilities)
  const context = { stream: stream.name }
  if (mode === 'mirror' && landing !== 'upsert') {
    throw new TrunklineError(
      'CONFIG_INVALID',
      `${stream.name}: mode mirror lands by upsert, not by ${landing}.`,
      {
        hint: `Leave \`landing\` out, or use \`mode: ${landing === 'append' ? 'incremental' : 'full_refresh'}\`.`,
        context,
      },
    )
  }
  if (!capabilities.landings.has(landing)) {
    throw new TrunklineError('CONFIG_INVALID', `${stream.name}: the destination cannot land by ${landing}.`, {
      hint: `It can land by ${[...capabilities.landings].join(', ')}.`,
      context,
    })
  }
  if (landing === 'upsert' && key === null) throw keyMissing(stream, 'landing upsert')
  return landing
}

function defaultLanding(
  mode: Mode,
  key: readonly string[] | null,
  { landings }: DestinationCapabilities,
): Landing {
  switch (mode) {
    case 'mirror':
      return 'upsert'
    case 'full_refresh':
      return 'replace'
    case 'incremental':
      return key === null || !landings.has('upsert') ? 'append' : 'upsert'
  }
}

function chooseDeletes(options: StreamOptions, mode: Mode, landing: Landing): Deletes {
  if (landing === 'replace') return 'hard'
  const byCursor = options.cursorField !== undefined
  if (landing === 'append' || (mode === 'incremental' && !byCursor)) return 'ignore'
  return options.deletes ?? (mode === 'mirror' ? 'hard' : 'ignore')
}

function keyMissing(stream: CatalogStream, what: string): TrunklineError {
  return new TrunklineError('KEY_MISSING', `${stream.name} has no key, and ${what} needs one.`, {
    hint: `Declare one with \`--primary-key ${stream.name}=COLUMN\` (\`primary_key\` in the file), or use \`mode: full_refresh\`.`,
    context: { stream: stream.name },
  })
}
