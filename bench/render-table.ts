/** Results as text: one table for the terminal, one in Markdown for the documentation. Pure. */
import type { BenchResults, ResultRow } from './results.js'
import { type Spread, median } from './statistics.js'

const MIB = 1024 * 1024

interface Cell {
  readonly heading: string
  readonly right: boolean
  readonly text: (row: ResultRow) => string
}

const CELLS: readonly Cell[] = [
  { heading: 'job', right: false, text: (row) => row.title },
  { heading: 'table', right: false, text: (row) => describeTable(row) },
  { heading: 'wall s', right: true, text: (row) => seconds(row.wallSeconds) },
  { heading: 'rows/s', right: true, text: (row) => perSecond(row.rowCount, row.wallSeconds, formatCount) },
  {
    heading: 'MB/s',
    right: true,
    text: (row) => perSecond(row.copyBytes, row.wallSeconds, (bytes) => (bytes / 1e6).toFixed(0)),
  },
  { heading: 'ratio (min–max)', right: true, text: (row) => formatRatio(row.ratio) },
  { heading: 'aim', right: true, text: (row) => (row.target === null ? '' : `≤ ${row.target.toFixed(2)}`) },
  { heading: 'CPU s, client', right: true, text: (row) => seconds(row.clientCpuSeconds) },
  { heading: 'CPU s, server', right: true, text: (row) => seconds(row.serverCpuSeconds) },
  {
    heading: 'peak MiB',
    right: true,
    text: (row) => (row.peakRssBytes === null ? '–' : (row.peakRssBytes.max / MIB).toFixed(0)),
  },
  {
    heading: 'checked',
    right: true,
    text: (row) => (row.checkedRuns === null ? '' : `${String(row.checkedRuns)} of ${String(row.ratio.n)}`),
  },
]

/** `5 M`, `1.2 M`, `250 k`, `300`. */
export function formatCount(count: number): string {
  const scaled = (value: number, unit: string): string =>
    `${value >= 100 ? value.toFixed(0) : value.toFixed(1).replace(/\.0$/, '')} ${unit}`
  if (count >= 999_500) return scaled(count / 1e6, 'M')
  if (count >= 1000) return scaled(count / 1000, 'k')
  return count.toFixed(0)
}

export function formatRatio({ median, min, max }: Spread): string {
  return `${median.toFixed(2)} (${min.toFixed(2)}–${max.toFixed(2)})`
}

function seconds(spread: Spread | null): string {
  return spread === null ? '–' : spread.median.toFixed(2)
}

function perSecond(amount: number | null, wall: Spread, format: (each: number) => string): string {
  return amount === null ? '' : format(amount / wall.median)
}

function describeTable({ dataSet, rowCount }: ResultRow): string {
  return dataSet === null || rowCount === null ? '' : `${dataSet}, ${formatCount(rowCount)} rows`
}

/** Aligned with spaces. */
export function renderTerminal(results: BenchResults): string {
  const lines = [
    CELLS.map(({ heading }) => heading),
    ...results.rows.map((row) => CELLS.map(({ text }) => text(row))),
  ]
  const widths = CELLS.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)))
  const table = lines.map((line) =>
    line
      .map((text, column) =>
        CELLS[column]?.right === true ? text.padStart(widths[column] ?? 0) : text.padEnd(widths[column] ?? 0),
      )
      .join('  ')
      .trimEnd(),
  )
  return [describeRun(results), '', ...table, '', ...footnotes(results), ''].join('\n')
}

export function renderMarkdown(results: BenchResults): string {
  const row = (texts: readonly string[]): string =>
    `| ${texts.map((text) => text.replaceAll('|', '\\|')).join(' | ')} |`
  const commands = new Map<string, string>()
  for (const { version, commandLine, baseline } of results.rows) {
    commands.set(commandLine, version)
    commands.set(baseline.commandLine, baseline.version)
  }
  return [
    describeRun(results),
    '',
    row(CELLS.map(({ heading }) => heading)),
    row(CELLS.map(({ right }) => (right ? '---:' : '---'))),
    ...results.rows.map((each) => row(CELLS.map(({ text }) => text(each)))),
    '',
    ...footnotes(results).flatMap((note) => [note, '']),
    '| version | command line |',
    '| --- | --- |',
    ...[...commands].map(([line, version]) => row([version, `\`${line}\``])),
    '',
  ].join('\n')
}

/** One line: when, which commit, which machine. */
export function describeRun({ startedAt, commit, machine, server }: BenchResults): string {
  const memory = `${(machine.memoryBytes / 1024 ** 3).toFixed(0)} GiB`
  const cores = `${String(machine.cores)} ${machine.cores === 1 ? 'core' : 'cores'}`
  return `${startedAt.slice(0, 10)}, commit ${commit}, ${machine.processor}, ${cores}, ${memory}, ${machine.system}, Node ${machine.node}, PostgreSQL ${server.version} on the same machine.`
}

function footnotes(results: BenchResults): readonly string[] {
  const pairs = [...new Set(results.rows.map(({ ratio }) => ratio.n))].join(' or ')
  const notes = [
    `The ratio is the job's wall time over that of its baseline run just before it, median of ${pairs} such pairs. MB/s counts the table as COPY BINARY sends it.`,
    ...memoryNotes(results.rows),
  ]
  for (const { commandLine, wallSeconds } of distinctBaselines(results.rows)) {
    notes.push(
      `Baseline \`${commandLine}\`: ${wallSeconds.median.toFixed(2)} s (${wallSeconds.min.toFixed(2)}–${wallSeconds.max.toFixed(2)}).`,
    )
  }
  for (const { job, reason } of results.absent) notes.push(`Not run: ${job}: ${reason}.`)
  return notes
}

/** A baseline is run beside every job that is held against it: its spread is over all of them. */
function distinctBaselines(
  rows: readonly ResultRow[],
): readonly { readonly commandLine: string; readonly wallSeconds: Spread }[] {
  return [...new Set(rows.map(({ baseline }) => baseline.commandLine))].map((commandLine) => {
    const walls = rows
      .filter(({ baseline }) => baseline.commandLine === commandLine)
      .map(({ baseline }) => baseline.wallSeconds)
    return {
      commandLine,
      wallSeconds: {
        median: median(walls.map((wall) => wall.median)),
        min: Math.min(...walls.map(({ min }) => min)),
        max: Math.max(...walls.map(({ max }) => max)),
        n: walls.reduce((sum, { n }) => sum + n, 0),
      },
    }
  })
}

/** Peak memory of a job on a table and on a part of it, `<name>_1m`: flat is what it should be. */
function memoryNotes(rows: readonly ResultRow[]): readonly string[] {
  return rows.flatMap((small) => {
    const large = rows.find(
      ({ job, dataSet }) => job === small.job && `${dataSet ?? ''}_1m` === small.dataSet,
    )
    if (large === undefined || !large.peakRssBytes || !small.peakRssBytes) return []
    const growth = (large.peakRssBytes.max / small.peakRssBytes.max - 1) * 100
    return [
      `Peak memory, ${small.title}, ${large.dataSet ?? ''}: ${(small.peakRssBytes.max / MIB).toFixed(0)} MiB at ${formatCount(small.rowCount ?? 0)} rows, ${(large.peakRssBytes.max / MIB).toFixed(0)} MiB at ${formatCount(large.rowCount ?? 0)} (${growth >= 0 ? '+' : '−'}${Math.abs(growth).toFixed(0)} %).`,
    ]
  })
}
