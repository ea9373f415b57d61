/** What a run says of itself beside what it writes, for everybody whom it keeps out. */
import { type ShapeOf, literal, number, object, text } from '../model/shape.js'

const runNote = object({
  v: literal(1),
  pid: number,
  host: text,
  processStartedAt: number,
  sync: text,
  runId: text,
  startedAt: text,
  updatedAt: text,
  rows: number,
  committedStreams: number,
})

export type RunNote = ShapeOf<typeof runNote>

/** Null where it is not one. */
export function parseRunNote(json: string): RunNote | null {
  try {
    return runNote(JSON.parse(json), '')
  } catch {
    return null
  }
}

export function formatRunNote(note: RunNote): string {
  return `${JSON.stringify(note)}\n`
}

/** `process 4711 on db1, syncing shop since 2026-01-01T00:00:00.000Z (120 rows so far)` */
export function describeRun(note: RunNote): string {
  return `process ${note.pid} on ${note.host}, syncing ${note.sync} since ${note.startedAt} (${note.rows} rows so far)`
}
