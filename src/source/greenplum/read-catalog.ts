/** Reads the catalog of a Greenplum cluster: as that of PostgreSQL, with what storage and distribution say. */
import type { CatalogStream, GreenplumFacts, GreenplumStorage } from '../../model/catalog.js'
import type { Connection } from '../../postgres/connection.js'
import {
  assembleStreams,
  type ColumnRow,
  type ContextRow,
  type DetailRow,
  type ForeignKeyRow,
  type IndexRow,
  type TreeRow,
} from '../assemble-catalog.js'
import type { RelationRow } from '../selection.js'
import { foreignKeysSql, indexesSql } from '../catalog-sql.js'
import {
  columnsSql,
  CONTEXT_SQL,
  detailsSql,
  keyColumnsSql,
  INHERITS_SQL,
  membersSql,
  relationsSql,
} from './catalog-sql.js'

export interface GreenplumContext extends ContextRow {
  readonly greenplum: NonNullable<ContextRow['greenplum']>
}

export type GreenplumContextRow = ContextRow & {
  readonly segments: number
  readonly catalog_columns: readonly string[] | null
}

/** Relations whose size is asked for; beyond, it is what the last ANALYZE left. */
const MOST_SIZES_ASKED = 200

export function toGreenplumContext({
  catalog_columns: columns,
  ...row
}: GreenplumContextRow): GreenplumContext {
  const { segments, ...context } = row
  return { ...context, greenplum: { segments, has: new Set(columns ?? []) } }
}

export async function readGreenplumContext(
  connection: Connection,
  first: readonly string[] = [],
): Promise<GreenplumContext> {
  const [[row]] = await connection.queryAll<[GreenplumContextRow]>([...first, CONTEXT_SQL])
  if (row === undefined) throw new Error('a query without FROM gave no row')
  return toGreenplumContext(row)
}

export async function readGreenplumRelations(
  connection: Connection,
  first: readonly string[] = [],
): Promise<{ readonly context: GreenplumContext; readonly relations: readonly RelationRow[] }> {
  const context = await readGreenplumContext(connection, first)
  return { context, relations: await connection.query<RelationRow>(relationsSql(context.greenplum.has)) }
}

type GreenplumDetail = DetailRow & {
  readonly external: boolean
  readonly distribution: GreenplumFacts['distribution']
}
type MemberRow = Omit<TreeRow, 'root' | 'access_method' | 'block_size'> & { readonly storage: string }
interface InheritsRow {
  readonly parent: number
  readonly child: number
}

/** As `readStreams`: those that are gone are left out. Inside a transaction; `last` are sent at the end. */
export async function readGreenplumStreams(
  connection: Connection,
  context: GreenplumContext,
  oids: readonly number[],
  last: readonly string[] = [],
): Promise<readonly CatalogStream[]> {
  const { has } = context.greenplum
  const [details, columns, indexes, foreignKeys, inherits] = await connection.queryAll<
    [GreenplumDetail, ColumnRow, IndexRow, ForeignKeyRow, InheritsRow]
  >([
    ...[detailsSql(has), columnsSql(has), indexesSql(keyColumnsSql(has)), foreignKeysSql('true')].map((sql) =>
      ofThese(sql, oids),
    ),
    INHERITS_SQL,
  ])
  const trees = followTrees(
    details.map(({ oid }) => oid),
    inherits,
  )
  const members = [...new Set([...trees.values()].flat())]
  const sizes = members.length > MOST_SIZES_ASKED ? 'estimated' : 'asked'
  const [rows] = await connection.queryAll<[MemberRow]>([
    ofThese(membersSql(has, { sizes }), members),
    ...last,
  ])
  const memberOf = new Map(rows.map((row) => [row.oid, row]))
  const parents = new Set(inherits.map(({ parent }) => parent))
  const tree = details.flatMap((detail) =>
    (trees.get(detail.oid) ?? []).flatMap((oid): TreeRow[] => {
      const member = memberOf.get(oid)
      if (member === undefined) return []
      const { storage, ...row } = member
      // Between the root and its leaves nothing is stored.
      const kind = detail.kind === 'p' && row.kind === 'r' && parents.has(oid) ? 'p' : row.kind
      return [{ ...row, kind, root: detail.oid, access_method: storage, block_size: context.block_size }]
    }),
  )
  const none: ReadonlySet<number> = new Set()
  const streams = assembleStreams({
    standby: context.standby,
    details,
    tree,
    columns,
    indexes,
    foreignKeys,
    hypertables: none,
    distributed: none,
  })
  const detailOf = new Map(details.map((detail) => [detail.oid, detail]))
  return streams.map((stream) => withFacts(stream, detailOf.get(stream.oid), memberOf))
}

function withFacts(
  stream: CatalogStream,
  detail: GreenplumDetail | undefined,
  members: ReadonlyMap<number, MemberRow>,
): CatalogStream {
  const external = detail?.external === true
  const storing = stream.leaves.length > 0 ? stream.leaves.map(({ oid }) => oid) : [stream.oid]
  const kinds = new Set(storing.map((oid) => STORAGES[members.get(oid)?.storage ?? ''] ?? 'other'))
  const [only] = kinds
  return {
    ...stream,
    oddity: external ? 'external' : stream.oddity === 'foreign_leaf' ? 'foreign_leaf' : 'greenplum',
    greenplum: {
      storage: kinds.size === 1 && only !== undefined ? only : 'mixed',
      distribution: detail?.distribution ?? 'none',
      segments: 0,
      changeMark: null,
    },
  }
}

/** As in pg_class.relstorage. */
const STORAGES: Readonly<Record<string, GreenplumStorage>> = {
  h: 'heap',
  a: 'append_optimised_row',
  c: 'append_optimised_column',
  x: 'external',
}

/** Each of the roots with everything below it. */
function followTrees(
  roots: readonly number[],
  inherits: readonly InheritsRow[],
): ReadonlyMap<number, readonly number[]> {
  const childrenOf = new Map<number, number[]>()
  for (const { parent, child } of inherits) {
    const children = childrenOf.get(parent)
    if (children === undefined) childrenOf.set(parent, [child])
    else children.push(child)
  }
  return new Map(
    roots.map((root) => {
      const members = new Set([root])
      // A set is gone through in the order of insertion, those added meanwhile included.
      for (const oid of members) for (const child of childrenOf.get(oid) ?? []) members.add(child)
      return [root, [...members].sort((a, b) => a - b)]
    }),
  )
}

/** The list of oids as a literal in place of `$1`. */
export function ofThese(sql: string, oids: readonly number[]): string {
  return sql.replaceAll('$1', () => `'{${oids.map(assertOid).join(',')}}'`)
}

export function assertOid(oid: number): number {
  if (Number.isInteger(oid) && oid >= 0) return oid
  throw new Error(`not an oid: ${oid}`)
}
