/** The end of a run on stdout: what it did in a line, and a query to go on with. */
import type { Destination } from '../destination/contract.js'
import type { RunReport, StreamReport } from '../model/report.js'
import { escapeText } from './escape.js'
import { formatBytes, formatCount, formatNoun, formatSeconds } from './format.js'
import type { Terminal } from './terminal.js'

const WORTH_A_RATE_BYTES = 1e6

export async function printRunResult(
  terminal: Terminal,
  report: RunReport,
  destination: Destination,
): Promise<void> {
  const { streams } = report
  const failed = streams.filter(({ outcome }) => outcome === 'failed').length
  const parts = [
    formatNoun(streams.length, 'stream'),
    ...(failed > 0 ? [`${formatCount(failed)} failed`] : []),
    `${formatNoun(report.rowsLanded, 'row')} landed`,
    ...(report.rowsDeleted > 0 ? [`${formatCount(report.rowsDeleted)} deleted`] : []),
    formatSeconds(report.seconds),
    // Of a run that read next to nothing a rate says nothing.
    ...(report.bytesRead < WORTH_A_RATE_BYTES
      ? []
      : [`${formatBytes(report.bytesRead / Math.max(report.seconds, 0.001))}/s`]),
    `${formatBytes(report.peakMemoryBytes)} peak memory`,
  ]
  await terminal.out(
    `${escapeText(report.sync)} → ${escapeText(destination.description)}: ${parts.join(', ')}\n`,
  )
  const query = await findExampleQuery(report, destination)
  if (query !== null) await terminal.out(`${linesOf(query).map(escapeText).join('\n')}\n`)
}

/** A command of the reader's shell (`.read …`) is a line before the query; any other break of a line is one in a name. */
function linesOf(query: string): readonly string[] {
  const end = query.startsWith('.') ? query.indexOf('\n') : -1
  return end === -1 ? [query] : [query.slice(0, end), query.slice(end + 1)]
}

/** About the stream with the most rows: the one a person wants to look at. */
async function findExampleQuery(report: RunReport, destination: Destination): Promise<string | null> {
  const landed = report.streams
    .filter(({ outcome }) => outcome === 'done' || outcome === 'unchanged')
    .sort((a, b) => sizeOf(b) - sizeOf(a))
  const [largest] = landed
  if (largest === undefined) return null
  // The run is over and complete: that its state cannot be read a second time is not worth an error.
  const states = await destination.readState(report.sync).catch(() => [])
  const table = states.find(({ sync }) => sync === report.sync)?.streams.get(largest.stream)?.table
  return table === undefined ? null : destination.exampleQuery(table)
}

function sizeOf(report: StreamReport): number {
  return report.destinationCount ?? report.rowsLanded
}
