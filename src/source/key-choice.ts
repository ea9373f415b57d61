/** Which columns identify a row of a stream: found in its indexes, by a rule that gives the same answer every time. */
import type { CatalogColumn, CatalogIndex, StreamKey } from '../model/catalog.js'

export interface IndexFacts extends CatalogIndex {
  readonly oid: number
  readonly primary: boolean
  /** Checked at once, not at the commit. */
  readonly immediate: boolean
  readonly replicaIdentity: boolean
}

/**
 * The primary key; else, of the valid, immediate, non-partial unique indexes over plain NOT NULL columns, the replica
 * identity, then the one with the fewest columns, then the oldest. Columns the role may not read make no key.
 */
export function chooseKey(
  indexes: readonly IndexFacts[],
  columns: readonly CatalogColumn[],
): StreamKey | null {
  const keys = indexes.flatMap((index) => {
    const names = keyColumns(index, columns)
    return names === null ? [] : [{ index, names }]
  })
  keys.sort(
    (a, b) =>
      Number(b.index.primary) - Number(a.index.primary) ||
      Number(b.index.replicaIdentity) - Number(a.index.replicaIdentity) ||
      a.names.length - b.names.length ||
      a.index.oid - b.index.oid,
  )
  const best = keys[0]
  if (best === undefined) return null
  const { index, names } = best
  const from = index.primary ? 'primary_key' : index.replicaIdentity ? 'replica_identity' : 'unique_index'
  return { columns: names, from, index: index.name }
}

function keyColumns(index: IndexFacts, columns: readonly CatalogColumn[]): readonly string[] | null {
  // A deferrable primary key holds for everything that is committed, and nothing else is ever read.
  if (!index.unique || !index.valid || index.partial || !(index.immediate || index.primary)) return null
  const names: string[] = []
  for (const name of index.columns) {
    const column = columns.find((candidate) => candidate.name === name)
    if (column === undefined || column.nullable || !column.selectable) return null
    names.push(column.name)
  }
  return names.length === 0 ? null : names
}
