/**
 * A checkpoint: what a stream's rows at the destination correspond to, and where the next run reads from.
 *
 * It becomes durable in the same commit as the rows. JSON with `format`; numbers wider than 53 bits are decimal text.
 */
import { TrunklineError } from './error.js'
import {
  type Shape,
  type ShapeOf,
  boolean,
  list,
  literal,
  nullable,
  number,
  object,
  oneOf,
  pair,
  text,
} from './shape.js'
import { splitRangeShape } from './split-range.js'

export const CHECKPOINT_FORMAT = 1

const sourcePosition = object({
  /** pg_control_system().system_identifier; null where the server hides it. */
  systemIdentifier: nullable(text),
  database: text,
  timeline: nullable(number),
  /** `16/B374D848` at the snapshot: replayed on a standby, inserted on a primary. */
  lsn: nullable(text),
  standby: boolean,
  /** Next transaction id at the snapshot, 64 bits. */
  xmax: text,
})

const streamFingerprint = object(
  {
    oid: number,
    leaves: list(object({ oid: number, filenode: nullable(number) })),
    columns: list(object({ name: text, number: number, sqlType: text, landing: text })),
    key: nullable(list(text)),
    where: nullable(text),
    sql: nullable(text),
  },
  /** What is done to rows on their way, and as what; without secrets. */
  { transforms: list(pair(text, text)) },
)

const common = { format: literal(CHECKPOINT_FORMAT), source: sourcePosition, stream: streamFingerprint }

const marked = {
  /** What the source said of the stream's content before it was read, and the rows that were landed of it. */
  mark: object({ content: text, rows: number }),
}

const checkpointShape = oneOf({
  /** A full copy as of the snapshot; nothing to continue from. */
  full: object({ ...common, kind: literal('full') }, marked),
  /** Everything visible in the snapshot; the next run reads rows whose xmin is at or above the horizon. */
  horizon: object(
    { ...common, kind: literal('horizon'), horizon: text },
    /** Landed transaction ids at or above the horizon, as inclusive ranges; only for append without a key. */
    { ...marked, seen: list(pair(text, text)) },
  ),
  /** Everything up to a position of the cursor; the next run reads from below it, or by transaction id. */
  cursor: object(
    {
      ...common,
      kind: literal('cursor'),
      /** Of the last snapshot of which nothing can have been missed; null where rows have no transaction ids. */
      horizon: nullable(text),
      cursor: object({
        field: text,
        /** What kept rows that commit late from being missed; a low of another way says nothing here. */
        bound: text,
        /** The greatest value landed that is neither NULL nor infinite, as the server's text. */
        value: nullable(text),
        /** What the next run reads from; null: from the beginning, or by the horizon where that bounds the cursor. */
        low: nullable(text),
        /** When everything was last compared by transaction id, in milliseconds since 1970, and how many runs ago. */
        audited: nullable(object({ at: number, runs: number })),
      }),
    },
    {
      ...marked,
      seen: list(pair(text, text)),
      /** Digests of landed rows that a run may meet again, base64 of 64-bit integers; only for append by position. */
      versions: text,
    },
  ),
})

/** How far a load of a new generation is: saved with the rows that are there, so that a later run goes on after them. */
const loadProgressShape = object({
  format: literal(CHECKPOINT_FORMAT),
  kind: literal('partial'),
  /** The newest snapshot that rows come from: the source may not be read as of an earlier moment any more. */
  source: sourcePosition,
  /** The stream in the first snapshot. */
  stream: streamFingerprint,
  /** Of the first snapshot: what later transactions wrote is read again before the load ends. */
  horizon: text,
  rows: number,
  /** Parts that the first snapshot divided the stream into. */
  parts: number,
  /** Those of them that are still to be read. */
  remaining: list(splitRangeShape),
})

export type Checkpoint = ShapeOf<typeof checkpointShape>
export type LoadProgress = ShapeOf<typeof loadProgressShape>
export type SourcePosition = ShapeOf<typeof sourcePosition>
export type StreamFingerprint = ShapeOf<typeof streamFingerprint>

export function parseCheckpoint(json: string): Checkpoint {
  return parseSaved(checkpointShape, json)
}

export function formatCheckpoint(checkpoint: Checkpoint): string {
  return JSON.stringify(checkpoint)
}

export function parseLoadProgress(json: string): LoadProgress {
  return parseSaved(loadProgressShape, json)
}

export function formatLoadProgress(progress: LoadProgress): string {
  return JSON.stringify(progress)
}

function parseSaved<Saved>(shape: Shape<Saved>, json: string): Saved {
  let value: unknown
  try {
    value = JSON.parse(json)
  } catch (cause) {
    throw malformed(cause)
  }
  const format = (value as { format?: unknown } | null)?.format
  if (typeof format === 'number' && format > CHECKPOINT_FORMAT) {
    throw new TrunklineError(
      'STATE_TOO_NEW',
      `The saved state has format ${format}; this Trunkline reads ${CHECKPOINT_FORMAT}.`,
      {
        hint: 'Upgrade Trunkline, or start the stream anew with `trunkline state resync STREAM`.',
      },
    )
  }
  try {
    return shape(value, '')
  } catch (cause) {
    throw malformed(cause)
  }
}

function malformed(cause: unknown): TrunklineError {
  return new TrunklineError('STATE_MALFORMED', 'The saved state of a stream is not a checkpoint.', {
    hint: 'Look at it with `trunkline state show`, and start the stream anew with `trunkline state resync STREAM`.',
    cause,
  })
}
