/** What the progress events of a run add up to. Pure: the clock is handed in. */
import type { ProgressEvent, StreamReport } from '../model/report.js'

/** Rates are of the last seconds, so that a stall shows. */
const RATE_WINDOW_MS = 5000

export interface StreamProgress {
  readonly stream: string
  readonly full: boolean
  readonly expectedRows: number | null
  readonly startedMs: number
  rows: number
  bytes: number
  finished: boolean
}

interface Sample {
  readonly atMs: number
  readonly rows: number
  readonly bytes: number
}

export interface ProgressState {
  streamCount: number
  startedMs: number
  readonly streams: Map<string, StreamProgress>
  readonly samples: Sample[]
}

export interface Totals {
  readonly rows: number
  readonly bytes: number
  readonly rowsPerSecond: number
  readonly bytesPerSecond: number
  readonly finishedStreams: number
  /** Null where no end can be foreseen. */
  readonly secondsLeft: number | null
  /** 0 to 1; null where the size is not known. */
  readonly share: number | null
}

export function createProgressState(nowMs: number): ProgressState {
  return { streamCount: 0, startedMs: nowMs, streams: new Map(), samples: [] }
}

export function addEvent(state: ProgressState, event: ProgressEvent, nowMs: number): void {
  switch (event.kind) {
    case 'run_started':
      state.streamCount = event.streams
      state.startedMs = nowMs
      state.samples.splice(0, Infinity, { atMs: nowMs, rows: 0, bytes: 0 })
      return
    case 'stream_started': {
      const { stream, full, expectedRows } = event
      const fresh = { stream, full, expectedRows, startedMs: nowMs, rows: 0, bytes: 0, finished: false }
      state.streams.set(stream, fresh)
      return
    }
    case 'stream_progress': {
      const progress = state.streams.get(event.stream)
      if (progress === undefined) return
      progress.rows = event.rows
      progress.bytes = event.bytes
      sample(state, nowMs)
      return
    }
    case 'stream_finished':
      finish(state, event.report, nowMs)
      return
    case 'retry':
    case 'pressure':
    case 'stream_resumed':
    case 'warning':
    case 'run_finished':
      return
  }
}

export function totalsOf(state: ProgressState, nowMs: number): Totals {
  const { rows, bytes } = sums(state)
  const first = state.samples.find(({ atMs }) => nowMs - atMs <= RATE_WINDOW_MS) ??
    state.samples.at(-1) ?? { atMs: state.startedMs, rows: 0, bytes: 0 }
  const seconds = Math.max(0.001, (nowMs - first.atMs) / 1000)
  // A stream that is read again takes its rows back.
  const rowsPerSecond = Math.max(0, rows - first.rows) / seconds
  const streams = [...state.streams.values()]
  const started = streams.length
  const known = started > 0 && started >= state.streamCount && streams.every(hasKnownSize)
  const expected = streams.reduce((sum, stream) => sum + Math.max(stream.rows, stream.expectedRows ?? 0), 0)
  return {
    rows,
    bytes,
    rowsPerSecond,
    bytesPerSecond: Math.max(0, bytes - first.bytes) / seconds,
    finishedStreams: streams.filter(({ finished }) => finished).length,
    secondsLeft: known && rowsPerSecond > 0 ? (expected - rows) / rowsPerSecond : null,
    share: known && expected > 0 ? rows / expected : null,
  }
}

function hasKnownSize(stream: StreamProgress): boolean {
  return stream.finished || stream.expectedRows !== null
}

function finish(state: ProgressState, report: StreamReport, nowMs: number): void {
  const started = state.streams.get(report.stream)
  const { rowsRead: rows, bytesRead: bytes } = report
  state.streams.set(report.stream, {
    stream: report.stream,
    full: started?.full ?? false,
    expectedRows: rows,
    startedMs: started?.startedMs ?? nowMs,
    rows,
    bytes,
    finished: true,
  })
  sample(state, nowMs)
}

function sample(state: ProgressState, nowMs: number): void {
  const { samples } = state
  samples.push({ atMs: nowMs, ...sums(state) })
  // One sample older than the window is kept as its start.
  while (samples.length > 2 && nowMs - (samples[1]?.atMs ?? nowMs) > RATE_WINDOW_MS) samples.shift()
}

function sums(state: ProgressState): { readonly rows: number; readonly bytes: number } {
  let rows = 0
  let bytes = 0
  for (const stream of state.streams.values()) {
    rows += stream.rows
    bytes += stream.bytes
  }
  return { rows, bytes }
}
