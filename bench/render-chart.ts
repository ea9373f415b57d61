/** The ratios as an SVG bar chart that can be read on a light and on a dark page. Pure; the SVG is written by hand. */
import { describeMachineAndServer, describeProvenance, formatCount } from './format-result.js'
import type { AbsentJob, BenchResults, ResultRow } from './results.js'
import { comparisons } from './verdict.js'

const WIDTH = 960
const LABEL_WIDTH = 390
/** Of a label in that space, at 13 px. */
const LABEL_CHARACTERS = 56
const VALUE_WIDTH = 150
const PLOT = WIDTH - LABEL_WIDTH - VALUE_WIDTH
const TOP = 74
const BAR = 16
const STEP = 24
const HEADING_HEIGHT = 32
const NOTE_HEIGHT = 16
/** Of a note in the space there is, at 11 px. */
const NOTE_CHARACTERS = 140
/** Longer bars are cut off: a program ten times as slow must not make all others the same. */
const MAX_RATIO = 6

/** On a ground of its own: a page's theme and the viewer's preference, which the query asks, need not agree. */
const STYLE = `
    text { font: 13px system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif; fill: #1f2328 }
    .ground { fill: #ffffff; stroke: #d1d9e0 }
    .title { font-size: 16px; font-weight: 600 }
    .panel { font-weight: 600 }
    .note { font-size: 11px; fill: #59636e }
    .trunkline { fill: #2f7fd1 }
    .peer, .control { fill: #9aa4ae }
    .spread { stroke: #10365f; stroke-width: 1.5 }
    .cut { fill: #ffffff }
    .grid { stroke: #d1d9e0 }
    .baseline { stroke: #c4501b; stroke-width: 2 }
    .baseline-label { fill: #b0450f }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6edf3 }
      .ground { fill: #0d1117; stroke: #3d444d }
      .note { fill: #9198a1 }
      .peer, .control { fill: #6e7681 }
      .spread { stroke: #cfe3fb }
      .cut { fill: #0d1117 }
      .grid { stroke: #3d444d }
      .baseline { stroke: #f0883e }
      .baseline-label { fill: #f0883e }
    }`

interface Panel {
  readonly title: string
  readonly rows: readonly ResultRow[]
  readonly notes: readonly string[]
}

/** A panel per task and table, in it a bar per program: median, and the spread from the least to the greatest. */
export function renderChart(results: BenchResults): string {
  const panels = panelsOf(results)
  const rows = panels.flatMap((panel) => panel.rows)
  const greatest = Math.max(1, ...rows.map(({ ratio }) => Math.min(MAX_RATIO, ratio.max)))
  const limit = Math.ceil(greatest * 2) / 2
  const x = (ratio: number): number => LABEL_WIDTH + (Math.min(ratio, limit) * PLOT) / limit
  const tickStep = limit > 3 ? 1 : 0.5
  const ticks = Array.from({ length: Math.floor(limit / tickStep) + 1 }, (_, index) => index * tickStep)
  const body: string[] = []
  let y = TOP
  for (const panel of panels) {
    body.push(`  <text class="panel" x="16" y="${String(y + 22)}">${escape(panel.title)}</text>`)
    y += HEADING_HEIGHT
    for (const row of panel.rows) {
      body.push(...drawBar(row, y + (STEP - BAR) / 2, x, limit))
      y += STEP
    }
    for (const note of panel.notes) {
      body.push(`  <text class="note" x="16" y="${String(y + 12)}">${escape(note)}</text>`)
      y += NOTE_HEIGHT
    }
  }
  const bottom = y + 4
  const [height, title] = [bottom + 62, 'Wall time as a multiple of psql COPY BINARY to /dev/null']
  const machine = describeMachineAndServer(results)
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${String(WIDTH)} ${String(height)}" width="${String(WIDTH)}" height="${String(height)}" role="img" aria-labelledby="t">`,
    `  <style>${STYLE}\n  </style>`,
    `  <title id="t">${escape(title)}</title>`,
    `  <rect class="ground" x="0.5" y="0.5" width="${String(WIDTH - 1)}" height="${String(height - 1)}" rx="6"/>`,
    `  <text class="title" x="16" y="28">${escape(title)}</text>`,
    `  <text class="note" x="16" y="46">Shorter is better. Median of paired runs; the thin line is the spread.</text>`,
    ...ticks.flatMap((tick) => [
      `  <line class="grid" x1="${px(x(tick))}" x2="${px(x(tick))}" y1="${String(TOP - 4)}" y2="${String(bottom)}"/>`,
      `  <text class="note" x="${px(x(tick))}" y="${String(bottom + 14)}" text-anchor="middle">${String(tick)}</text>`,
    ]),
    ...body,
    `  <line class="baseline" x1="${px(x(1))}" x2="${px(x(1))}" y1="${String(TOP - 8)}" y2="${String(bottom)}"/>`,
    `  <text class="baseline-label" x="${px(x(1))}" y="${String(TOP - 13)}" text-anchor="middle">COPY = 1</text>`,
    `  <text class="note" x="16" y="${String(height - 28)}">${escape(machine)}</text>`,
    `  <text class="note" x="16" y="${String(height - 13)}">${escape(rows.length === 0 ? '' : `Measured ${describeProvenance(rows)}.`)}</text>`,
    '</svg>',
    '',
  ].join('\n')
}

/** Rows of the comparison with other programs where there is one, else those of Trunkline alone. */
function panelsOf({ rows, absent }: BenchResults): readonly Panel[] {
  const charted = rows.filter((row) => row.charted && row.path.name === 'tcp')
  const withPeers = comparisons(charted.filter(({ group }) => group === 'peers'))
  const alone = comparisons(charted.filter(({ group }) => group !== 'peers')).filter(
    ({ task, dataSet }) => !withPeers.some((other) => other.task === task && other.dataSet === dataSet),
  )
  return [...withPeers, ...alone].map(({ task, dataSet, rows: those }): Panel => {
    const size = those[0]?.rowCount ?? null
    const missing = absent.filter(
      (each) =>
        each.group === those[0]?.group && each.task === task && [null, dataSet].includes(each.dataSet),
    )
    return {
      title: `${task}: ${dataSet ?? ''}${size === null ? '' : `, ${formatCount(size)} rows`}`,
      rows: those,
      notes: wrap(describeAbsent(missing)),
    }
  })
}

function describeAbsent(absent: readonly AbsentJob[]): string {
  if (absent.length === 0) return ''
  return `Did not run: ${absent.map(({ title, reason }) => `${title} (${reason})`).join('; ')}.`
}

/** Lines that fit. */
function wrap(text: string): readonly string[] {
  const lines: string[] = []
  for (const word of text.split(' ').filter(Boolean)) {
    const line = lines.at(-1)
    if (line === undefined || line.length + word.length >= NOTE_CHARACTERS) lines.push(word)
    else lines[lines.length - 1] = `${line} ${word}`
  }
  return lines
}

function drawBar(row: ResultRow, y: number, x: (ratio: number) => number, limit: number): readonly string[] {
  const { median, min, max } = row.ratio
  const middle = px(y + BAR / 2)
  const baseline = px(y + BAR / 2 + 4.5)
  const rate = row.rowCount === null ? '' : `, ${formatCount(row.rowCount / row.wallSeconds.median)} rows/s`
  const named = row.by !== 'trunkline' || row.title.startsWith('Trunkline')
  const title = shorten(named ? row.title : `Trunkline: ${row.title}`)
  const cutAt = x(limit) - 14
  // Two slanted gaps, as in a broken axis.
  const cut = [0, 6].map(
    (shift) =>
      `  <path class="cut" d="M${px(cutAt + shift)} ${px(y + BAR)} l4 -${String(BAR)} h2 l-4 ${String(BAR)} z"/>`,
  )
  return [
    `  <text x="${String(LABEL_WIDTH - 10)}" y="${baseline}" text-anchor="end">${escape(title)}</text>`,
    `  <rect class="bar ${row.by}" x="${String(LABEL_WIDTH)}" y="${px(y)}" width="${px(x(median) - LABEL_WIDTH)}" height="${String(BAR)}" rx="2"/>`,
    ...(median > limit
      ? cut
      : [`  <line class="spread" x1="${px(x(min))}" x2="${px(x(max))}" y1="${middle}" y2="${middle}"/>`]),
    `  <text x="${px(x(max) + 8)}" y="${baseline}">${escape(`${median.toFixed(2)}${rate}`)}</text>`,
  ]
}

const shorten = (text: string): string =>
  text.length <= LABEL_CHARACTERS ? text : `${text.slice(0, LABEL_CHARACTERS - 1).trimEnd()}…`

const px = (value: number): string => value.toFixed(1)

function escape(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
}
