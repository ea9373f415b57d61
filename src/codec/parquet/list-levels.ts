/**
 * The levels of a list's values, as Dremel has them: one entry for each element, and one for each list without any.
 * https://github.com/apache/parquet-format/blob/master/README.md#nested-encoding
 *
 *   repetition  0: begins a row; 1: one more element of the same row
 *   definition  0: no list; 1: an empty one; 2: a null element; 3: a value. Each one less where the list itself is required.
 */
import { validityReader } from '../../batch/column-reader.js'
import { elementBatch, offsetsOf } from '../../batch/list-elements.js'
import type { RowRange } from '../../batch/row-range.js'
import type { Leaf } from './schema.js'

export const MAX_REPETITION = 1

export interface ListLevels {
  readonly repetition: Int32Array
  readonly definition: Int32Array
  /** The elements of these lists, as rows of a batch of one column. */
  readonly elements: RowRange
}

export function listLevels(
  { batch, start, count }: RowRange,
  { fieldIndex, maxDefinition }: Pick<Leaf, 'fieldIndex' | 'maxDefinition'>,
): ListLevels {
  const ends = offsetsOf(batch, fieldIndex)
  const elements = elementBatch(batch, fieldIndex)
  const isList = validityReader(batch, fieldIndex)
  const isValue = validityReader(elements, 0)
  let entries = ends[start + count]! - ends[start]!
  for (let row = start; row < start + count; row++) if (ends[row] === ends[row + 1]) entries++
  const repetition = new Int32Array(entries)
  const definition = new Int32Array(entries)
  let to = 0
  for (let row = start; row < start + count; row++) {
    const first = ends[row]!
    const end = ends[row + 1]!
    // A list that is required has no level of its own, and is always there.
    if (first === end) definition[to++] = isList(row) ? maxDefinition - 2 : 0
    for (let element = first; element < end; element++) {
      repetition[to] = element === first ? 0 : MAX_REPETITION
      definition[to++] = isValue(element) ? maxDefinition : maxDefinition - 1
    }
  }
  const first = ends[start]!
  return {
    repetition,
    definition,
    elements: { batch: elements, start: first, count: ends[start + count]! - first },
  }
}
