/** How SQL of DuckDB reads values out of files of text: exactly, as the types they have in a DuckDB destination. */
import type { ColumnType, ElementType } from '../../model/column-type.js'
import { unreachable } from '../../model/column-type.js'
import { formatDuckDbType } from '../duckdb/column-types.js'
import { quoteText } from '../duckdb/quote.js'

/** The value of a field whose text is the server's own, as in CSV. `text`: an expression of type VARCHAR. */
export function fromServerText(type: ColumnType, text: string): string {
  if (type.kind !== 'list') return fromText(type, text, 'server')
  return `list_transform(${arrayElements(text)}, lambda x: ${fromText(type.element, 'x', 'server')})`
}

/** How JSON's value is first read, and the expression that makes the field's value of that. */
export function fromJson(
  type: ColumnType,
  value: string,
): { readonly readAs: string; readonly expression: string } {
  if (type.kind !== 'list') {
    return { readAs: jsonType(type), expression: isDirect(type) ? value : fromText(type, value, 'iso') }
  }
  const { element } = type
  const expression = isDirect(element)
    ? value
    : `list_transform(${value}, lambda x: ${fromText(element, 'x', 'iso')})`
  return { readAs: `${jsonType(element)}[]`, expression }
}

/** What DuckDB reads out of JSON as it is. */
function isDirect({ kind }: ElementType): boolean {
  return kind === 'bool' || kind === 'int' || kind === 'float' || kind === 'text' || kind === 'json'
}

function jsonType(type: ElementType): string {
  return isDirect(type) ? formatDuckDbType(type) : 'VARCHAR'
}

function fromText(type: ElementType, text: string, form: 'server' | 'iso'): string {
  switch (type.kind) {
    case 'text':
      return text
    case 'binary':
      return `unhex(substr(${text}, 3))`
    case 'interval':
      return interval(text)
    case 'date':
    case 'timestamp': {
      // DuckDB writes (BC) behind the date, and takes no + before a year.
      const known =
        form === 'iso'
          ? `ltrim(${text}, '+')`
          : `CASE WHEN suffix(${text}, ' BC') THEN regexp_replace(${text}, '^(\\S+)( \\S+)? BC$', '\\1 (BC)\\2') ELSE ${text} END`
      return `CAST(${known} AS ${formatDuckDbType(type)})`
    }
    case 'bool':
    case 'int':
    case 'float':
    case 'decimal':
    case 'time':
    case 'uuid':
    case 'json':
      return `CAST(${text} AS ${formatDuckDbType(type)})`
    default:
      return unreachable(type)
  }
}

const INTERVAL_PARTS = ['y', 'mo', 'd', 'h', 'mi', 's']
const INTERVAL_PATTERN =
  '^P(?:(-?\\d+)Y)?(?:(-?\\d+)M)?(?:(-?\\d+)D)?(?:T(?:(-?\\d+)H)?(?:(-?\\d+)M)?(?:(-?[0-9.]+)S)?)?$'

/** `P1Y2M-3DT4H5M-6.7S`, which DuckDB does not read. */
function interval(text: string): string {
  const names = INTERVAL_PARTS.map(quoteText).join(', ')
  const part = (name: string): string =>
    `coalesce(TRY_CAST(regexp_extract(${text}, ${quoteText(INTERVAL_PATTERN)}, [${names}])['${name}'] AS ${name === 's' ? 'DECIMAL(18,6)' : 'BIGINT'}), 0)`
  const months = `to_months(CAST(12 * ${part('y')} + ${part('mo')} AS INTEGER))`
  const days = `to_days(CAST(${part('d')} AS INTEGER))`
  const micros = `to_microseconds(3600000000 * ${part('h')} + 60000000 * ${part('mi')} + CAST(1000000 * ${part('s')} AS BIGINT))`
  return `CASE WHEN ${text} IS NOT NULL THEN ${months} + ${days} + ${micros} END`
}

/** The elements of `{a,"b c",NULL}` as texts. */
function arrayElements(text: string): string {
  const tokens = `regexp_extract_all(substr(${text}, 2, length(${text}) - 2), '(?s)"(?:[^"\\\\]|\\\\.)*"|[^",]+')`
  const unquoted = `regexp_replace(substr(x, 2, length(x) - 2), '(?s)\\\\(.)', '\\1', 'g')`
  return `list_transform(${tokens}, lambda x: CASE WHEN prefix(x, '"') THEN ${unquoted} WHEN x <> 'NULL' THEN x END)`
}
