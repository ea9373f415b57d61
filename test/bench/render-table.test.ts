import { describe, expect, it } from 'vitest'
import { formatCount, renderMarkdown, renderTerminal } from '../../bench/render-table.js'
import { replaceSection } from '../../bench/save-results.js'
import { benchResults, resultRow, spread } from './results.js'

const MIB = 1024 * 1024

describe('counts', () => {
  it.each([
    [0, '0'],
    [999, '999'],
    [1000, '1 k'],
    [123_456, '123 k'],
    [999_499, '999 k'],
    [999_500, '1 M'],
    [1_234_567, '1.2 M'],
    [10_000_000, '10 M'],
  ])('%d is shown as %s', (count, text) => {
    expect(formatCount(count)).toBe(text)
  })
})

describe('the table', () => {
  it('shows rates over the median wall time, the ratio with its ends, CPU of both sides and the highest peak', () => {
    const line = renderMarkdown(benchResults([resultRow()]))
      .split('\n')
      .find((each) => each.startsWith('| table to DuckDB file'))
    expect(line).toBe(
      '| table to DuckDB file | narrow, 10 M rows | 2.00 | 5 M | 170 | 1.25 (1.10–1.50) | ≤ 1.40 | 2.50 | 1.45 | 240 | 5 of 5 |',
    )
  })

  it('leaves out what a job without a table does not have, and marks what the system does not tell', () => {
    const row = resultRow({
      title: 'help',
      dataSet: null,
      rowCount: null,
      copyBytes: null,
      target: null,
      clientCpuSeconds: null,
      serverCpuSeconds: null,
      peakRssBytes: null,
      checkedRuns: null,
    })
    expect(renderMarkdown(benchResults([row]))).toContain(
      '| help |  | 2.00 |  |  | 1.25 (1.10–1.50) |  | – | – | – |  |',
    )
  })

  it('says when, which commit, which machine and which versions', () => {
    const text = renderTerminal(benchResults([resultRow()]))
    expect(text).toContain(
      '2026-01-02, commit abc1234, Some <CPU> & more, 2 cores, 24 GiB, Linux 6.1, Node v20.1.0, PostgreSQL 18.4',
    )
  })

  it('names each baseline once with its spread, and every command line with its version', () => {
    const row = resultRow()
    const slower = { ...row.baseline, wallSeconds: spread(2, 1.8, 2.2) }
    const text = renderMarkdown(benchResults([row, resultRow({ title: 'another', baseline: slower })]))
    expect(text.match(/^Baseline /gm)).toHaveLength(1)
    expect(text).toContain('1.80 s (1.50–2.20)')
    expect(text).toContain('| trunkline 0.1.0 | `trunkline sync "$SOURCE" narrow.duckdb` |')
    expect(text).toContain("| psql (PostgreSQL) 15.18 | `psql -c 'COPY narrow' > /dev/null` |")
  })

  it('names what could not run and why', () => {
    const absent = [{ job: 'other-tool', reason: 'other-tool is not installed' }]
    expect(renderTerminal(benchResults([], { absent }))).toContain(
      'Not run: other-tool: other-tool is not installed.',
    )
  })

  it('holds the peak of a whole table against that of a part of it', () => {
    const small = resultRow({ dataSet: 'narrow_1m', rowCount: 1_000_000, peakRssBytes: spread(200 * MIB) })
    const text = renderTerminal(benchResults([small, resultRow()]))
    expect(text).toContain('narrow: 200 MiB at 1 M rows, 240 MiB at 10 M (+20 %)')
  })

  it('keeps a bar inside a cell from ending it', () => {
    const row = resultRow({ commandLine: 'a | b' })
    expect(renderMarkdown(benchResults([row]))).toContain('`a \\| b`')
  })

  it('lines its columns up on a terminal', () => {
    const lines = renderTerminal(
      benchResults([resultRow(), resultRow({ title: 'a much longer title than that' })]),
    )
      .split('\n')
      .filter((line) => line.includes('narrow, 10 M rows'))
    expect(lines).toHaveLength(2)
    expect(new Set(lines.map((line) => line.indexOf('narrow, 10 M')))).toHaveProperty('size', 1)
    expect(new Set(lines.map((line) => line.indexOf('1.25 (')))).toHaveProperty('size', 1)
  })
})

describe('the section of a page', () => {
  const page =
    'before\n<!-- bench: begin, written by npm run bench -- --save -->\nold\n<!-- bench: end -->\nafter\n'

  it('is replaced and nothing beside it', () => {
    expect(replaceSection(page, 'new\n')).toBe(
      'before\n<!-- bench: begin, written by npm run bench -- --save -->\n\nnew\n\n<!-- bench: end -->\nafter\n',
    )
  })

  it('can be replaced again', () => {
    expect(replaceSection(replaceSection(page, 'first'), 'second')).toBe(replaceSection(page, 'second'))
  })

  it('must be there', () => {
    expect(() => replaceSection('no marks', 'new')).toThrow('bench: begin')
  })
})
