/**
 * Where the rows of a table lie below the root of a store:
 *
 *   <schema>.<table>/gen-<generation>/run-<run>/[<column>=<value>/]part-<number><suffix>
 *
 * A name keeps letters and digits of ASCII, `_` and `-`. Every other character is `_x<code point in hex>_`, and an underscore that
 * begins something of that look is escaped itself, so that no two names become one. What comes to 100 characters is cut and ends with
 * a digest. Not `gen=7`: readers of Hive's layout would take that for a column, over one of the table that is called so.
 */
import { createHash } from 'node:crypto'
import type { TableName } from '../contract.js'

const LONGEST = 99
const DIGEST_CHARS = 16

export function tableFolder({ schema, name }: TableName): string {
  return `${escapeName(schema)}.${escapeName(name)}`
}

/** Without a slash at its end. */
export function runFolder(table: TableName, generation: number, run: string): string {
  return `${tableFolder(table)}/gen-${generation}/run-${escapeName(run)}`
}

export function partName(part: number, suffix: string): string {
  return `part-${String(part).padStart(5, '0')}${suffix}`
}

export interface DataPath {
  /** The folder of the table. */
  readonly table: string
  readonly generation: number
  /** As the path names it. */
  readonly run: string
}

/** What the path of a data file says; null where the path is none of ours. */
export function readDataPath(path: string): DataPath | null {
  const [, table, generation, run] =
    /^([^/]+\.[^/]+)\/gen-(\d+)\/run-([^/]+)\/(?:[^/]+=[^/]*\/)*part-\d{5,}\.[a-z0-9.]+$/.exec(path) ?? []
  if (table === undefined || run === undefined) return null
  return { table, generation: Number(generation), run }
}

/** All paths of data files that a text names, wherever their root is. */
export function findDataPaths(text: string): readonly string[] {
  const pattern =
    /[\w-]+\.[\w-]+\/gen-\d+\/run-[\w-]+\/(?:[\w .%-]+=[\w .%-]*\/)*part-\d{5,}\.[a-z0-9]+(?:\.[a-z0-9]+)?/g
  return Array.from(text.matchAll(pattern), ([path]) => path)
}

const NO_VALUE = '__HIVE_DEFAULT_PARTITION__'

/** `column=value` as Hive has it; a value that is not there has a name of its own. */
export function partitionFolder(column: string, value: string | null): string {
  const shown = value === null ? NO_VALUE : value === NO_VALUE ? `%5F${value.slice(1)}` : encodePart(value)
  return `${encodePart(column)}=${shown}`
}

export function escapeName(name: string): string {
  const escaped = name
    .replaceAll(/_(?=x[0-9A-F]+_)/g, '_x5F_')
    .replaceAll(/[^A-Za-z0-9_-]/gu, (character) => `_x${toHex(character)}_`)
  if (escaped.length <= LONGEST) return escaped
  const digest = createHash('sha256').update(name).digest('hex').slice(0, DIGEST_CHARS)
  return `${escaped.slice(0, LONGEST - DIGEST_CHARS)}-${digest}`.padEnd(LONGEST + 1, '-')
}

/** By percent, as readers of Hive's layout expect it. */
function encodePart(text: string): string {
  return text === ''
    ? '%00'
    : text.replaceAll(/[^A-Za-z0-9_ .-]|^\.+$/gu, (characters) =>
        [...new TextEncoder().encode(characters)]
          .map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`)
          .join(''),
      )
}

function toHex(character: string): string {
  return (character.codePointAt(0) ?? 0).toString(16).toUpperCase()
}
