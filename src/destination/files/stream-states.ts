/** The state of streams as the manifests have it, and as the contract has it. Pure. */
import { parseCheckpoint } from '../../model/checkpoint.js'
import { unreachable } from '../../model/column-type.js'
import type { StateEdit, StreamLanding, StreamState, SyncState, UnchangedStream } from '../contract.js'
import { sameFields } from './landed-fields.js'
import type { Ledger, StreamEntry } from './manifest.js'

export function toSyncState(ledger: Ledger, sync: string): SyncState {
  const streams = new Map<string, StreamState>()
  for (const entry of ledger.streams.values()) {
    if (entry.sync === sync) streams.set(entry.stream, toStreamState(entry))
  }
  return { sync, epoch: ledger.syncs.get(sync)?.epoch ?? 0, streams }
}

function toStreamState(entry: StreamEntry): StreamState {
  const { stream, table, generation, runSeq, runId, committedAt, paused, skipped, checkpoint } = entry
  return {
    stream,
    table,
    generation,
    runSeq,
    runId,
    committedAt: new Date(committedAt),
    paused,
    skipped,
    checkpoint: checkpoint === null ? null : parseCheckpoint(checkpoint),
    partial: null,
  }
}

export function applyEdit(entry: StreamEntry, edit: StateEdit): StreamEntry {
  switch (edit.kind) {
    case 'pause':
      // Taken in again, it is neither paused nor skipped.
      return { ...entry, paused: edit.paused, skipped: edit.paused && entry.skipped }
    case 'skip':
      return { ...entry, skipped: true }
    case 'resync':
      return { ...entry, checkpoint: null }
    default:
      return unreachable(edit)
  }
}

/** What `begin` would have to do, and the rows. */
export function isAsStated(entry: StreamEntry, stated: UnchangedStream): boolean {
  const rows = entry.files.reduce((sum, file) => sum + file.rows, 0)
  const comments = toSavedComments(stated.comments)
  return (
    !entry.lost &&
    entry.checkpoint !== null &&
    entry.runSeq === stated.expectedRunSeq &&
    entry.generation === stated.generation &&
    stated.deletes !== 'soft' &&
    rows === stated.live &&
    sameFields(entry.fields, stated.fields) &&
    JSON.stringify(comments) === JSON.stringify(entry.comments)
  )
}

export function toSavedComments({ table, columns }: StreamLanding['comments']): StreamEntry['comments'] {
  return { table, columns: Object.entries(columns).map(([column, comment]) => [column, comment]) }
}
