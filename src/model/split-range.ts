/** A part of a stream's rows, as it is kept in a checkpoint: it selects the same rows as long as the storage is not rewritten. */
import { type ShapeOf, list, literal, nullable, number, object, oneOf, text } from './shape.js'

export const splitRangeShape = oneOf({
  /** The whole stream. */
  all: object({ kind: literal('all') }),
  /** Blocks [from, to) of a table, and of each of its partitions or children; null: to their ends, however far they have grown. */
  blocks: object({
    kind: literal('blocks'),
    /** oid of the table, which is that of the stream. */
    leaf: number,
    from: number,
    to: nullable(number),
  }),
  /** The rows that one segment of a Greenplum cluster holds. */
  segment: object({ kind: literal('segment'), segment: number }),
  /** Keys in [from, to) by the order of the key's columns, as the server's output text; null: without a bound. */
  keys: object({
    kind: literal('keys'),
    columns: list(text),
    from: nullable(list(text)),
    to: nullable(list(text)),
  }),
})

export type SplitRange = ShapeOf<typeof splitRangeShape>
