/** A part of a stream's rows, as it is kept in a checkpoint: it selects the same rows as long as the storage is not rewritten. */
import { z } from 'zod'

export const splitRangeSchema = z.discriminatedUnion('kind', [
  /** The whole stream. */
  z.object({ kind: z.literal('all') }),
  /** Blocks [from, to) of a table, and of each of its partitions or children; null: to their ends, however far they have grown. */
  z.object({
    kind: z.literal('blocks'),
    /** oid of the table, which is that of the stream. */
    leaf: z.number(),
    from: z.number(),
    to: z.number().nullable(),
  }),
  /** Keys in [from, to) by the order of the key's columns, as the server's output text; null: without a bound. */
  z.object({
    kind: z.literal('keys'),
    columns: z.array(z.string()),
    from: z.array(z.string()).nullable(),
    to: z.array(z.string()).nullable(),
  }),
])

export type SplitRange = z.infer<typeof splitRangeSchema>
