/** Puts what one run found into what earlier runs did: the newest of each wins. Pure. */
import type { AbsentJob, BenchResults, ImpactRow, ResultRow } from './results.js'

const rowKey = ({ group, job, dataSet, path }: ResultRow): string =>
  [group, job, dataSet ?? '', path.name].join(' ')
const impactKey = ({ load }: ImpactRow): string => load
const absentKey = ({ group, job, dataSet }: AbsentJob): string => [group, job, dataSet ?? ''].join(' ')

/** Whether the absence is about this row: of the job on its table, or of the job altogether. */
const concerns = (absent: AbsentJob, row: ResultRow): boolean =>
  absent.group === row.group &&
  absent.job === row.job &&
  (absent.dataSet === null || absent.dataSet === row.dataSet)

/**
 * @param order `<group> <job>` as they are listed, so that a table reads the same whatever was run last.
 * @throws Error where the two are not of the same machine and server: their numbers do not belong into one table.
 */
export function mergeResults(
  earlier: BenchResults,
  later: BenchResults,
  order: readonly string[],
): BenchResults {
  const wanted = placeOf(later)
  if (placeOf(earlier) !== wanted) {
    throw new Error(`The saved results are of ${placeOf(earlier)}, not of ${wanted}: move them away first.`)
  }
  const failed = later.absent.filter(({ dataSet }) => dataSet !== null)
  const kept = earlier.rows.filter((row) => !failed.some((each) => concerns(each, row)))
  const rows = mergeBy(rowKey, kept, later.rows)
  const place = (row: ResultRow): number => {
    const index = order.indexOf(`${row.group} ${row.job}`)
    return index < 0 ? order.length : index
  }
  return {
    ...later,
    rows: [...rows].sort((a, b) => place(a) - place(b)),
    impact: mergeBy(impactKey, earlier.impact, later.impact),
    // A program that ran once and is gone keeps its row: that it is absent now says nothing about that.
    absent: mergeBy(absentKey, earlier.absent, later.absent).filter(
      (each) => !rows.some((row) => concerns(each, row)),
    ),
  }
}

function placeOf({ machine, server }: BenchResults): string {
  return `${machine.processor}, ${String(machine.cores)} cores, ${machine.system}, PostgreSQL ${server.version}`
}

function mergeBy<T>(keyOf: (each: T) => string, earlier: readonly T[], later: readonly T[]): readonly T[] {
  const merged = new Map(earlier.map((each) => [keyOf(each), each]))
  for (const each of later) merged.set(keyOf(each), each)
  return [...merged.values()]
}
