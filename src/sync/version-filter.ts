/**
 * Appends each version of a row once where rows have no transaction ids: of the rows that a run by cursor reads again, drops those
 * that were landed, and remembers which the next run may meet.
 *
 * The source says a digest of those rows' content. Rows of the same content are told apart by how many there are. Memory and
 * checkpoint hold eight bytes for each.
 */
import type { Batch } from '../batch/batch.js'
import { validityReader } from '../batch/column-reader.js'
import { dropColumns, filterRows } from '../batch/select.js'
import { TrunklineError } from '../model/error.js'
import { MAX_LANDED_VERSIONS } from '../model/thresholds.js'
import type { VERSION_FIELD } from '../source/contract.js'

/** The contract's own name, of which only the type may be imported here. */
const VERSION: typeof VERSION_FIELD = '_trunkline_version'

export class VersionFilter {
  readonly #stream: string
  readonly #most: number
  /** Landed before and not met again yet, with how many of each. */
  readonly #known = new Map<bigint, number>()
  readonly #met: bigint[] = []

  /** @param saved as {@link format} gave it; null at the beginning. @throws STATE_MALFORMED */
  constructor(stream: string, saved: string | null, most = MAX_LANDED_VERSIONS) {
    this.#stream = stream
    this.#most = most
    for (const version of parse(saved)) this.#known.set(version, (this.#known.get(version) ?? 0) + 1)
  }

  /** The rows to land of a batch that ends with the version column, without that column. */
  apply(batch: Batch): Batch {
    const column = batch.columns.at(-1)
    if (column === undefined || batch.fields.at(-1)?.name !== VERSION) {
      throw new TrunklineError('INTERNAL', 'A read with versions came without them.')
    }
    const versions = new BigInt64Array(batch.buffer, column.values.offset, batch.rowCount)
    const isValid = validityReader(batch, batch.columns.length - 1)
    const keep = new Uint8Array(batch.rowCount)
    for (let row = 0; row < batch.rowCount; row++) {
      if (!isValid(row) || !this.#wasLanded(versions[row]!)) keep[row] = 1
    }
    this.#assertBounded()
    return filterRows(dropColumns(batch, [VERSION]), keep)
  }

  /**
   * What the next run may meet again.
   * @param isOver everything was read that this run may meet; before, what it has not met yet is kept as well
   */
  format(isOver: boolean): string {
    const waiting = isOver ? [] : [...this.#known].flatMap(([version, count]) => repeat(version, count))
    const all = BigInt64Array.from([...this.#met, ...waiting])
    return Buffer.from(all.buffer).toString('base64')
  }

  #wasLanded(version: bigint): boolean {
    this.#met.push(version)
    const count = this.#known.get(version) ?? 0
    if (count === 0) return false
    if (count === 1) this.#known.delete(version)
    else this.#known.set(version, count - 1)
    return true
  }

  #assertBounded(): void {
    if (this.#met.length <= this.#most) return
    throw new TrunklineError(
      'SOURCE_PRESSURE',
      `${this.#stream}: more than ${this.#most} rows lie within the lookback of the cursor, at its highest value or without one: too many to remember for an append without repeats.`,
      {
        hint: 'Make `lookback` smaller, give `cursor_start`, which leaves rows without a value out, or land by upsert with a key.',
        retry: 'never',
        context: { stream: this.#stream },
      },
    )
  }
}

function repeat(version: bigint, count: number): bigint[] {
  return Array.from({ length: count }, () => version)
}

function parse(saved: string | null): BigInt64Array {
  if (saved === null) return new BigInt64Array(0)
  const bytes = Buffer.from(saved, 'base64')
  if (bytes.length % 8 !== 0) {
    throw new TrunklineError('STATE_MALFORMED', 'What an append has landed is not saved in whole numbers.', {
      hint: 'Start the stream anew with `trunkline state resync STREAM`.',
    })
  }
  return new BigInt64Array(Uint8Array.from(bytes).buffer)
}
