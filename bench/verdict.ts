/** Who was ahead, said only of those that ran. Pure. */
import type { AbsentJob, ResultRow } from './results.js'

/** A sentence per task and table. */
export function compareWithin(rows: readonly ResultRow[], absent: readonly AbsentJob[]): readonly string[] {
  return comparisons(rows.filter(({ by }) => by !== 'control')).map(({ task, dataSet, rows: those }) => {
    const byTime = [...those].sort((a, b) => a.wallSeconds.median - b.wallSeconds.median)
    const known = those.flatMap(({ title, peakRssBytes }) =>
      peakRssBytes === null ? [] : [{ title, peak: peakRssBytes.max }],
    )
    const leanest = [...known].sort((a, b) => a.peak - b.peak)[0]?.title
    const missing = absent.filter((each) => each.task === task && [null, dataSet].includes(each.dataSet))
    const sentences = [
      `**${task}, ${dataSet ?? ''}**: of ${String(those.length)} that ran, least time: ${byTime[0]?.title ?? ''}${leanest === undefined ? '' : `; least memory: ${leanest}`}.`,
    ]
    if (!those.some(({ by }) => by === 'trunkline')) sentences.push('Trunkline: not yet.')
    if (missing.length > 0) sentences.push(`Did not run: ${missing.map(({ title }) => title).join(', ')}.`)
    return sentences.join(' ')
  })
}

export interface Comparison {
  readonly task: string
  readonly dataSet: string | null
  readonly rows: readonly ResultRow[]
}

/** Rows of the same task on the same table, in their order. */
export function comparisons(rows: readonly ResultRow[]): readonly Comparison[] {
  const found = new Map<string, { task: string; dataSet: string | null; rows: ResultRow[] }>()
  for (const row of rows) {
    if (row.task === null) continue
    const key = `${row.task} ${row.dataSet ?? ''}`
    const comparison = found.get(key) ?? { task: row.task, dataSet: row.dataSet, rows: [] }
    comparison.rows.push(row)
    found.set(key, comparison)
  }
  return [...found.values()]
}
