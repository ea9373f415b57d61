/** The bars: one line per stream that is being read and one for the run, drawn in place at the foot of the screen. */
import { escapeText } from './escape.js'
import { describeEvent } from './event-lines.js'
import { clip, displayWidth, formatBytes, formatCount, formatNoun, formatSeconds } from './format.js'
import type { StreamProgress } from './progress-state.js'
import { addEvent, createProgressState, totalsOf } from './progress-state.js'
import type { ProgressView } from './progress-view.js'

import type { Terminal } from './terminal.js'

const FRAME_MS = 100
const MAX_STREAM_LINES = 8
const BAR_WIDTH = 20
const HIDE_CURSOR = '\u001b[?25l'
const SHOW_CURSOR = '\u001b[?25h'
const CLEAR_DOWN = '\u001b[J'

export function createBars(terminal: Terminal): ProgressView {
  const state = createProgressState(Date.now())
  let timer: NodeJS.Timeout | null = null
  let drawn = 0

  const erase = (): string => (drawn === 0 ? '' : `\u001b[${drawn}A\r${CLEAR_DOWN}`)
  const draw = (above: readonly string[] = []): void => {
    const lines = timer === null ? [] : renderBars(state, Date.now(), terminal.columns)
    terminal.raw(erase() + [...above, ...lines].map((line) => `${line}\n`).join(''))
    drawn = lines.length
  }
  const restoreCursor = (): void => {
    terminal.raw(SHOW_CURSOR)
  }
  return {
    start: () => {
      terminal.raw(HIDE_CURSOR)
      process.on('exit', restoreCursor)
      timer = setInterval(() => {
        draw()
      }, FRAME_MS)
      timer.unref()
    },
    onProgress: (event) => {
      addEvent(state, event, Date.now())
      const above = describeEvent(event, terminal)
      if (above.length > 0) draw(above)
    },
    note: (line) => {
      draw([line])
    },
    close: () => {
      if (timer === null) return Promise.resolve()
      clearInterval(timer)
      timer = null
      terminal.raw(erase())
      drawn = 0
      restoreCursor()
      process.off('exit', restoreCursor)
      return Promise.resolve()
    },
  }
}

/** Exported for its test: the lines as they stand at one instant. */
export function renderBars(
  state: ReturnType<typeof createProgressState>,
  nowMs: number,
  columns: number,
): readonly string[] {
  const running = [...state.streams.values()].filter(({ finished }) => !finished)
  const shown = running.slice(0, MAX_STREAM_LINES)
  const nameWidth = Math.min(
    32,
    shown.reduce((width, { stream }) => Math.max(width, displayWidth(escapeText(stream))), 0),
  )
  const lines = shown.map((stream) => renderStream(stream, nowMs, nameWidth))
  if (running.length > shown.length) lines.push(`… and ${running.length - shown.length} more`)

  const totals = totalsOf(state, nowMs)
  const left = totals.secondsLeft === null ? '' : `  ETA ${formatSeconds(totals.secondsLeft)}`
  const streams =
    state.streamCount === 0 ? '' : `${totals.finishedStreams}/${formatNoun(state.streamCount, 'stream')}  `
  lines.push(
    `${renderBar(totals.share)} ${streams}${formatNoun(totals.rows, 'row')}  ${formatCount(totals.rowsPerSecond)} rows/s  ` +
      `${formatBytes(totals.bytesPerSecond)}/s${left}  ${formatSeconds((nowMs - state.startedMs) / 1000)}`,
  )
  return lines.map((line) => clip(line, columns - 1))
}

function renderStream(stream: StreamProgress, nowMs: number, nameWidth: number): string {
  const name = clip(escapeText(stream.stream), nameWidth)
  const padding = ' '.repeat(Math.max(0, nameWidth - displayWidth(name)))
  const seconds = Math.max(0.001, (nowMs - stream.startedMs) / 1000)
  const rate = stream.rows / seconds
  const expected = stream.expectedRows === null ? null : Math.max(stream.expectedRows, stream.rows)
  const left =
    expected === null || rate === 0 ? '' : `  ETA ${formatSeconds((expected - stream.rows) / rate)}`
  return (
    `${renderBar(expected === null || expected === 0 ? null : stream.rows / expected)} ${name}${padding}  ` +
    `${formatNoun(stream.rows, 'row')}  ${formatCount(rate)} rows/s  ${formatBytes(stream.bytes / seconds)}/s${left}`
  )
}

function renderBar(share: number | null): string {
  if (share === null) return `[${' '.repeat(BAR_WIDTH)}]`
  const filled = Math.min(BAR_WIDTH, Math.floor(share * BAR_WIDTH))
  return `[${'█'.repeat(filled)}${'░'.repeat(BAR_WIDTH - filled)}]`
}
