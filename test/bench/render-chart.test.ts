import { describe, expect, it } from 'vitest'
import { renderChart } from '../../bench/render-chart.js'
import { benchResults, resultRow, spread } from './results.js'

const bars = (svg: string): number[] =>
  [...svg.matchAll(/<rect class="bar" [^>]*width="([\d.]+)"/g)].map((match) => Number(match[1]))

describe('the chart', () => {
  it('draws each bar as long as its ratio', () => {
    const svg = renderChart(benchResults([resultRow({ ratio: spread(1) }), resultRow({ ratio: spread(2) })]))
    const [one, two] = bars(svg)
    expect(bars(svg)).toHaveLength(2)
    expect(two).toBeCloseTo((one ?? 0) * 2)
  })

  it('puts the line of the baseline where a bar of one ends', () => {
    const svg = renderChart(benchResults([resultRow({ ratio: spread(1) })]))
    const line = Number(/class="baseline" x1="([\d.]+)"/.exec(svg)?.[1])
    const start = Number(/class="bar" x="([\d.]+)"/.exec(svg)?.[1])
    expect(line).toBeCloseTo(start + (bars(svg)[0] ?? 0))
  })

  it('keeps everything inside its frame, however long the longest', () => {
    const svg = renderChart(
      benchResults([resultRow({ ratio: spread(9, 8, 14.2) }), resultRow({ ratio: spread(0.6) })]),
    )
    const width = Number(/viewBox="0 0 (\d+) /.exec(svg)?.[1])
    const ends = [...svg.matchAll(/ x2="([\d.]+)"/g)].map((match) => Number(match[1]))
    expect(Math.max(...ends)).toBeLessThan(width)
  })

  it('is well-formed: text is escaped and every element is closed', () => {
    const svg = renderChart(benchResults([resultRow({ title: 'a < b & "c"' })]))
    expect(svg).toContain('a &lt; b &amp; &quot;c&quot;')
    expect(svg).toContain('Some &lt;CPU&gt; &amp; more')
    const opened = [...svg.matchAll(/<(\w+)(?:\s[^<>]*?)?(\/?)>/g)]
      .filter((match) => match[2] === '')
      .map((match) => match[1])
    const closed = [...svg.matchAll(/<\/(\w+)>/g)].map((match) => match[1])
    expect(opened.sort()).toEqual(closed.sort())
  })

  it('leaves out what is not meant for it', () => {
    const svg = renderChart(benchResults([resultRow(), resultRow({ charted: false })]))
    expect(bars(svg)).toHaveLength(1)
  })

  it('changes its colours with the page', () => {
    expect(renderChart(benchResults([resultRow()]))).toContain('@media (prefers-color-scheme: dark)')
  })
})
