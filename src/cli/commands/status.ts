/** `trunkline status`: what is at a destination and how old it is; `--max-age` makes age an exit code, for monitoring. */
import { parseDuration } from '../../config/quantity.js'
import { findRunInProgress, openDestination, redact } from '../../connectors.js'
import type { Environment } from '../../config/interpolate.js'
import type { RunInProgress } from '../../connectors.js'
import type { StreamState, SyncState } from '../../destination/contract.js'
import { TrunklineError } from '../../model/error.js'
import type { FileFlags, StatedDestination } from '../arguments.js'
import { openSetting, toDestinationText } from '../arguments.js'
import { escapeText } from '../escape.js'
import { EXIT } from '../exit-code.js'
import { formatCount, formatNoun, formatSeconds, formatTable } from '../format.js'
import { printJson } from '../json-result.js'
import type { OutputFlags, Terminal } from '../terminal.js'

interface StatusFlags extends OutputFlags, FileFlags {
  readonly maxAge?: string
  readonly sync?: string
}

interface StreamStatus {
  readonly sync: string
  readonly stream: string
  readonly table: string
  readonly committedAt: string
  readonly ageSeconds: number
  readonly generation: number
  readonly runSeq: number
  readonly state: 'ok' | 'paused' | 'skipped' | 'resync'
  /** How far a load that was interrupted is; null where there is none. */
  readonly partial: { readonly parts: number; readonly remaining: number; readonly rows: number } | null
  readonly tooOld: boolean
}

export async function runStatusCommand(
  terminal: Terminal,
  args: readonly string[],
  flags: StatusFlags,
): Promise<number> {
  const maxAgeMs = flags.maxAge === undefined ? null : toMaxAge(flags.maxAge)
  const setting = await openSetting(flags)
  const stated = await toDestinationText(setting, args[0], flags.sync)
  const { destination } = stated
  const running = await findRunInProgress(destination)
  const states = await readStates(stated, running, setting.env)
  const nowMs = Date.now()
  const streams = states?.flatMap((state) => toStatuses(state, nowMs, maxAgeMs)) ?? []

  if (terminal.json)
    await printJson(terminal, { kind: 'status', running, streams: states === null ? null : streams })
  else
    await terminal.out(`${describeStatus(destination, running, states === null ? null : streams, nowMs)}\n`)

  if (maxAgeMs === null) return EXIT.done
  // While a run holds the file its age cannot be read: that the run started in time is what counts then.
  if (states === null)
    return running !== null && nowMs - Date.parse(running.startedAt) <= maxAgeMs ? EXIT.done : EXIT.failed
  return streams.length === 0 || streams.some(({ tooOld }) => tooOld) ? EXIT.failed : EXIT.done
}

/** Null while a run holds the file. */
async function readStates(
  { destination: text, place, sync }: StatedDestination,
  running: RunInProgress | null,
  env: Environment,
): Promise<readonly SyncState[] | null> {
  await using destination = await openDestination(text, { env, place })
  try {
    return await destination.readState(sync)
  } catch (error) {
    if (running !== null && error instanceof TrunklineError && error.code === 'DESTINATION_LOCKED')
      return null
    throw error
  }
}

function toStatuses(state: SyncState, nowMs: number, maxAgeMs: number | null): readonly StreamStatus[] {
  return [...state.streams.values()].map((stream) => {
    const ageMs = Math.max(0, nowMs - stream.committedAt.getTime())
    const condition = conditionOf(stream)
    return {
      sync: state.sync,
      stream: stream.stream,
      table: `${stream.table.schema}.${stream.table.name}`,
      committedAt: stream.committedAt.toISOString(),
      ageSeconds: Math.round(ageMs / 1000),
      generation: stream.generation,
      runSeq: stream.runSeq,
      state: condition,
      partial: partialOf(stream),
      // What was never committed is as old as can be.
      tooOld:
        maxAgeMs !== null &&
        (ageMs > maxAgeMs || stream.runSeq === 0) &&
        condition !== 'paused' &&
        condition !== 'skipped',
    }
  })
}

function partialOf({ partial }: StreamState): StreamStatus['partial'] {
  if (partial === null) return null
  const { parts, remaining, rows } = partial.progress
  return { parts, remaining: remaining.length, rows }
}

function conditionOf(stream: StreamState): StreamStatus['state'] {
  if (stream.skipped) return 'skipped'
  if (stream.paused) return 'paused'
  return stream.checkpoint === null ? 'resync' : 'ok'
}

function describeStatus(
  destination: string,
  running: RunInProgress | null,
  streams: readonly StreamStatus[] | null,
  nowMs: number,
): string {
  const lines: string[] = []
  if (running !== null) {
    const seconds = Math.max(0, (nowMs - Date.parse(running.startedAt)) / 1000)
    lines.push(
      escapeText(
        `Running: ${running.sync}, process ${running.pid} on ${running.host}, for ${formatSeconds(seconds)}; ` +
          `${formatNoun(running.rows, 'row')} so far, ${formatNoun(running.committedStreams, 'stream')} committed.`,
      ),
    )
  }
  if (streams === null) return lines.join('\n')
  if (streams.length === 0)
    return [...lines, `${escapeText(redact(destination))}: nothing was synced yet.`].join('\n')
  const heading = ['SYNC', 'STREAM', 'TABLE', 'AGE', 'RUNS', 'GENERATION', 'STATE']
  const rows = streams.map((status) => [
    escapeText(status.sync),
    escapeText(status.stream),
    escapeText(status.table),
    formatSeconds(status.ageSeconds),
    formatCount(status.runSeq),
    formatCount(status.generation),
    describeCondition(status),
  ])
  return [...lines, formatTable([heading, ...rows], new Set([3, 4, 5]))].join('\n')
}

function describeCondition({ state, partial, tooOld }: StreamStatus): string {
  const loading =
    partial === null
      ? []
      : [`${partial.parts - partial.remaining} of ${partial.parts} parts of a load are there`]
  return [state, ...loading, ...(tooOld ? ['too old'] : [])].join(', ')
}

function toMaxAge(text: string): number {
  const milliseconds = parseDuration(text)
  if (milliseconds !== null) return milliseconds
  throw new TrunklineError('CONFIG_INVALID', '--max-age: must be a duration with its unit.', {
    hint: 'Write --max-age 2h, or 30m.',
  })
}
