/** How a run shows while it goes on: bars on a terminal, lines elsewhere, events for programs (and bars for whoever
 * looks on), nothing with -q but what went wrong. */
import { EVENT_VERSION, type ProgressEvent } from '../model/report.js'
import { escapeJson } from './escape.js'
import { describeEvent, describeStream } from './event-lines.js'
import { formatBytes, formatCount, formatNoun, formatSeconds } from './format.js'
import { createBars } from './progress-bars.js'
import { addEvent, createProgressState, totalsOf } from './progress-state.js'
import type { Terminal } from './terminal.js'

const LINE_INTERVAL_MS = 10_000

export interface ProgressView {
  /** Begins to draw: until then the terminal belongs to others. */
  start(): void
  readonly onProgress: (event: ProgressEvent) => void
  /** A line that must not be overwritten. */
  note(line: string): void
  /** Takes down what is drawn; waits until what was said is out. */
  close(): Promise<void>
}

export function createProgressView(terminal: Terminal): ProgressView {
  if (terminal.json) return createEventView(terminal, watched(terminal) ? createBars(terminal) : null)
  if (terminal.quiet) return createQuietView(terminal)
  return terminal.interactive ? createBars(terminal) : createLineView(terminal)
}

/** Somebody looks on while a program takes the events. */
function watched(terminal: Terminal): boolean {
  return terminal.interactive && !terminal.quiet && !terminal.outIsTerminal
}

function createEventView(terminal: Terminal, bars: ProgressView | null): ProgressView {
  let written = Promise.resolve()
  return {
    start: () => bars?.start(),
    onProgress: (event) => {
      written = written.then(() => terminal.out(formatEvent(event)))
      bars?.onProgress(event)
    },
    note: (line) => {
      if (bars === null) terminal.note(line)
      else bars.note(line)
    },
    close: async () => {
      await bars?.close()
      await written
    },
  }
}

/** One event as one line; `docs/reference/trunkline-events.schema.json` describes it. */
export function formatEvent(event: object): string {
  return `${escapeJson(JSON.stringify({ v: EVENT_VERSION, ...event }))}\n`
}

/** Without a word on what failed nobody could tell why a run by cron ended with another code than 0. */
function createQuietView(terminal: Terminal): ProgressView {
  return {
    start: () => undefined,
    onProgress: (event) => {
      if (event.kind !== 'stream_finished') return
      const { outcome, verified } = event.report
      if (outcome === 'failed' || verified?.equal === false)
        terminal.note(describeStream(event.report, terminal))
    },
    note: (line) => {
      terminal.note(line)
    },
    close: () => Promise.resolve(),
  }
}

function createLineView(terminal: Terminal): ProgressView {
  const state = createProgressState(Date.now())
  let lastLineMs = Date.now()
  return {
    start: () => undefined,
    onProgress: (event) => {
      const nowMs = Date.now()
      addEvent(state, event, nowMs)
      for (const line of describeEvent(event, terminal)) {
        terminal.note(line)
        lastLineMs = nowMs
      }
      if (event.kind !== 'stream_progress' || nowMs - lastLineMs < LINE_INTERVAL_MS) return
      lastLineMs = nowMs
      const totals = totalsOf(state, nowMs)
      const left = totals.secondsLeft === null ? '' : `, about ${formatSeconds(totals.secondsLeft)} left`
      terminal.note(
        `${totals.finishedStreams} of ${formatNoun(state.streamCount, 'stream')} done, ${formatNoun(totals.rows, 'row')}, ` +
          `${formatCount(totals.rowsPerSecond)} rows/s, ${formatBytes(totals.bytesPerSecond)}/s${left}`,
      )
    },
    note: (line) => {
      terminal.note(line)
    },
    close: () => Promise.resolve(),
  }
}
