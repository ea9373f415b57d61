/** Which form of COPY takes rows to a table of PostgreSQL: as they came, as binary, or as text. Pure. */
import type { Field } from '../model/column-type.js'
import type { TargetForm } from './copy-encoder-columns.js'

/** A column of a COPY into a table. */
export interface CopyColumn {
  readonly field: Field
  /**
   * Name of the target's type in pg_catalog (`int8`, `jsonb`); `enum` and `citext` for those, whose binary form is their text; null
   * for any other type of the target's own.
   */
  readonly target: string | null
}

/** Binary where every column has a form that the target's type takes and that means the same value; else text. */
export function chooseCopyForm(columns: readonly CopyColumn[]): 'binary' | 'text' {
  return columns.every((column) => targetForm(column) !== null) ? 'binary' : 'text'
}

/** Types whose binary form is their text. */
const TEXT_TYPES: ReadonlySet<string> = new Set(['text', 'varchar', 'bpchar', 'name', 'citext', 'enum'])

/** Null where there is none, or where it is not made here. */
export function targetForm({ field: { type }, target }: CopyColumn): TargetForm | null {
  if (target === null) return null
  switch (type.kind) {
    case 'bool':
      return target === 'bool' ? 'bool' : null
    case 'int':
      if (target === 'int2') return type.bits === 16 ? 'int2' : null
      if (target === 'int4') return type.bits < 64 ? 'int4' : null
      if (target === 'oid') return type.bits === 64 ? 'oid' : null
      return target === 'int8' ? 'int8' : null
    case 'float':
      return target === `float${type.bits / 8}` ? 'float' : null
    case 'decimal':
      return target === 'numeric' ? 'numeric' : null
    case 'date':
      return target === 'date' ? 'date' : null
    case 'time':
      return target === 'time' ? 'time' : null
    case 'timestamp':
      // Nanoseconds are for text: what is below a microsecond would have to be cut here.
      if (type.unit === 'ns') return null
      return target === (type.utc ? 'timestamptz' : 'timestamp') ? 'timestamp' : null
    case 'interval':
      return target === 'interval' ? 'interval' : null
    case 'text':
      if (target === 'numeric') return 'numeric'
      return TEXT_TYPES.has(target) || target === 'xml' || target === 'json' ? 'bytes' : null
    case 'json':
      if (target === 'jsonb') return 'jsonb'
      return target === 'json' || target === 'text' || target === 'varchar' ? 'bytes' : null
    case 'uuid':
      return target === 'uuid' ? 'uuid' : null
    case 'binary':
      return target === 'bytea' ? 'bytes' : null
    case 'list':
      return null
    default:
      return type satisfies never
  }
}

/** A column whose rows may pass from one server to another without being decoded. */
export interface PassedColumn {
  /** The type at the source, as in pg_type. */
  readonly origin: { readonly typeSchema: string; readonly typeName: string }
  /** atttypmod or what it means need not agree: the target checks lengths and precision as for any binary COPY. */
  readonly target: string | null
}

/**
 * Types of pg_catalog whose `typsend` and `typreceive` agree in all servers from 12 on: the same bytes mean the same value, or are
 * refused. Those of `SINCE` have values that an older server would take for others.
 *
 * Not among them: types whose values are oids of their own database (regclass), `money`, whose decimals are a setting, `name` and
 * `"char"`, which depend on the encoding, and what belongs to the server's own catalogs.
 */
const SAME_EVERYWHERE: ReadonlySet<string> = new Set([
  'bool',
  'int2',
  'int4',
  'int8',
  'oid',
  'float4',
  'float8',
  'numeric',
  'text',
  'varchar',
  'bpchar',
  'bytea',
  'json',
  'jsonb',
  'jsonpath',
  'xml',
  'uuid',
  'date',
  'time',
  'timetz',
  'timestamp',
  'timestamptz',
  'interval',
  'inet',
  'cidr',
  'macaddr',
  'macaddr8',
  'bit',
  'varbit',
  'point',
  'line',
  'lseg',
  'box',
  'path',
  'polygon',
  'circle',
  'tsvector',
  'tsquery',
  'pg_lsn',
  'txid_snapshot',
  'int4range',
  'int8range',
  'numrange',
  'daterange',
  'tsrange',
  'tstzrange',
  'int4multirange',
  'int8multirange',
  'nummultirange',
  'datemultirange',
  'tsmultirange',
  'tstzmultirange',
])

const FIRST_SERVER = 120_000

/**
 * From which server on a type has values that an older one does not refuse but takes for others: the infinities of interval are the
 * ends of its fields.
 */
const SINCE: Readonly<Record<string, number>> = { interval: 170_000 }

/** Whether rows of these columns, all and in the order of the COPY, mean the same at the target as they came from the source. */
export function passesUndecoded(
  columns: readonly PassedColumn[],
  servers: { readonly source: number; readonly target: number },
): boolean {
  if (servers.source < FIRST_SERVER || servers.target < FIRST_SERVER) return false
  return columns.every(({ origin, target }) => {
    if (origin.typeSchema !== 'pg_catalog' || origin.typeName !== target) return false
    // An array has its element type's oid in it, which is the same everywhere for what is built in.
    const element = target.startsWith('_') ? target.slice(1) : target
    if (!SAME_EVERYWHERE.has(element)) return false
    const since = SINCE[element]
    return since === undefined || servers.target >= since || servers.source < since
  })
}
