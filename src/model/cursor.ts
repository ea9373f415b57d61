/**
 * Cursors: columns whose values rise with every change, and positions in them.
 *
 * A position is the server's own output text, made and read with the settings of a reading session. Only the server compares
 * two of them: no order, precision or time zone of this process comes in between.
 */
import type { CatalogColumn } from './catalog.js'

export type CursorKind = 'time' | 'day' | 'integer' | 'numeric' | 'float' | 'text' | 'uuid'

export interface CursorColumn {
  readonly name: string
  /** Of the type below all domains. */
  readonly typeSchema: string
  readonly typeName: string
  readonly kind: CursorKind
  readonly nullable: boolean
}

/** Types with an order that does not change under us; text is ordered by its bytes. By pg_type.typname. */
const KINDS: Readonly<Record<string, CursorKind>> = {
  timestamptz: 'time',
  timestamp: 'time',
  date: 'day',
  int2: 'integer',
  int4: 'integer',
  int8: 'integer',
  numeric: 'numeric',
  float4: 'float',
  float8: 'float',
  text: 'text',
  varchar: 'text',
  bpchar: 'text',
  uuid: 'uuid',
}

/** As SQL calls them. */
export const CURSOR_TYPE_NAMES =
  'timestamptz, timestamp, date, smallint, integer, bigint, numeric, real, double precision, text, varchar, char, uuid'

/** Null for a type that cannot be a cursor. */
export function toCursorColumn(column: CatalogColumn): CursorColumn | null {
  const { name, typeSchema, typeName, nullable } = column
  const kind = typeSchema === 'pg_catalog' && Object.hasOwn(KINDS, typeName) ? KINDS[typeName] : undefined
  return kind === undefined ? null : { name, typeSchema, typeName, kind, nullable }
}
