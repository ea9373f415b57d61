import { expect, test } from 'vitest'
import { renderBars } from '../../src/cli/progress-bars.js'
import { addEvent, createProgressState, totalsOf } from '../../src/cli/progress-state.js'
import type { ProgressState } from '../../src/cli/progress-state.js'
import type { StreamReport } from '../../src/model/report.js'

function start(streams: number): ProgressState {
  const state = createProgressState(0)
  addEvent(state, { kind: 'run_started', runId: 'r', sync: 's', streams }, 0)
  return state
}

const begin = (state: ProgressState, stream: string, expectedRows: number | null, atMs: number): void => {
  addEvent(state, { kind: 'stream_started', stream, mode: 'mirror', expectedRows, full: true }, atMs)
}
const progress = (state: ProgressState, stream: string, rows: number, atMs: number): void => {
  addEvent(state, { kind: 'stream_progress', stream, rows, bytes: rows * 100 }, atMs)
}
const finish = (state: ProgressState, stream: string, rowsRead: number, atMs: number): void => {
  addEvent(
    state,
    { kind: 'stream_finished', report: { stream, rowsRead, bytesRead: rowsRead * 100 } as StreamReport },
    atMs,
  )
}

test('rows, rates and what is left add up over the streams', () => {
  const state = start(2)
  begin(state, 'a', 1000, 0)
  begin(state, 'b', 3000, 0)
  progress(state, 'a', 500, 1000)
  progress(state, 'b', 500, 1000)
  const totals = totalsOf(state, 1000)
  expect(totals).toMatchObject({
    rows: 1000,
    bytes: 100_000,
    rowsPerSecond: 1000,
    share: 0.25,
    secondsLeft: 3,
    finishedStreams: 0,
  })
})

test('no end is foretold before every stream is known', () => {
  const state = start(3)
  begin(state, 'a', 1000, 0)
  begin(state, 'b', null, 0)
  progress(state, 'a', 500, 1000)
  expect(totalsOf(state, 1000)).toMatchObject({ secondsLeft: null, share: null })
})

test('the rate is of the last seconds: a stall shows', () => {
  const state = start(1)
  begin(state, 'a', 10_000, 0)
  for (let second = 1; second <= 10; second++) progress(state, 'a', second * 100, second * 1000)
  for (let second = 11; second <= 20; second++) progress(state, 'a', 1000, second * 1000)
  expect(totalsOf(state, 20_000).rowsPerSecond).toBe(0)
})

test('an estimate that was too low never shows more than the whole', () => {
  const state = start(1)
  begin(state, 'a', 10, 0)
  progress(state, 'a', 1000, 1000)
  expect(totalsOf(state, 1000).share).toBe(1)
  const [line] = renderBars(state, 1000, 120)
  expect(line).toContain('████████████████████')
})

test('a stream that is read again starts from nothing', () => {
  const state = start(1)
  begin(state, 'a', 1000, 0)
  progress(state, 'a', 900, 1000)
  begin(state, 'a', 1000, 2000)
  expect(totalsOf(state, 2000).rows).toBe(0)
})

test('bars show running streams and a total, within the width of the terminal', () => {
  const state = start(12)
  for (let index = 0; index < 11; index++) {
    begin(state, `public.a_table_with_a_long_name_${index}`, 100, 0)
    progress(state, `public.a_table_with_a_long_name_${index}`, 50, 500)
  }
  finish(state, 'public.a_table_with_a_long_name_0', 100, 600)
  const lines = renderBars(state, 1000, 60)
  expect(lines).toHaveLength(10)
  expect(lines[8]).toBe('… and 2 more')
  expect(lines[9]).toContain('1/12 streams')
  for (const line of lines) expect(line.length).toBeLessThan(60)
})
