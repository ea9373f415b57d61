import { describe, expect, it } from 'vitest'
import { formatCount } from '../../bench/format-result.js'
import { renderMarkdown, renderTerminal } from '../../bench/render-table.js'
import { replaceSection } from '../../bench/save-results.js'
import { absentJob, benchResults, impactRow, resultRow, spread } from './results.js'

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

  it('marks what the system does not tell, and leaves out columns that nothing in the group has', () => {
    const row = resultRow({
      group: 'start',
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
    const text = renderMarkdown(benchResults([row]))
    expect(text).toContain(
      '| job | wall s | ratio (min–max) | CPU s, client | CPU s, server | peak MiB |\n| --- | ---: | ---: | ---: | ---: | ---: |\n| help | 2.00 | 1.25 (1.10–1.50) | – | – | – |',
    )
  })

  it('says which machine and which versions, and for each group when and which commit', () => {
    const text = renderTerminal(benchResults([resultRow()]))
    expect(text).toContain('Some <CPU> & more, 2 cores, 24 GiB, Linux 6.1, Node v20.1.0, PostgreSQL 18.4')
    expect(text).toContain('Measured 2026-01-02, commit abc1234, in 5 rounds.')
  })

  it('says of each row when it was measured, where that is not the same for all of a group', () => {
    const later = resultRow({
      job: 'duckdb-2',
      title: 'later',
      measuredAt: '2026-02-03T00:00:00.000Z',
      commit: 'def',
    })
    const text = renderMarkdown(benchResults([resultRow(), later]))
    expect(text).toMatch(/^\| later .*\| 2026-02-03, commit def \|$/m)
    expect(text).toMatch(/^\| table to DuckDB file.*\| 2026-01-02, commit abc1234 \|$/m)
    expect(text).toContain('Measured 2026-01-02, commit abc1234; 2026-02-03, commit def,')
  })

  it('names each baseline once with its spread, and every command line with its version', () => {
    const row = resultRow()
    const slower = { ...row.baseline, wallSeconds: spread(2, 1.8, 2.2) }
    const text = renderMarkdown(benchResults([row, resultRow({ title: 'another', baseline: slower })]))
    expect(text).toContain('Baselines: psql COPY, narrow: 1.80 s (1.50–2.20).')
    expect(text).toContain('| trunkline 0.1.0 | `trunkline sync "$SOURCE" narrow.duckdb` |')
    expect(text).toContain("| psql (PostgreSQL) 15.18 | `psql -c 'COPY narrow' > /dev/null` |")
  })

  it('names what could not run and why', () => {
    const absent = [absentJob({ title: 'other tool', reason: 'other-tool is not installed' })]
    expect(renderTerminal(benchResults([], { absent }))).toContain(
      'Not run: other tool: other-tool is not installed.',
    )
  })

  it('shows the ratio to the reference of the same rounds under the name of what it is', () => {
    const against = { title: 'one reader', timePerRow: spread(0.7, 0.6, 0.8), peakRss: null }
    const text = renderMarkdown(benchResults([resultRow({ against })]))
    expect(text).toContain('| of one reader |')
    expect(text).toContain('| 0.70 (0.60–0.80) |')
  })

  it('shows time for each row and memory against those of the smallest size where sizes are compared', () => {
    const against = { title: 'narrow_1m', timePerRow: spread(0.9), peakRss: spread(1.2) }
    const text = renderMarkdown(benchResults([resultRow({ group: 'scaling', against })]))
    expect(text).toContain('| ns/row | ratio (min–max) | ns/row, of 1 M |')
    expect(text).toContain('| 200 | 1.25 (1.10–1.50) | 0.90 (0.90–0.90) |')
    expect(text).toContain('| 1.20 (1.20–1.20) |')
  })

  it('says over which path a row was measured, where it is not the plain one, with the round trip as it was', () => {
    const path = { name: 'delay_20ms', title: 'TCP, 20 ms of round trip', roundTripMs: 20.64 } as const
    const text = renderMarkdown(benchResults([resultRow({ group: 'conditions', path })]))
    expect(text).toContain('| TCP, 20 ms of round trip (20.6 ms measured) |')
    expect(text).toContain('psql COPY, narrow, TCP, 20 ms of round trip: 1.60 s')
  })

  it('says what a check looked at that was not every column', () => {
    const text = renderTerminal(benchResults([resultRow({ checkedAs: 'number of rows' })]))
    expect(text).toContain('not the checksum of every column: number of rows (table to DuckDB file).')
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

  it('shows latencies beside each load, and their ratios to those without', () => {
    const impact = [
      impactRow(),
      impactRow({
        load: 'psql',
        title: 'beside psql',
        p99Ms: spread(9),
        p99Ratio: spread(3),
        rowsPerSecond: 5e5,
      }),
    ]
    const text = renderMarkdown(benchResults([], { impact }))
    expect(text).toContain('| pgbench alone | 1.00 | 3.00 |  |  | 9 k |  |')
    expect(text).toContain('| beside psql | 1.00 | 9.00 |  | 3.00 (3.00–3.00) | 9 k | 500 k |')
    expect(text).toContain('200 transactions a second, windows of 15 s, 5 of each in turns.')
  })
})

describe('the comparison with other programs', () => {
  const ours = resultRow({ group: 'peers' })
  const theirs = resultRow({
    group: 'peers',
    by: 'peer',
    job: 'other',
    title: 'other',
    wallSeconds: spread(3),
    peakRssBytes: spread(100 * MIB),
  })

  it('says who was ahead of those that ran, and names those that did not', () => {
    const absent = [
      absentJob({ title: 'third' }),
      absentJob({ title: 'of another task', task: 'something else' }),
    ]
    expect(renderTerminal(benchResults([ours, theirs], { absent }))).toContain(
      'of 2 that ran, least time: table to DuckDB file; least memory: other. Did not run: third.',
    )
  })

  it('says that Trunkline does not do it yet, where it does not', () => {
    expect(renderTerminal(benchResults([theirs]))).toContain('Trunkline: not yet.')
    expect(renderTerminal(benchResults([ours, theirs]))).not.toContain('not yet')
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
