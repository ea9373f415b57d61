/**
 * Is what landed what the source holds? One query on each side that answers with the row count and, per column, the count of
 * values that are not null and sums over the values; the two answers must be equal as text.
 *
 * Numbers are summed as integers, once plain and once multiplied by something of their row, so that a value in the wrong row
 * shows. Text is summed by length over all rows and by MD5 over every sixteenth row: MD5 over all takes longer than a landing.
 */
import type { DataSet, DataSetColumn } from './data-sets.js'

/** `hundredths`: numbers with two decimals. `padded`: char(n), which lands with its blanks. `json`, `array`: as JSON text. */
export type CheckKind = 'integer' | 'hundredths' | 'date' | 'timestamp' | 'text' | 'padded' | 'json' | 'array'

/** Which SQL is spoken: the source's, or that of what landed. */
export type CheckDialect = 'postgres' | 'duckdb'

const TEXT_SAMPLE = 16
/** Prime, so that it lines up with nothing in the data. */
const ROW_WEIGHTS = 97

const isText = (kind: CheckKind): boolean =>
  kind === 'text' || kind === 'padded' || kind === 'json' || kind === 'array'

/** The value as what is summed: an integer or a text. */
function checkedValue({ name, check }: DataSetColumn, dialect: CheckDialect): string {
  const postgres = dialect === 'postgres'
  switch (check) {
    case 'integer':
      return name
    case 'hundredths':
      return `CAST(round(${name} * 100) AS bigint)`
    case 'date':
      return `(${name} - DATE '1970-01-01')`
    case 'timestamp':
      return postgres ? `CAST(extract(epoch FROM ${name}) * 1000000 AS bigint)` : `epoch_us(${name})`
    case 'padded':
      // A cast to text would drop the blanks; the type's output function keeps them.
      return postgres ? `textin(bpcharout(${name}))` : name
    case 'array':
      return postgres ? `to_json(${name})::text` : `${name}::varchar`
    case 'text':
    case 'json':
      return postgres ? `${name}::text` : `${name}::varchar`
  }
}

function checkedColumn(set: DataSet, column: DataSetColumn, dialect: CheckDialect): readonly string[] {
  const value = checkedValue(column, dialect)
  const wide = dialect === 'postgres' ? 'numeric' : 'hugeint'
  if (!isText(column.check)) {
    const weighted = `CAST(${value} AS ${wide}) * (1 + ${set.rowNumber} % ${String(ROW_WEIGHTS)})`
    return [`count(${column.name})`, `sum(CAST(${value} AS ${wide}))`, `sum(${weighted})`]
  }
  const bytes = dialect === 'postgres' ? `octet_length(${value})` : `strlen(${value})`
  const digest =
    dialect === 'postgres'
      ? `('x' || left(md5(${value}), 12))::bit(48)::bigint`
      : `CAST('0x' || left(md5(${value}), 12) AS bigint)`
  const sampled = `FILTER (WHERE ${set.rowNumber} % ${String(TEXT_SAMPLE)} = 0)`
  return [`count(${column.name})`, `sum(${bytes})`, `sum(${digest}) ${sampled}`]
}

/** One row of one text column named `checksum`: everything compared, separated by spaces. */
export function checksumQuery(set: DataSet, dialect: CheckDialect, table: string): string {
  const parts = ['count(*)', ...set.columns.flatMap((column) => checkedColumn(set, column, dialect))]
  const text = dialect === 'postgres' ? 'text' : 'varchar'
  const texts = parts.map((part) => `coalesce(CAST(${part} AS ${text}), '-')`)
  return `SELECT ${joinTexts(texts)} AS checksum FROM ${table}`
}

/** PostgreSQL takes 100 arguments at most. */
const MAX_ARGUMENTS = 90

function joinTexts(texts: readonly string[]): string {
  if (texts.length <= MAX_ARGUMENTS) return `concat_ws(' ', ${texts.join(', ')})`
  const joined: string[] = []
  for (let from = 0; from < texts.length; from += MAX_ARGUMENTS) {
    joined.push(joinTexts(texts.slice(from, from + MAX_ARGUMENTS)))
  }
  return joinTexts(joined)
}

/** What differs, in words; null when nothing does. */
export function compareChecksums(set: DataSet, source: string, landed: string): string | null {
  const wanted = source.split(' ')
  const found = landed.split(' ')
  const meaning = ['rows']
  for (const { name, check } of set.columns) {
    const sums = isText(check) ? ['bytes', 'sampled MD5'] : ['sum', 'sum by row']
    meaning.push(`${name}: values that are not null`, ...sums.map((sum) => `${name}: ${sum}`))
  }
  if (wanted.length !== meaning.length)
    throw new RangeError(`the checksum has ${String(wanted.length)} parts`)
  const differing = meaning.findIndex((_, index) => wanted[index] !== found[index])
  if (differing < 0) return null
  return `${set.name}, ${meaning[differing] ?? ''}: ${wanted[differing] ?? ''} at the source, ${found[differing] ?? 'nothing'} landed`
}
