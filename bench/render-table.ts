/** Results as text: tables for the terminal, the same in Markdown for the documentation. Pure. */
import {
  describeMachineAndServer,
  describeProvenance,
  formatCount,
  formatProvenance,
  formatRatio,
} from './format-result.js'
import { GROUPS, GROUP_NAMES, type GroupName } from './groups.js'
import type { BenchResults, ImpactRow, ResultRow } from './results.js'
import { type Spread, median } from './statistics.js'
import { comparisons, compareWithin } from './verdict.js'

const MIB = 1024 * 1024

interface Cell<Row> {
  readonly heading: string
  readonly right: boolean
  readonly text: (row: Row) => string
}

/** A column that is empty in every row is left out. */
const CELLS: readonly Cell<ResultRow>[] = [
  { heading: 'job', right: false, text: (row) => row.title },
  { heading: 'table', right: false, text: (row) => describeTable(row) },
  { heading: 'path', right: false, text: (row) => describePath(row) },
  { heading: 'wall s', right: true, text: (row) => seconds(row.wallSeconds) },
  { heading: 'rows/s', right: true, text: (row) => perSecond(row.rowCount, row.wallSeconds, formatCount) },
  {
    heading: 'MB/s',
    right: true,
    text: (row) => perSecond(row.copyBytes, row.wallSeconds, (bytes) => (bytes / 1e6).toFixed(0)),
  },
  { heading: 'ratio (min–max)', right: true, text: (row) => formatRatio(row.ratio) },
  { heading: 'aim', right: true, text: (row) => (row.target === null ? '' : `≤ ${row.target.toFixed(2)}`) },
  {
    heading: 'of its reference',
    right: true,
    text: ({ against }) => (against === null ? '' : formatRatio(against.timePerRow)),
  },
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

/** Where size is the question. */
const SCALING_CELLS: readonly Cell<ResultRow>[] = CELLS.flatMap((cell): readonly Cell<ResultRow>[] => {
  if (cell.heading === 'MB/s' || cell.heading === 'aim') return []
  if (cell.heading === 'rows/s') {
    const text = (row: ResultRow): string =>
      row.rowCount === null ? '' : ((row.wallSeconds.median / row.rowCount) * 1e9).toFixed(0)
    return [cell, { heading: 'ns/row', right: true, text }]
  }
  if (cell.heading === 'of its reference') return [{ ...cell, heading: 'ns/row, of 1 M' }]
  if (cell.heading !== 'peak MiB') return [cell]
  const text = ({ against }: ResultRow): string => (against?.peakRss ? formatRatio(against.peakRss) : '')
  return [cell, { heading: 'peak, of 1 M', right: true, text }]
})

const REFERENCE_HEADINGS: Readonly<Partial<Record<GroupName, string>>> = {
  readers: 'of one reader',
  methods: 'of COPY',
  shapes: 'of one reader',
  conditions: 'of one reader',
  peers: 'of Trunkline',
}

function cellsOf(group: GroupName, rows: readonly ResultRow[]): readonly Cell<ResultRow>[] {
  const own = group === 'scaling' ? SCALING_CELLS : CELLS
  const named = own.map((cell) =>
    cell.heading === 'of its reference'
      ? { ...cell, heading: REFERENCE_HEADINGS[group] ?? cell.heading }
      : cell,
  )
  const measured: Cell<ResultRow> = { heading: 'measured', right: false, text: formatProvenance }
  const all = new Set(rows.map(formatProvenance)).size > 1 ? [...named, measured] : named
  return all.filter(({ text }) => rows.some((row) => text(row) !== ''))
}

const IMPACT_CELLS: readonly Cell<ImpactRow>[] = [
  { heading: 'pgbench', right: false, text: ({ title }) => title },
  { heading: 'p50 ms', right: true, text: ({ p50Ms }) => p50Ms.median.toFixed(2) },
  { heading: 'p99 ms', right: true, text: ({ p99Ms }) => p99Ms.median.toFixed(2) },
  {
    heading: 'p50, of alone',
    right: true,
    text: ({ p50Ratio }) => (p50Ratio === null ? '' : formatRatio(p50Ratio)),
  },
  {
    heading: 'p99, of alone',
    right: true,
    text: ({ p99Ratio }) => (p99Ratio === null ? '' : formatRatio(p99Ratio)),
  },
  { heading: 'transactions', right: true, text: ({ transactions }) => formatCount(transactions) },
  {
    heading: 'rows/s copied',
    right: true,
    text: ({ rowsPerSecond }) => (rowsPerSecond === null ? '' : formatCount(rowsPerSecond)),
  },
]

function seconds(spread: Spread | null): string {
  return spread === null ? '–' : spread.median.toFixed(2)
}

function perSecond(amount: number | null, wall: Spread, format: (each: number) => string): string {
  return amount === null ? '' : format(amount / wall.median)
}

function describeTable({ dataSet, rowCount }: ResultRow): string {
  return dataSet === null || rowCount === null ? '' : `${dataSet}, ${formatCount(rowCount)} rows`
}

/** Plain TCP is what is meant where nothing is said. */
function describePath({ path }: ResultRow): string {
  if (path.name === 'tcp') return ''
  return path.roundTripMs === null ? path.title : `${path.title} (${path.roundTripMs.toFixed(1)} ms measured)`
}

interface Section {
  readonly title: string
  readonly text: string
  readonly headings: readonly { readonly heading: string; readonly right: boolean }[]
  readonly lines: readonly (readonly string[])[]
  readonly notes: readonly string[]
}

function sectionsOf(results: BenchResults): readonly Section[] {
  return GROUP_NAMES.flatMap((group): readonly Section[] => {
    const rows = inOrder(results.rows.filter((row) => row.group === group))
    const absent = results.absent.filter((each) => each.group === group)
    const notRun = absent.map(
      ({ title, dataSet, reason }) =>
        `Not run: ${title}${dataSet === null ? '' : ` on ${dataSet}`}: ${reason}.`,
    )
    const { title, text } = GROUPS[group]
    if (group === 'impact' && results.impact.length > 0) {
      const lines = results.impact.map((row) => IMPACT_CELLS.map((cell) => cell.text(row)))
      return [
        { title, text, headings: IMPACT_CELLS, lines, notes: [...impactNotes(results.impact), ...notRun] },
      ]
    }
    if (rows.length === 0 && notRun.length === 0) return []
    const headings = cellsOf(group, rows)
    const lines = rows.map((row) => headings.map((cell) => cell.text(row)))
    const verdicts = group === 'peers' ? compareWithin(rows, absent) : []
    return [{ title, text, headings, lines, notes: [...verdicts, ...baselineNotes(rows), ...notRun] }]
  })
}

/** What was run in the same rounds stands together. */
function inOrder(rows: readonly ResultRow[]): readonly ResultRow[] {
  const [first] = rows
  if (first?.group === 'scaling') return rows
  return [...comparisons(rows).flatMap((each) => each.rows), ...rows.filter(({ task }) => task === null)]
}

/** Aligned with spaces. */
export function renderTerminal(results: BenchResults): string {
  const sections = sectionsOf(results).map(({ title, headings, lines, notes }) => {
    const all = [headings.map(({ heading }) => heading), ...lines]
    const widths = headings.map((_, column) => Math.max(...all.map((line) => line[column]?.length ?? 0)))
    const pad = (text: string, column: number): string =>
      headings[column]?.right === true ? text.padStart(widths[column] ?? 0) : text.padEnd(widths[column] ?? 0)
    const table = lines.length === 0 ? [] : all.map((line) => line.map(pad).join('  ').trimEnd())
    return [title, '', ...table, '', ...notes, ''].join('\n')
  })
  return [describeMachineAndServer(results), '', ...sections].join('\n')
}

export function renderMarkdown(results: BenchResults): string {
  const line = (texts: readonly string[]): string =>
    `| ${texts.map((text) => text.replaceAll('|', '\\|')).join(' | ')} |`
  const sections = sectionsOf(results).flatMap(({ title, text, headings, lines, notes }) => [
    `### ${title}`,
    '',
    ...(text === '' ? [] : [text, '']),
    ...(lines.length === 0
      ? []
      : [
          line(headings.map(({ heading }) => heading)),
          line(headings.map(({ right }) => (right ? '---:' : '---'))),
          ...lines.map(line),
          '',
        ]),
    ...notes.flatMap((note) => [note, '']),
  ])
  return [
    describeMachineAndServer(results),
    '',
    'The ratio is the wall time of the job over that of its baseline in the same round: the median of the rounds, with the least and the greatest. MB/s counts the table as COPY BINARY sends it. Where no path is named it is TCP over loopback.',
    '',
    ...sections,
    '### Versions and command lines',
    '',
    '| version | command line |',
    '| --- | --- |',
    ...commandLines(results).map(([command, version]) => line([version, `\`${command}\``])),
    '',
  ].join('\n')
}

function commandLines({
  rows,
  impact,
}: BenchResults): readonly (readonly [command: string, version: string])[] {
  const versions = new Map<string, string>()
  for (const { version, commandLine, baseline } of rows) {
    versions.set(baseline.commandLine, baseline.version)
    versions.set(commandLine, version)
  }
  for (const { commandLine } of impact) {
    if (commandLine !== null && !versions.has(commandLine)) versions.set(commandLine, '')
  }
  return [...versions]
}

function impactNotes(rows: readonly ImpactRow[]): readonly string[] {
  const [first] = rows
  if (first === undefined) return []
  const { perSecond: rate, windowSeconds, p50Ms } = first
  return [
    `${String(rate)} transactions a second, windows of ${String(windowSeconds)} s, ${String(p50Ms.n)} of each in turns. Medians of the windows. Measured ${describeProvenance(rows)}.`,
  ]
}

/** A baseline is run in every round of whatever is held against it: its spread is over all of them. */
function baselineNotes(rows: readonly ResultRow[]): readonly string[] {
  if (rows.length === 0) return []
  const keyOf = ({ dataSet, path, baseline }: ResultRow): string =>
    `${baseline.title}${dataSet === null ? '' : `, ${dataSet}`}${path.name === 'tcp' ? '' : `, ${path.title}`}`
  const spreads = [...new Set(rows.map(keyOf))].map((key) => {
    const walls = rows.filter((row) => keyOf(row) === key).map(({ baseline }) => baseline.wallSeconds)
    const least = Math.min(...walls.map(({ min }) => min))
    const greatest = Math.max(...walls.map(({ max }) => max))
    const middle = median(walls.map((wall) => wall.median))
    return `${key}: ${middle.toFixed(2)} s (${least.toFixed(2)}–${greatest.toFixed(2)})`
  })
  const rounds = [...new Set(rows.map(({ ratio }) => ratio.n))].join(' or ')
  const checked = [...new Set(rows.flatMap(({ checkedAs }) => checkedAs ?? []))].map((what) => {
    const titles = new Set(rows.filter(({ checkedAs }) => checkedAs === what).map(({ title }) => title))
    return `${what} (${[...titles].join('; ')})`
  })
  return [
    `Measured ${describeProvenance(rows)}, in ${rounds} ${rounds === '1' ? 'round' : 'rounds'}. Baselines: ${spreads.join('; ')}.`,
    ...(checked.length === 0
      ? []
      : [`What was checked where it is not the checksum of every column: ${checked.join('; ')}.`]),
  ]
}
