import { describe, expect, it } from 'vitest'
import { renderChart } from '../../bench/render-chart.js'
import { absentJob, benchResults, resultRow, spread } from './results.js'

const bars = (svg: string): number[] =>
  [...svg.matchAll(/<rect class="bar [a-z]+" [^>]*width="([\d.]+)"/g)].map((match) => Number(match[1]))

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
    const start = Number(/class="bar [a-z]+" x="([\d.]+)"/.exec(svg)?.[1])
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

  it('cuts a bar off that would make all others the same, and says its value', () => {
    const svg = renderChart(
      benchResults([resultRow({ ratio: spread(1) }), resultRow({ job: 'slow', ratio: spread(60) })]),
    )
    const [one, slow] = bars(svg)
    expect(slow).toBeCloseTo((one ?? 0) * 6, 0)
    expect(svg.match(/class="cut"/g)).toHaveLength(2)
    expect(svg).toContain('>60.00, ')
  })

  it('draws a panel per task and table, with other programs in their own colour and the absent ones named', () => {
    const svg = renderChart(
      benchResults(
        [
          resultRow({ group: 'readers', title: 'alone' }),
          resultRow({ group: 'readers', dataSet: 'events', title: 'events' }),
          resultRow({ group: 'peers', title: 'beside' }),
          resultRow({ group: 'peers', by: 'peer', job: 'other', title: 'other' }),
        ],
        { absent: [absentJob({ title: 'third', reason: 'it needs <that>' })] },
      ),
    )
    expect([...svg.matchAll(/class="panel"[^>]*>([^<]*)</g)].map((match) => match[1])).toEqual([
      'table to DuckDB file: narrow, 10 M rows',
      'table to DuckDB file: events, 10 M rows',
    ])
    expect(svg).not.toContain('alone')
    expect(svg.match(/class="bar peer"/g)).toHaveLength(1)
    expect(svg.match(/class="bar trunkline"/g)).toHaveLength(2)
    expect(svg).toContain('Did not run: third (it needs &lt;that&gt;).')
  })

  it('changes its colours with the page', () => {
    expect(renderChart(benchResults([resultRow()]))).toContain('@media (prefers-color-scheme: dark)')
  })
})
