/**
 * A checkpoint: what a stream's rows at the destination correspond to, and where the next run reads from.
 *
 * It becomes durable in the same commit as the rows. JSON with `format`; numbers wider than 53 bits are decimal text.
 */
import { z } from 'zod'
import { TrunklineError } from './error.js'
import { splitRangeSchema } from './split-range.js'

export const CHECKPOINT_FORMAT = 1

const sourcePosition = z.object({
  /** pg_control_system().system_identifier; null where the server hides it. */
  systemIdentifier: z.string().nullable(),
  database: z.string(),
  timeline: z.number().nullable(),
  /** `16/B374D848` at the snapshot: replayed on a standby, inserted on a primary. */
  lsn: z.string().nullable(),
  standby: z.boolean(),
  /** Next transaction id at the snapshot, 64 bits. */
  xmax: z.string(),
})

const streamFingerprint = z.object({
  oid: z.number(),
  leaves: z.array(z.object({ oid: z.number(), filenode: z.number().nullable() })),
  columns: z.array(
    z.object({ name: z.string(), number: z.number(), sqlType: z.string(), landing: z.string() }),
  ),
  key: z.array(z.string()).nullable(),
  where: z.string().nullable(),
  sql: z.string().nullable(),
})

const common = { format: z.literal(CHECKPOINT_FORMAT), source: sourcePosition, stream: streamFingerprint }

const checkpointSchema = z.discriminatedUnion('kind', [
  /** A full copy as of the snapshot; nothing to continue from. */
  z.object({ ...common, kind: z.literal('full') }),
  /** Everything visible in the snapshot; the next run reads rows whose xmin is at or above the horizon. */
  z.object({
    ...common,
    kind: z.literal('horizon'),
    horizon: z.string(),
    /** Landed transaction ids at or above the horizon, as inclusive ranges; only for append without a key. */
    seen: z.array(z.tuple([z.string(), z.string()])).optional(),
  }),
])

/** How far a load of a new generation is: saved with the rows that are there, so that a later run goes on after them. */
const loadProgressSchema = z.object({
  format: z.literal(CHECKPOINT_FORMAT),
  kind: z.literal('partial'),
  /** The newest snapshot that rows come from: the source may not be read as of an earlier moment any more. */
  source: sourcePosition,
  /** The stream in the first snapshot. */
  stream: streamFingerprint,
  /** Of the first snapshot: what later transactions wrote is read again before the load ends. */
  horizon: z.string(),
  rows: z.number(),
  /** Parts that the first snapshot divided the stream into. */
  parts: z.number(),
  /** Those of them that are still to be read. */
  remaining: z.array(splitRangeSchema),
})

export type Checkpoint = z.infer<typeof checkpointSchema>
export type LoadProgress = z.infer<typeof loadProgressSchema>
export type SourcePosition = z.infer<typeof sourcePosition>
export type StreamFingerprint = z.infer<typeof streamFingerprint>

export function parseCheckpoint(json: string): Checkpoint {
  return parseSaved(checkpointSchema, json)
}

export function formatCheckpoint(checkpoint: Checkpoint): string {
  return JSON.stringify(checkpoint)
}

export function parseLoadProgress(json: string): LoadProgress {
  return parseSaved(loadProgressSchema, json)
}

export function formatLoadProgress(progress: LoadProgress): string {
  return JSON.stringify(progress)
}

function parseSaved<Saved>(schema: z.ZodType<Saved>, json: string): Saved {
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
  const parsed = schema.safeParse(value)
  if (!parsed.success) throw malformed(parsed.error)
  return parsed.data
}

function malformed(cause: unknown): TrunklineError {
  return new TrunklineError('STATE_MALFORMED', 'The saved state of a stream is not a checkpoint.', {
    hint: 'Look at it with `trunkline state show`, and start the stream anew with `trunkline state resync STREAM`.',
    cause,
  })
}
