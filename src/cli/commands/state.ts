/** `trunkline state`: shows what is saved of each stream, and changes what the next run does with one. */
import { looksLikeDestination } from '../../config/destination-text.js'
import { openDestination, redact } from '../../connectors.js'
import type { Destination, StateEdit, StreamState, SyncState } from '../../destination/contract.js'
import { closestKey } from '../../model/closest-name.js'
import { TrunklineError } from '../../model/error.js'
import type { FileFlags } from '../arguments.js'
import { openSetting, toDestinationText } from '../arguments.js'
import { escapeText } from '../escape.js'
import { EXIT } from '../exit-code.js'
import { formatTable } from '../format.js'
import { printJson } from '../json-result.js'
import type { OutputFlags, Terminal } from '../terminal.js'

interface StateFlags extends OutputFlags, FileFlags {
  readonly sync?: string
}

export async function runStateShowCommand(
  terminal: Terminal,
  args: readonly string[],
  flags: StateFlags,
): Promise<number> {
  const { stream, destinationText } = splitArguments(args)
  const setting = await openSetting(flags)
  const { destination: text, place, sync } = await toDestinationText(setting, destinationText, flags.sync)
  await using destination = await openDestination(text, { env: setting.env, place })
  const states = await destination.readState(sync)
  const shown = stream === undefined ? states : states.map((state) => onlyStream(state, stream))
  if (stream !== undefined && shown.every(({ streams }) => streams.size === 0))
    throw unknownStream(states, stream)
  if (terminal.json) await printJson(terminal, { kind: 'state', syncs: shown })
  else await terminal.out(`${describeStates(text, shown)}\n`)
  return EXIT.done
}

const EDITS = {
  pause: {
    edit: { kind: 'pause', paused: true },
    done: 'paused: runs leave it out until `trunkline state resume`',
  },
  resume: { edit: { kind: 'pause', paused: false }, done: 'resumed: the next run goes on from where it was' },
  skip: { edit: { kind: 'skip' }, done: 'skipped: its rows stay as they are' },
  resync: { edit: { kind: 'resync' }, done: 'will be loaded anew by the next run' },
} as const satisfies Record<string, { readonly edit: StateEdit; readonly done: string }>

export type EditName = keyof typeof EDITS

export async function runStateEditCommand(
  name: EditName,
  terminal: Terminal,
  args: readonly string[],
  flags: StateFlags,
): Promise<number> {
  const { stream, destinationText } = splitArguments(args)
  if (stream === undefined) {
    throw new TrunklineError('CONFIG_INVALID', 'Say which STREAM.', {
      hint: `trunkline state ${name} public.orders shop.duckdb`,
    })
  }
  const setting = await openSetting(flags)
  const stated = await toDestinationText(setting, destinationText, flags.sync)
  await using destination = await openDestination(stated.destination, {
    env: setting.env,
    place: stated.place,
  })
  const sync = await findOwner(destination, stated.sync, stream)
  const { edit, done } = EDITS[name]
  await destination.editState(sync, stream, edit)
  if (terminal.json) await printJson(terminal, { kind: 'state_edited', sync, stream, edit: name })
  else await terminal.out(`${escapeText(stream)} ${done}.\n`)
  return EXIT.done
}

/** STREAM and DESTINATION are told apart by their form, in any order. */
function splitArguments(args: readonly string[]): {
  readonly stream?: string
  readonly destinationText?: string
} {
  const destinationText = args.find(looksLikeDestination)
  const stream = args.find((argument) => argument !== destinationText)
  return {
    ...(stream === undefined ? {} : { stream }),
    ...(destinationText === undefined ? {} : { destinationText }),
  }
}

async function findOwner(destination: Destination, sync: string | null, stream: string): Promise<string> {
  const states = await destination.readState(sync)
  const owners = states.filter(({ streams }) => streams.has(stream))
  const [owner] = owners
  if (owner === undefined) throw unknownStream(states, stream)
  if (owners.length === 1) return owner.sync
  throw new TrunklineError('CONFIG_INVALID', `${stream} is in several syncs of this destination.`, {
    hint: `Say which with --sync: ${owners.map((state) => state.sync).join(', ')}.`,
    context: { stream },
  })
}

function unknownStream(states: readonly SyncState[], stream: string): TrunklineError {
  const known = states.flatMap(({ streams }) => [...streams.keys()])
  const suggestion = closestKey(stream, known)
  return new TrunklineError('CONFIG_INVALID', `${stream} has no saved state at this destination.`, {
    hint: suggestion === null ? `Streams: ${known.join(', ') || 'none'}.` : `Did you mean ${suggestion}?`,
    context: { stream },
  })
}

function onlyStream(state: SyncState, stream: string): SyncState {
  const found = state.streams.get(stream)
  return { ...state, streams: new Map(found === undefined ? [] : [[stream, found]]) }
}

function describeStates(text: string, states: readonly SyncState[]): string {
  const rows = states.flatMap(({ sync, streams }) =>
    [...streams.values()].map((stream) => describeStream(sync, stream)),
  )
  if (rows.length === 0) return `${escapeText(redact(text))}: nothing was synced yet.`
  const heading = ['SYNC', 'STREAM', 'TABLE', 'GENERATION', 'RUNS', 'COMMITTED', 'READS ON FROM']
  return formatTable([heading, ...rows], new Set([3, 4]))
}

function describeStream(sync: string, stream: StreamState): readonly string[] {
  return [
    sync,
    stream.stream,
    `${stream.table.schema}.${stream.table.name}`,
    String(stream.generation),
    String(stream.runSeq),
    stream.committedAt.toISOString(),
    describePosition(stream),
  ].map(escapeText)
}

function describePosition({ checkpoint, partial, paused, skipped }: StreamState): string {
  if (skipped) return 'nothing (skipped)'
  const position =
    partial !== null
      ? `a load of which ${partial.progress.parts - partial.progress.remaining.length} of ${partial.progress.parts} parts are there`
      : checkpoint === null
        ? 'the beginning'
        : checkpoint.kind === 'horizon'
          ? `transaction ${checkpoint.horizon}`
          : checkpoint.kind === 'cursor'
            ? describeCursor(checkpoint.cursor)
            : 'the beginning, as each run does'
  return paused ? `${position} (paused)` : position
}

function describeCursor({ field, value }: { readonly field: string; readonly value: string | null }): string {
  return value === null ? `no value of ${field} yet` : `${field} ${value}`
}
