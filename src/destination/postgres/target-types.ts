/** Which type of the target database a column lands as: that of the source where the target has it, else the one of its kind. */
import type { ColumnType, Field } from '../../model/column-type.js'
import { unreachable } from '../../model/column-type.js'
import type { OriginColumn, StreamOrigin } from '../contract.js'

/** A type of the target, as asked for by {@link typesToAsk}. */
export interface KnownType {
  readonly schema: string
  readonly name: string
  /** pg_type.typtype: b, e, r, … */
  readonly kind: string
  /** Of an enum, in its order. */
  readonly labels: readonly string[]
  /** It is the role's own. */
  readonly mayChange: boolean
  /** Of an array: kind of its elements; null of everything else. */
  readonly elementKind: string | null
}

interface TargetType {
  /** As format_type prints it, so that present columns can be compared as text. */
  readonly sqlType: string
  /** Its name in pg_catalog; `enum` or `citext` for those, null for any other type of the target's own. */
  readonly typeName: string | null
}

export interface TargetColumn extends TargetType {
  readonly field: Field
  /**
   * A present column of this type stays as it is: text, where the target got the type of the source only after the table, and an
   * enum that lacks a label, which takes all rows but those that have it.
   */
  readonly instead: TargetType | null
}

const TEXT: TargetType = { sqlType: 'text', typeName: 'text' }

/**
 * Types whose values mean something only in the database that they are of, or that no text can be read back into: they land as the
 * text that the source prints.
 */
const LOCAL_TYPES: ReadonlySet<string> = new Set([
  'regclass',
  'regcollation',
  'regconfig',
  'regdictionary',
  'regnamespace',
  'regoper',
  'regoperator',
  'regproc',
  'regprocedure',
  'regrole',
  'regtype',
  'aclitem',
  'pg_node_tree',
  'pg_ndistinct',
  'pg_dependencies',
  'pg_mcv_list',
  'pg_brin_bloom_summary',
  'pg_brin_minmax_multi_summary',
  'gtsvector',
  'pg_ddl_command',
])

/** Before it, "char" does not read the escape by which newer ones print bytes that are no ASCII. */
const CHAR_ESCAPES_SINCE = 160_000
/** numeric with a scale below zero or above its precision. */
const WIDE_SCALE_SINCE = 150_000

/** Types of the source that have to be looked for at the target. */
export function typesToAsk(origin: StreamOrigin | undefined): readonly { schema: string; name: string }[] {
  const asked = new Map<string, { schema: string; name: string }>()
  for (const { typeSchema: schema, typeName: name } of origin?.columns.values() ?? []) {
    asked.set(JSON.stringify([schema, name]), { schema, name })
  }
  return [...asked.values()]
}

export function targetColumns(
  fields: readonly Field[],
  origin: StreamOrigin | undefined,
  target: { readonly serverVersion: number; readonly types: readonly KnownType[] },
): readonly TargetColumn[] {
  return fields.map((field) => {
    const column = origin?.columns.get(field.name)
    const own = column === undefined ? null : ownType(column, target)
    if (own !== null) return { field, ...own }
    const sqlType = typeOfKind(field.type)
    return { field, sqlType, typeName: nameOfKind(sqlType), instead: null }
  })
}

function ownType(
  column: OriginColumn,
  target: { readonly serverVersion: number; readonly types: readonly KnownType[] },
): Omit<TargetColumn, 'field'> | null {
  const { typeSchema, typeName, typeKind, sqlType } = column
  const known = target.types.find(({ schema, name }) => schema === typeSchema && name === typeName)
  if (known === undefined) return null
  if (typeSchema !== 'pg_catalog') {
    if (typeKind === 'enum' && known.kind === 'e') {
      const own: TargetType = { sqlType, typeName: 'enum' }
      const isWhole = (column.labels ?? []).every((label) => known.labels.includes(label))
      return isWhole ? { ...own, instead: TEXT } : { ...TEXT, instead: own }
    }
    const isSame = typeKind === 'base' && known.kind === 'b' && (known.elementKind ?? 'b') === 'b'
    return isSame ? { sqlType, typeName: typeName === 'citext' ? 'citext' : null, instead: TEXT } : null
  }
  const element = typeName.replace(/^_/, '')
  if (LOCAL_TYPES.has(typeName) || LOCAL_TYPES.has(element)) return null
  if (typeKind === 'composite' || typeKind === 'pseudo' || typeKind === 'enum') return null
  if (element === 'char' && target.serverVersion < CHAR_ESCAPES_SINCE) return null
  return { sqlType: inVersion(sqlType, target.serverVersion), typeName, instead: null }
}

/** An older target takes such a numeric without its modifier: no value changes. */
function inVersion(sqlType: string, serverVersion: number): string {
  const match = /^numeric\((\d+),(-?\d+)\)((?:\[\])*)$/.exec(sqlType)
  if (match === null || serverVersion >= WIDE_SCALE_SINCE) return sqlType
  const [precision, scale] = [Number(match[1]), Number(match[2])]
  return scale < 0 || scale > precision ? `numeric${match[3] ?? ''}` : sqlType
}

/** What pg_type calls the type that format_type prints so. */
function nameOfKind(sqlType: string): string | null {
  const name = CATALOG_NAMES[sqlType.replace(/\(.*\)/, '').replace(/\[\]$/, '')]
  if (name === undefined) return null
  return sqlType.endsWith('[]') ? `_${name}` : name
}

const CATALOG_NAMES: Readonly<Record<string, string>> = {
  boolean: 'bool',
  smallint: 'int2',
  integer: 'int4',
  bigint: 'int8',
  real: 'float4',
  'double precision': 'float8',
  date: 'date',
  'time without time zone': 'time',
  'timestamp without time zone': 'timestamp',
  'timestamp with time zone': 'timestamptz',
  interval: 'interval',
  numeric: 'numeric',
  text: 'text',
  json: 'json',
  uuid: 'uuid',
  bytea: 'bytea',
}

function typeOfKind(type: ColumnType): string {
  switch (type.kind) {
    case 'bool':
      return 'boolean'
    case 'int':
      return type.bits === 16 ? 'smallint' : type.bits === 32 ? 'integer' : 'bigint'
    case 'float':
      return type.bits === 32 ? 'real' : 'double precision'
    case 'decimal':
      return `numeric(${type.precision},${type.scale})`
    case 'date':
      return 'date'
    case 'time':
      return 'time without time zone'
    case 'timestamp':
      return type.utc ? 'timestamp with time zone' : 'timestamp without time zone'
    case 'interval':
      return 'interval'
    case 'text':
      return 'text'
    case 'json':
      return 'json'
    case 'uuid':
      return 'uuid'
    case 'binary':
      return 'bytea'
    case 'list':
      return `${typeOfKind(type.element)}[]`
    default:
      return unreachable(type)
  }
}
