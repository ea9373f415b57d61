/** The events of `--json` as a schema; published as docs/reference/trunkline-events.schema.json. */
import { z } from 'zod'
import { ERROR_CODES } from '../model/error.js'
import type { ErrorCode } from '../model/error.js'
import { EVENT_VERSION } from '../model/report.js'

const mode = z.enum(['mirror', 'full_refresh', 'incremental'])
const landing = z.enum(['replace', 'upsert', 'append'])
const count = z.number().int().nonnegative()
const texts = z.array(z.string()).readonly()

const error = z
  .object({
    code: z.enum(Object.keys(ERROR_CODES) as [ErrorCode, ...ErrorCode[]]),
    message: z.string(),
    hint: z.string().optional(),
    retry: z.enum(['never', 'safe', 'backoff']),
    context: z.record(z.string(), z.union([z.string(), z.number(), z.array(z.string())])),
    stack: z.string().optional(),
  })
  .describe('docs/reference/errors.md explains the codes.')

const streamReport = z.object({
  stream: z.string(),
  outcome: z.enum(['done', 'unchanged', 'failed', 'skipped', 'paused']),
  mode,
  landing,
  deletes: z.enum(['hard', 'soft', 'ignore']),
  table: z.string().describe('schema.table at the destination.'),
  promise: z.string(),
  fullLoadReason: z.string().nullable(),
  generation: count,
  runSeq: count,
  rowsRead: count,
  rowsLanded: count,
  rowsDeleted: count,
  bytesRead: count,
  sourceCount: count.nullable(),
  destinationCount: count.nullable(),
  verified: z.object({ equal: z.boolean(), missing: count, unexpected: count }).nullable(),
  attempts: count,
  seconds: z.number(),
  phases: z
    .object({ count: z.number(), read: z.number(), land: z.number(), finish: z.number() })
    .describe('Seconds of the attempt that came through.'),
  warnings: texts,
  error: error.nullable(),
})

const snapshotReport = z.object({
  id: z.string(),
  horizon: z.string(),
  horizonAgeSeconds: z.number().nullable(),
  lsn: z.string().nullable(),
  streams: count,
  fenceMs: z.number().nullable(),
  readers: count.describe('Splits read at the same time, at most.'),
  yielded: z.boolean(),
})

const adaptation = {
  at: z.string().describe('ISO 8601.'),
  cause: z.enum(['memory', 'cpu', 'connections', 'replica_lag', 'replay', 'lock']),
  level: z.enum(['normal', 'high', 'critical']),
  message: z.string(),
} as const

const runReport = z.object({
  sync: z.string(),
  runId: z.string(),
  startedAt: z.string().describe('ISO 8601.'),
  seconds: z.number(),
  outcome: z.enum(['done', 'failed', 'some_failed', 'aborted']),
  snapshots: z.array(snapshotReport).readonly(),
  streams: z.array(streamReport).readonly(),
  rowsRead: count,
  rowsLanded: count,
  rowsDeleted: count,
  bytesRead: count,
  peakMemoryBytes: count,
  readers: count.describe('Splits read at the same time, at most.'),
  adaptations: z.array(z.object(adaptation)).readonly().describe('Changes of pressure, the latest ones.'),
  warnings: texts,
})

const v = z.literal(EVENT_VERSION)
const event = <Kind extends string, Shape extends z.ZodRawShape>(kind: Kind, shape: Shape) =>
  z.object({ v, kind: z.literal(kind), ...shape })

export const eventSchema = z
  .discriminatedUnion('kind', [
    event('run_started', { runId: z.string(), sync: z.string(), streams: count }),
    event('stream_started', { stream: z.string(), mode, expectedRows: count.nullable(), full: z.boolean() }),
    event('stream_progress', { stream: z.string(), rows: count, bytes: count }),
    event('stream_resumed', {
      stream: z.string(),
      parts: count,
      partsDone: count,
      rows: count.describe('Rows that are there.'),
    }).describe('A load goes on where it was interrupted.'),
    event('pressure', adaptation).describe('This machine or the server came under more or less pressure.'),
    event('stream_finished', { report: streamReport }),
    event('retry', { stream: z.string().nullable(), attempt: count, delayMs: z.number(), error }),
    event('warning', { stream: z.string().nullable(), message: z.string() }),
    event('run_finished', { report: runReport }),
    event('error', { error }).describe('The command failed as a whole.'),
  ])
  .meta({ title: 'Events of trunkline --json', description: 'One per line on stdout.' })

export function eventJsonSchema(): Record<string, unknown> {
  return z.toJSONSchema(eventSchema, { target: 'draft-7' })
}
