/** Indexes, keys, sequences and NOT NULLs of a table: those of one that another has no like of, and what they are called. */
import { TrunklineError } from '../../model/error.js'
import type { Connection } from '../../postgres/connection.js'
import { quoteIdent } from '../../postgres/quote.js'
import type { TableName } from '../contract.js'
import { indexRefused, uniqueRefused } from './refusals.js'
import { quoteTable } from './state-layout.js'
import { NAME_BYTES, freeName } from './target-table.js'

export interface TablePart {
  readonly kind: 'INDEX' | 'SEQUENCE' | 'CONSTRAINT'
  readonly name: string
  /** What it is, apart from its name and its table: equal parts do the same. Of an index: how CREATE INDEX goes on. */
  readonly how: string
  readonly unique: boolean
  readonly primary: boolean
  /** What it is over. */
  readonly columns: readonly string[]
}

/** How a part of the one table and one of the other are called that do the same. */
export interface PartPair {
  readonly kind: TablePart['kind']
  readonly made: string
  readonly name: string
}

/** Plain indexes, identity sequences and, from 18 on, NOT NULL constraints, in the order in which they were made. */
export function readParts(connection: Connection, oid: number): Promise<readonly TablePart[]> {
  return connection.query<TablePart>(PARTS_SQL, [oid])
}

/** The server prints an index with its name and its table, always qualified under our search_path. */
const PARTS_SQL = `
SELECT 'INDEX' AS kind, c.relname::text AS name, i.indisunique AS unique, i.indisprimary AS primary,
       substr(pg_get_indexdef(c.oid), 1 + length(format('CREATE %sINDEX %I ON %I.%I USING ',
         CASE WHEN i.indisunique THEN 'UNIQUE ' ELSE '' END, c.relname, n.nspname, t.relname))) AS how,
       (SELECT coalesce(json_agg(a.attname), '[]') FROM pg_attribute a
         WHERE a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey::int2[])) AS columns, c.oid AS position
  FROM pg_index i
  JOIN pg_class c ON c.oid = i.indexrelid
  JOIN pg_class t ON t.oid = i.indrelid
  JOIN pg_namespace n ON n.oid = t.relnamespace
 WHERE i.indrelid = $1 AND i.indisvalid AND i.indexprs IS NULL AND i.indpred IS NULL
UNION ALL
SELECT 'SEQUENCE', c.relname::text, false, false, a.attname::text, '[]', c.oid
  FROM pg_depend d
  JOIN pg_class c ON c.oid = d.objid AND c.relkind = 'S'
  JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
 WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = $1 AND d.deptype = 'i'
UNION ALL
SELECT 'CONSTRAINT', k.conname::text, false, false, a.attname::text, '[]', k.oid
  FROM pg_constraint k
  JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = k.conkey[1]
 WHERE k.conrelid = $1 AND k.contype = 'n'
 ORDER BY position`

/** Which part of `made` does what a part of `before` does, each once, and indexes of `before` that there is no like of. */
export function matchParts(
  before: readonly TablePart[],
  made: readonly TablePart[],
): { readonly pairs: readonly PartPair[]; readonly lacking: readonly TablePart[] } {
  const left = [...made]
  const pairs: PartPair[] = []
  const lacking: TablePart[] = []
  for (const part of before) {
    const found = left.findIndex((other) => isLike(part, other))
    const [like] = found === -1 ? [] : left.splice(found, 1)
    if (like !== undefined) pairs.push({ kind: part.kind, made: like.name, name: part.name })
    else if (part.kind === 'INDEX' && !part.primary) lacking.push(part)
  }
  return { pairs, lacking }
}

function isLike(one: TablePart, other: TablePart): boolean {
  return (
    one.kind === other.kind &&
    one.how === other.how &&
    one.unique === other.unique &&
    one.primary === other.primary
  )
}

/** @throws KEY_DUPLICATE, DESTINATION_FAILED naming the index that the rows cannot have */
export async function makeIndexes(
  connection: Connection,
  { table, stream }: { readonly table: TableName; readonly stream: string },
  indexes: readonly TablePart[],
): Promise<void> {
  for (const [number, { name, unique, how }] of indexes.entries()) {
    const made = quoteIdent(`i${number}_${table.name}`)
    try {
      await connection.execute(
        `CREATE ${unique ? 'UNIQUE ' : ''}INDEX ${made} ON ${quoteTable(table)} USING ${how}`,
      )
    } catch (error) {
      const sqlstate = error instanceof TrunklineError ? error.context.sqlstate : undefined
      if (sqlstate === '23505') throw uniqueRefused(stream, name)
      if (sqlstate?.startsWith('42') === true || sqlstate === '54000') throw indexRefused(stream, name, error)
      throw error
    }
  }
}

/**
 * Parts of a table that was made under another name are called as those of the one before, or as those of a table that was made
 * under this name.
 */
export async function nameParts(
  connection: Connection,
  { schema, name }: TableName,
  {
    oid,
    madeAs,
    pairs,
  }: { readonly oid: number; readonly madeAs: string; readonly pairs: readonly PartPair[] },
): Promise<void> {
  const rename = (kind: TablePart['kind'], from: string, to: string): Promise<void> =>
    connection.execute(
      kind === 'CONSTRAINT'
        ? `ALTER TABLE ${quoteTable({ schema, name })} RENAME CONSTRAINT ${quoteIdent(from)} TO ${quoteIdent(to)}`
        : `ALTER ${kind} ${quoteTable({ schema, name: from })} RENAME TO ${quoteIdent(to)}`,
    )
  for (const { kind, made, name: to } of pairs) await rename(kind, made, to)
  const parts = await readParts(connection, oid)
  const constraints = new Set(parts.filter(({ kind }) => kind === 'CONSTRAINT').map((part) => part.name))
  for (const part of parts) {
    if (!part.name.startsWith(`${madeAs}_`)) continue
    const wanted = `${name}${part.name.slice(madeAs.length)}`
    // A constraint's name is of its table alone, and of no use to anybody: where the good one cannot be had it stays as it is.
    const isConstraint = part.kind === 'CONSTRAINT'
    if (isConstraint && (constraints.has(wanted) || Buffer.byteLength(wanted) > NAME_BYTES)) continue
    await rename(part.kind, part.name, isConstraint ? wanted : await freeName(connection, schema, wanted))
  }
}
