/** How a run adapts, as a file states it: `adaptive:` of a sync. */
import { z } from 'zod'
import type { AdaptiveSettings } from '../model/adaptive-options.js'
import { camelKeys, duration, size, wholeNumber, withoutUndefined } from './stream-schema.js'

const percent = z
  .number({ error: () => 'must be a number of percent, 0 to 100' })
  .min(0, { error: () => 'must be a number of percent, 0 to 100' })
  .max(100, { error: () => 'must be a number of percent, 0 to 100' })
const share = z
  .number({ error: () => 'must be a share, above 0 and at most 1' })
  .positive({ error: () => 'must be a share, above 0 and at most 1' })
  .max(1, { error: () => 'must be a share, above 0 and at most 1' })

const FIGURE_KEYS = {
  batch_rows: wholeNumber(1).describe('Most rows in a batch.'),
  partition_rows: wholeNumber(1).describe('Reported.'),
  queue_rows: wholeNumber(1).describe('Reported.'),
  readers: wholeNumber(1).describe('Most readers of one table.'),
  checkpoint_rows: wholeNumber(1).describe('Rows between two saves of a load.'),
} as const

const figures = z.strictObject(FIGURE_KEYS).partial().transform(camelKeys)

const ADAPTIVE_KEYS = {
  strategy: z
    .enum(['pressure', 'table_size', 'off'], { error: () => 'must be one of: pressure, table_size, off' })
    .describe('What a run adapts to.'),
  memory_limit: size.describe('What the process may take; default: what the container or the machine has.'),
  memory_high: percent,
  memory_critical: percent,
  memory_enough: size.describe('With this much left nothing presses, whatever the share.'),
  cpu_high: percent,
  cpu_critical: percent,
  connections_high: percent.describe("Of the server's connections."),
  connections_critical: percent,
  replica_lag_high: duration,
  replica_lag_critical: duration,
  ease_by: percent.describe('Points below a threshold at which pressure counts as eased.'),
  sample_every: duration,
  pause_at_most: duration.describe('Longest pause in which nothing is read.'),
  batch_share_high: share.describe('What remains of a batch under high pressure.'),
  batch_share_critical: share,
  least_batch_rows: wholeNumber(1),
  least_batch: size.describe('Least target size of a batch in memory.'),
  small_below: wholeNumber(1).describe('A table of fewer rows is small.'),
  large_from: wholeNumber(1).describe('A table of so many rows and more is large.'),
  log_every_tables: wholeNumber(1),
  small: figures,
  medium: figures,
  large: figures,
} as const

const adaptiveObject = z.strictObject(ADAPTIVE_KEYS).partial()

/** Units leave the values and enter the names. */
export const adaptiveSchema = adaptiveObject.transform((stated): AdaptiveSettings => {
  const { memory_limit, memory_enough, replica_lag_high, replica_lag_critical, ...rest } = stated
  const { sample_every, pause_at_most, least_batch, small_below, large_from, ...others } = rest
  return withoutUndefined({
    ...camelKeys(others),
    memoryLimitBytes: memory_limit,
    memoryEnoughBytes: memory_enough,
    replicaLagHighMs: replica_lag_high,
    replicaLagCriticalMs: replica_lag_critical,
    sampleEveryMs: sample_every,
    pauseAtMostMs: pause_at_most,
    leastBatchBytes: least_batch,
    smallBelowRows: small_below,
    largeFromRows: large_from,
  })
})

/** What may stand at a path below `adaptive`, for suggestions. */
export function knownAdaptiveKeysAt(path: readonly PropertyKey[]): readonly string[] | null {
  if (path.length === 0) return Object.keys(ADAPTIVE_KEYS)
  const bySize = path[0] === 'small' || path[0] === 'medium' || path[0] === 'large'
  return bySize && path.length === 1 ? Object.keys(FIGURE_KEYS) : null
}
