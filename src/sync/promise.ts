/** The promise that holds for a stream, in one sentence with everything that narrows it; printed by `plan` and the report. */
import { unreachable } from '../model/column-type.js'
import type { AuditEvery, Deletes, Landing, Lookback, Mode } from '../model/sync-spec.js'
import type { CursorPlan } from './cursor-plan.js'

export interface PromiseInput {
  readonly stream: string
  readonly table: string
  readonly mode: Mode
  readonly landing: Landing
  readonly deletes: Deletes
  readonly where: string | null
  readonly cursor: CursorPlan | null
  readonly excludedColumns: readonly string[]
  readonly lossyColumns: readonly string[]
  readonly widened: boolean
  /** What else is done to rows on their way. */
  readonly transforms: readonly string[]
  readonly discardsNewColumns: boolean
  readonly rowSecurity: boolean
  readonly declaredKey: boolean
}

export function promiseFor(input: PromiseInput): string {
  const narrowing = narrowingOf(input)
  return `${corePromise(input)}${narrowing.length === 0 ? '' : ` Narrowed: ${narrowing.join('; ')}.`}`
}

function corePromise(input: PromiseInput): string {
  const { stream, table, mode, landing, deletes } = input
  switch (mode) {
    case 'full_refresh':
      switch (landing) {
        case 'replace':
          return `After each run ${table} equals ${stream} as of that run's snapshot, row count verified; readers see the old or the new table, never a mix.`
        case 'append':
          return `Each run adds one copy of ${stream} as of that run's snapshot to ${table}, row count verified and dated by _trunkline_run_at.`
        case 'upsert':
          return `After each run ${table} holds every row of ${stream} as of that run's snapshot${keptRows(deletes)}.`
        default:
          return unreachable(landing)
      }
    case 'mirror':
      return deletes === 'hard'
        ? `After each run ${table} equals ${stream} as of that run's snapshot, late commits and deletes included.`
        : `After each run ${table} holds every row of ${stream} as of that run's snapshot, late commits included${keptRows(deletes)}.`
    case 'incremental':
      if (input.cursor !== null && input.cursor.bound !== 'xmin') return cursorPromise(input, input.cursor)
      return landing === 'append'
        ? `Each row version of ${stream} that a run's snapshot sees is appended to ${table} exactly once within one epoch of transaction ids (2^32); later, long-frozen rows may repeat. Versions that came and went between two runs, and deletes, are not seen.`
        : `After each run ${table} holds every row of ${stream} as of that run's snapshot, late commits included${keptRows(deletes)}.`
    default:
      return unreachable(mode)
  }
}

/** What holds where rows are found by the cursor, and on what conditions. */
function cursorPromise(
  { stream, table, landing, deletes }: PromiseInput,
  { column, bound, lookback, auditEvery }: CursorPlan,
): string {
  const field = `"${column.name}"`
  const rise =
    bound === 'in_flight'
      ? `each change sets ${field} from the server's clock, inside its own transaction and never back`
      : `each change raises ${field} and is visible before the highest value seen lies ${describeLookback(lookback)} above its own`
  const audit =
    auditEvery === null ? '' : `; an audit every ${describeAudit(auditEvery)} finds and repairs what did not`
  if (landing === 'append') {
    return `Each version of a row of ${stream} that a run's snapshot sees is appended to ${table} exactly once, as long as ${rise}. Versions that came and went between two runs, and deletes, are not seen.`
  }
  const kept = deletes === 'ignore' ? 'rows deleted at the source stay' : 'deletes are found by count and key'
  return `After each run ${table} holds every row of ${stream} as of that run's snapshot, as long as ${rise}${audit}; ${kept}.`
}

function describeLookback(lookback: Lookback | null): string {
  if (lookback === null) return 'any way'
  return `more than ${lookback.kind === 'amount' ? lookback.amount : describeSeconds(lookback.ms)}`
}

function describeAudit(every: AuditEvery): string {
  return every.kind === 'duration'
    ? describeSeconds(every.ms)
    : every.runs === 1
      ? 'run'
      : `${every.runs} runs`
}

function describeSeconds(ms: number): string {
  return `${ms / 1000} s`
}

function keptRows(deletes: Deletes): string {
  switch (deletes) {
    case 'hard':
      return ' and no other'
    case 'soft':
      return '; rows deleted at the source stay, marked in _trunkline_deleted_at'
    case 'ignore':
      return '; rows deleted at the source stay'
    default:
      return unreachable(deletes)
  }
}

function narrowingOf(input: PromiseInput): string[] {
  const narrowing: string[] = []
  if (input.where !== null) {
    narrowing.push(
      input.deletes === 'ignore' && input.mode !== 'full_refresh'
        ? `only rows where ${input.where}; a row that stops matching stays as it was`
        : `only rows where ${input.where}`,
    )
  }
  if (typeof input.cursor?.start === 'string') {
    narrowing.push(
      `only rows whose "${input.cursor.column.name}" is greater than ${input.cursor.start}: none at or below it, and none without a value`,
    )
  }
  if (input.excludedColumns.length > 0) narrowing.push(`without ${input.excludedColumns.join(', ')}`)
  if (input.widened) narrowing.push('types widened, which is lossy (type_profile: widened)')
  if (input.lossyColumns.length > 0)
    narrowing.push(`${input.lossyColumns.join(', ')} as far as the landing type can hold`)
  narrowing.push(...input.transforms)
  if (input.discardsNewColumns) narrowing.push('columns added at the source later are left out')
  if (input.rowSecurity) narrowing.push('only rows that row security lets this role see')
  if (input.declaredKey && input.landing === 'upsert')
    narrowing.push('as long as the declared key is unique; a run that finds it is not fails')
  return narrowing
}
