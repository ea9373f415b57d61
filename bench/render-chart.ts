/** The ratios as an SVG bar chart that can be read on a light and on a dark page. Pure; the SVG is written by hand. */
import { describeRun, formatCount } from './render-table.js'
import type { BenchResults, ResultRow } from './results.js'

const WIDTH = 860
const LABEL_WIDTH = 330
const VALUE_WIDTH = 130
const PLOT = WIDTH - LABEL_WIDTH - VALUE_WIDTH
const TOP = 74
const BAR = 20
const STEP = 34

/** On a ground of its own: a page's theme and the viewer's preference, which the query asks, need not agree. */
const STYLE = `
    text { font: 13px system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif; fill: #1f2328 }
    .ground { fill: #ffffff; stroke: #d1d9e0 }
    .title { font-size: 16px; font-weight: 600 }
    .note { font-size: 11px; fill: #59636e }
    .bar { fill: #2f7fd1 }
    .spread { stroke: #10365f; stroke-width: 1.5 }
    .grid { stroke: #d1d9e0 }
    .baseline { stroke: #c4501b; stroke-width: 2 }
    .baseline-label { fill: #b0450f }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6edf3 }
      .ground { fill: #0d1117; stroke: #3d444d }
      .note { fill: #9198a1 }
      .spread { stroke: #cfe3fb }
      .grid { stroke: #3d444d }
      .baseline { stroke: #f0883e }
      .baseline-label { fill: #f0883e }
    }`

/** One bar per charted job and table: median, and the spread from the least to the greatest. */
export function renderChart(results: BenchResults): string {
  const rows = results.rows.filter(({ charted }) => charted)
  const greatest = Math.max(1, ...rows.map(({ ratio }) => ratio.max))
  const scale = PLOT / (Math.ceil(greatest * 2) / 2)
  const x = (ratio: number): string => (LABEL_WIDTH + ratio * scale).toFixed(1)
  const height = TOP + rows.length * STEP + 52
  const ticks = Array.from({ length: Math.round((PLOT / scale) * 2) + 1 }, (_, index) => index / 2)
  const bottom = TOP + rows.length * STEP
  const title = 'Wall time as a multiple of psql COPY BINARY to /dev/null'
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${String(WIDTH)} ${String(height)}" width="${String(WIDTH)}" height="${String(height)}" role="img" aria-labelledby="t">`,
    `  <style>${STYLE}\n  </style>`,
    `  <title id="t">${escape(title)}</title>`,
    `  <rect class="ground" x="0.5" y="0.5" width="${String(WIDTH - 1)}" height="${String(height - 1)}" rx="6"/>`,
    `  <text class="title" x="16" y="28">${escape(title)}</text>`,
    `  <text class="note" x="16" y="46">Shorter is better. Median of paired runs; the thin line is the spread.</text>`,
    ...ticks.flatMap((tick) => [
      `  <line class="grid" x1="${x(tick)}" x2="${x(tick)}" y1="${String(TOP - 4)}" y2="${String(bottom)}"/>`,
      `  <text class="note" x="${x(tick)}" y="${String(bottom + 14)}" text-anchor="middle">${String(tick)}</text>`,
    ]),
    ...rows.flatMap((row, index) => drawBar(row, TOP + index * STEP + (STEP - BAR) / 2, x)),
    `  <line class="baseline" x1="${x(1)}" x2="${x(1)}" y1="${String(TOP - 8)}" y2="${String(bottom)}"/>`,
    `  <text class="baseline-label" x="${x(1)}" y="${String(TOP - 13)}" text-anchor="middle">COPY = 1</text>`,
    `  <text class="note" x="16" y="${String(height - 14)}">${escape(describeRun(results))}</text>`,
    '</svg>',
    '',
  ].join('\n')
}

function drawBar(row: ResultRow, y: number, x: (ratio: number) => string): readonly string[] {
  const { median, min, max } = row.ratio
  const middle = (y + BAR / 2).toFixed(1)
  const baseline = (y + BAR / 2 + 4.5).toFixed(1)
  const width = (Number(x(median)) - LABEL_WIDTH).toFixed(1)
  const rate = row.rowCount === null ? '' : `, ${formatCount(row.rowCount / row.wallSeconds.median)} rows/s`
  const valueAt = (Number(x(max)) + 8).toFixed(1)
  return [
    `  <text x="${String(LABEL_WIDTH - 10)}" y="${baseline}" text-anchor="end">${escape(`${row.dataSet ?? ''}: ${row.title}`)}</text>`,
    `  <rect class="bar" x="${String(LABEL_WIDTH)}" y="${y.toFixed(1)}" width="${width}" height="${String(BAR)}" rx="2"/>`,
    `  <line class="spread" x1="${x(min)}" x2="${x(max)}" y1="${middle}" y2="${middle}"/>`,
    `  <text x="${valueAt}" y="${baseline}">${escape(`${median.toFixed(2)}${rate}`)}</text>`,
  ]
}

function escape(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
}
