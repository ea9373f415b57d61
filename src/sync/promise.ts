/** The promise that holds for a stream, in one sentence with everything that narrows it; printed by `plan` and the report. */
import { unreachable } from '../model/column-type.js'
import type { Deletes, Landing, Mode } from '../model/sync-spec.js'

export interface PromiseInput {
  readonly stream: string
  readonly table: string
  readonly mode: Mode
  readonly landing: Landing
  readonly deletes: Deletes
  readonly where: string | null
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

function corePromise({ stream, table, mode, landing, deletes }: PromiseInput): string {
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
      return landing === 'append'
        ? `Each row version of ${stream} that a run's snapshot sees is appended to ${table} exactly once within one epoch of transaction ids (2^32); later, long-frozen rows may repeat. Versions that came and went between two runs, and deletes, are not seen.`
        : `After each run ${table} holds every row of ${stream} as of that run's snapshot, late commits included; rows deleted at the source stay.`
    default:
      return unreachable(mode)
  }
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
