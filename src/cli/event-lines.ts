/** What of a run stays on the screen: one line per thing that happened. */
import type { ProgressEvent, StreamReport } from '../model/report.js'
import { describeError } from './error-report.js'
import { escapeText } from './escape.js'
import { formatBytes, formatCount, formatNoun, formatSeconds } from './format.js'
import type { Terminal } from './terminal.js'

/** Of a stream that read next to nothing a rate says nothing. */
const WORTH_A_RATE_BYTES = 1e6

/** None for events that only move the bars. */
export function describeEvent(event: ProgressEvent, terminal: Terminal): readonly string[] {
  const { style } = terminal
  switch (event.kind) {
    case 'run_started':
      return [style.dim(`${escapeText(event.sync)}: ${formatNoun(event.streams, 'stream')}`)]
    case 'stream_finished':
      return [describeStream(event.report, terminal)]
    case 'stream_resumed': {
      const there = `${event.partsDone} of ${formatNoun(event.parts, 'part')} and ${formatNoun(event.rows, 'row')} are there`
      return [style.dim(`${escapeText(event.stream)}: going on with a load that was interrupted, ${there}`)]
    }
    // The log says these.
    case 'retry':
    case 'warning':
    case 'stream_started':
    case 'stream_progress':
    case 'pressure':
    case 'run_finished':
      return []
  }
}

export function describeStream(report: StreamReport, { style }: Terminal): string {
  const { verified } = report
  const name = escapeText(report.stream)
  if (report.outcome === 'failed') {
    const error = report.error === null ? 'failed' : describeError(report.error)
    return `${style.red('✗')} ${name}: ${error}`
  }
  if (report.outcome === 'skipped' || report.outcome === 'paused')
    return `${style.dim('–')} ${name}: ${report.outcome}`
  const parts =
    report.outcome === 'unchanged'
      ? ['unchanged']
      : [
          `${formatNoun(report.rowsLanded, 'row')}`,
          ...(report.rowsDeleted > 0 ? [`${formatCount(report.rowsDeleted)} deleted`] : []),
        ]
  if (verified?.equal === true) parts.push(style.green('every value equal'))
  else if (verified) {
    parts.push(
      style.red(
        `${formatCount(verified.missing)} missing and ${formatCount(verified.unexpected)} unexpected at the destination`,
      ),
    )
  }
  const seconds = Math.max(report.seconds, 0.001)
  const rate = report.bytesRead >= WORTH_A_RATE_BYTES ? `, ${formatBytes(report.bytesRead / seconds)}/s` : ''
  const mark = verified?.equal === false ? style.red('≠') : style.green('✓')
  // That a first load reads everything is no news.
  const why =
    report.generation > 1 && report.fullLoadReason !== null ? `. ${escapeText(report.fullLoadReason)}` : ''
  return `${mark} ${name}: ${parts.join(', ')} ${style.dim(`in ${formatSeconds(report.seconds)}${rate}${why}`)}`
}
