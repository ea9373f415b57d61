/**
 * The tables that are measured, as data: each column is an SQL expression over the row number `i`, so that every build of a
 * data set holds the same rows on every machine. Values are spread by hashing `i` with a seed per column.
 */
import type { CheckKind } from './check.js'

export type DataSetName =
  | 'lineitem'
  | 'lineitem_1m'
  | 'lineitem_20m'
  | 'events'
  | 'narrow'
  | 'narrow_1m'
  | 'ledger'
  | 'wide'
  | 'long_text'
  | 'many_small'
  | 'none'

export interface DataSetColumn {
  readonly name: string
  readonly type: string
  /** Over `i`, 0 to rows − 1. */
  readonly value: string
  readonly check: CheckKind
}

export interface DataSet {
  readonly name: DataSetName
  /** What it stands for, in the report. */
  readonly title: string
  readonly rows: number
  readonly columns: readonly DataSetColumn[]
  readonly primaryKey: readonly string[]
  /** An integer column that differs from row to row: ties a value to its row in the checksum. */
  readonly rowNumber: string
  /** Tables of the same shape that share the rows: one, `public.<name>`, or as many in a schema of that name. */
  readonly tables: number
}

/** Large enough that only those who ask for it by name wait for it. */
export const NAMED_ONLY: ReadonlySet<DataSetName> = new Set(['lineitem_20m'])

/** A non-negative 31-bit number, different for each row and seed. */
const hash = (seed: number): string => `(hashint8extended(i, ${String(seed)}) & 2147483647)`
const pick = (seed: number, words: readonly string[]): string =>
  `(ARRAY[${words.map((word) => `'${word}'`).join(',')}])[1 + ${hash(seed)} % ${String(words.length)}]`
const column = (name: string, type: string, check: CheckKind, value: string): DataSetColumn => ({
  name,
  type,
  value,
  check,
})

const WORDS =
  'furiously quickly carefully blithely slyly ironic final bold regular express special pending deposits accounts requests packages theodolites instructions foxes pinto beans asymptotes dependencies sleep wake nag haggle cajole above along among'.split(
    ' ',
  )

/** The 16 columns of TPC-H's lineitem with its widths; about 205 bytes a row in COPY BINARY. */
const LINEITEM: readonly DataSetColumn[] = [
  column('l_orderkey', 'bigint', 'integer', '(i / 32) * 32 * 4 + (i / 4) % 8'),
  column('l_partkey', 'integer', 'integer', `(1 + ${hash(1)} % 200000)::int`),
  column('l_suppkey', 'integer', 'integer', `(1 + ${hash(2)} % 10000)::int`),
  column('l_linenumber', 'integer', 'integer', '(1 + i % 4)::int'),
  column('l_quantity', 'numeric(15,2)', 'hundredths', `(1 + ${hash(3)} % 50)::numeric`),
  column('l_extendedprice', 'numeric(15,2)', 'hundredths', `(90000 + ${hash(4)} % 10400000)::numeric * 0.01`),
  column('l_discount', 'numeric(15,2)', 'hundredths', `(${hash(5)} % 11)::numeric * 0.01`),
  column('l_tax', 'numeric(15,2)', 'hundredths', `(${hash(6)} % 9)::numeric * 0.01`),
  column('l_returnflag', 'char(1)', 'padded', pick(7, ['A', 'N', 'R'])),
  column('l_linestatus', 'char(1)', 'padded', pick(8, ['O', 'F'])),
  column('l_shipdate', 'date', 'date', `DATE '1992-01-02' + (${hash(9)} % 2526)::int`),
  column('l_commitdate', 'date', 'date', `DATE '1992-01-31' + (${hash(10)} % 2466)::int`),
  column('l_receiptdate', 'date', 'date', `DATE '1992-01-04' + (${hash(11)} % 2554)::int`),
  column(
    'l_shipinstruct',
    'char(25)',
    'padded',
    pick(12, ['DELIVER IN PERSON', 'COLLECT COD', 'NONE', 'TAKE BACK RETURN']),
  ),
  column(
    'l_shipmode',
    'char(10)',
    'padded',
    pick(13, ['REG AIR', 'AIR', 'RAIL', 'SHIP', 'TRUCK', 'MAIL', 'FOB']),
  ),
  column(
    'l_comment',
    'varchar(44)',
    'text',
    `rtrim(left(${[14, 15, 16, 17, 18].map((seed) => pick(seed, WORDS)).join(" || ' ' || ")}, (10 + ${hash(19)} % 34)::int))`,
  ),
]

/** An application's event log: uuid, timestamptz, jsonb, text[], and columns that are mostly null. */
const EVENTS: readonly DataSetColumn[] = [
  column('id', 'bigint', 'integer', 'i + 1'),
  column('event_id', 'uuid', 'text', "md5('event ' || i)::uuid"),
  column(
    'occurred_at',
    'timestamptz',
    'timestamp',
    `TIMESTAMPTZ '2024-01-01 00:00:00+00' + i * INTERVAL '13 seconds' + ${hash(20)} % 13000000 * INTERVAL '1 microsecond'`,
  ),
  column('kind', 'text', 'text', pick(21, ['page_view', 'click', 'search', 'add_to_cart', 'purchase'])),
  column(
    'user_id',
    'integer',
    'integer',
    `CASE WHEN ${hash(22)} % 4 > 0 THEN (${hash(23)} % 250000)::int END`,
  ),
  column(
    'payload',
    'jsonb',
    'json',
    `jsonb_build_object('session', md5('s' || ${hash(24)} % 100000), 'path', '/' || ${pick(25, WORDS)} || '/' || ${hash(26)} % 10000, 'ms', ${hash(27)} % 5000, 'flags', jsonb_build_array(${hash(28)} % 2 = 0, ${pick(29, WORDS)}), 'ref', CASE WHEN ${hash(30)} % 3 = 0 THEN ${pick(31, WORDS)} END)`,
  ),
  column(
    'tags',
    'text[]',
    'array',
    `CASE ${hash(32)} % 4 WHEN 0 THEN NULL WHEN 1 THEN '{}'::text[] WHEN 2 THEN ARRAY[${pick(33, WORDS)}] ELSE ARRAY[${pick(34, WORDS)}, NULL, ${pick(35, WORDS)}] END`,
  ),
  column(
    'note',
    'text',
    'text',
    `CASE WHEN ${hash(36)} % 10 = 0 THEN ${pick(37, WORDS)} || ' ' || ${pick(38, WORDS)} END`,
  ),
]

/** Three fixed-width columns: 34 bytes a row in COPY BINARY, the most rows per second a server can send. */
const NARROW: readonly DataSetColumn[] = [
  column('id', 'bigint', 'integer', 'i + 1'),
  column('account', 'integer', 'integer', `(${hash(40)} % 1000000)::int`),
  column('amount', 'double precision', 'hundredths', `(${hash(41)} % 10000000)::float8 / 100`),
]

const WIDE_COLUMNS = 300

/** Mixed types, a tenth of the columns with nulls; about 2.7 kB a row. */
const WIDE: readonly DataSetColumn[] = [
  column('id', 'bigint', 'integer', 'i + 1'),
  ...Array.from({ length: WIDE_COLUMNS - 1 }, (_, index) => {
    const number = hash(1000 + index)
    const kinds: readonly (readonly [type: string, check: CheckKind, value: string])[] = [
      ['integer', 'integer', `(${number} % 1000000)::int`],
      ['bigint', 'integer', `${number} * 4099`],
      ['smallint', 'integer', `(${number} % 30000)::smallint`],
      ['double precision', 'hundredths', `(${number} % 10000000)::float8 / 100`],
      ['numeric(15,2)', 'hundredths', `(${number} % 10000000)::numeric * 0.01`],
      ['date', 'date', `DATE '2000-01-01' + (${number} % 9000)::int`],
      [
        'timestamptz',
        'timestamp',
        `TIMESTAMPTZ '2020-01-01 00:00:00+00' + ${number} * INTERVAL '1 millisecond'`,
      ],
      ['text', 'text', `${pick(1000 + index, WORDS)} || ' ' || ${number} % 1000`],
      ['uuid', 'text', `md5('wide ' || ${number})::uuid`],
      ['boolean', 'text', `${number} % 2 = 0`],
      [
        'numeric(15,2)',
        'hundredths',
        `CASE WHEN ${number} % 2 = 0 THEN (${number} % 100000)::numeric * 0.01 END`,
      ],
      ['text', 'text', `CASE WHEN ${number} % 10 = 0 THEN ${pick(1000 + index, WORDS)} END`],
    ]
    const [type, check, value] = kinds[index % kinds.length] ?? (['integer', 'integer', '0'] as const)
    return column(`c${String(index + 1).padStart(3, '0')}`, type, check, value)
  }),
]

const LONG_TEXT_BYTES = 100_000
/** A random half, which the server cannot compress, and words, which it can. */
const PIECE = `md5(i || '/' || piece) || ' ' || (ARRAY[${WORDS.map((word) => `'${word} '`).join(',')}])[1 + (i * 31 + piece * 7) % ${String(WORDS.length)}]`

/** Documents: each text is stored out of line. */
const LONG_TEXT: readonly DataSetColumn[] = [
  column('id', 'bigint', 'integer', 'i + 1'),
  column('title', 'text', 'text', `${pick(50, WORDS)} || ' ' || ${pick(51, WORDS)}`),
  column(
    'body',
    'text',
    'text',
    `(SELECT left(string_agg(${PIECE}, ''), ${String(LONG_TEXT_BYTES)}) FROM generate_series(1, 2800) AS piece)`,
  ),
]

const ROWS_PER_SMALL_TABLE = 100

/** `holder` is the number of its table: tells a row that landed in another. */
const MANY_SMALL: readonly DataSetColumn[] = [
  column('id', 'bigint', 'integer', 'i + 1'),
  column('holder', 'integer', 'integer', `(i / ${String(ROWS_PER_SMALL_TABLE)})::int`),
  column('amount', 'numeric(15,2)', 'hundredths', `(${hash(60)} % 10000000)::numeric * 0.01`),
  column(
    'changed_at',
    'timestamptz',
    'timestamp',
    `TIMESTAMPTZ '2024-01-01 00:00:00+00' + ${hash(61)} * INTERVAL '1 millisecond'`,
  ),
  column('label', 'text', 'text', `${pick(62, WORDS)} || ' ' || ${pick(63, WORDS)}`),
]

const MILLION = 1_000_000
const MIN_ROWS = 20

/** `scale` multiplies the rows of every data set; 1 is what the published numbers are made with. */
export function describeDataSets(scale: number): Readonly<Record<Exclude<DataSetName, 'none'>, DataSet>> {
  const rows = (atScaleOne: number): number => Math.max(MIN_ROWS, Math.round(atScaleOne * scale))
  const lineitem = {
    columns: LINEITEM,
    primaryKey: ['l_orderkey', 'l_linenumber'],
    rowNumber: 'l_orderkey',
    tables: 1,
  }
  const byId = { primaryKey: ['id'], rowNumber: 'id', tables: 1 }
  const narrow = { ...byId, columns: NARROW }
  const smallTables = Math.max(2, Math.round(2000 * scale))
  return {
    lineitem: {
      ...lineitem,
      name: 'lineitem',
      title: "TPC-H's lineitem, 16 columns",
      rows: rows(5 * MILLION),
    },
    lineitem_1m: { ...lineitem, name: 'lineitem_1m', title: 'lineitem, a fifth of it', rows: rows(MILLION) },
    lineitem_20m: {
      ...lineitem,
      name: 'lineitem_20m',
      title: 'lineitem, four times of it',
      rows: rows(20 * MILLION),
    },
    events: {
      ...byId,
      name: 'events',
      title: 'events with uuid, jsonb, text[] and nulls, 8 columns',
      rows: rows(2 * MILLION),
      columns: EVENTS,
    },
    narrow: {
      ...narrow,
      name: 'narrow',
      title: 'bigint, integer, double: 3 columns',
      rows: rows(10 * MILLION),
    },
    narrow_1m: { ...narrow, name: 'narrow_1m', title: 'narrow, a tenth of it', rows: rows(MILLION) },
    ledger: {
      ...narrow,
      name: 'ledger',
      title: 'narrow, of which rows are updated',
      rows: rows(10 * MILLION),
    },
    wide: {
      ...byId,
      name: 'wide',
      title: `${String(WIDE_COLUMNS)} columns of mixed types`,
      rows: rows(200_000),
      columns: WIDE,
    },
    long_text: {
      ...byId,
      name: 'long_text',
      title: 'texts of 100 kB, half of them words',
      rows: rows(5000),
      columns: LONG_TEXT,
    },
    many_small: {
      ...byId,
      name: 'many_small',
      title: 'a schema of tables of 100 rows',
      rows: smallTables * ROWS_PER_SMALL_TABLE,
      columns: MANY_SMALL,
      tables: smallTables,
    },
  }
}

const tableName = (set: DataSet, index: number): string =>
  set.tables === 1 ? `public.${set.name}` : `${set.name}.t${String(index).padStart(4, '0')}`

/** What `--select` takes. */
export function selectPattern(set: DataSet): string {
  return set.tables === 1 ? tableName(set, 0) : `${set.name}.*`
}

/** All its rows in one SELECT. */
export function relationOf(set: DataSet): string {
  if (set.tables === 1) return tableName(set, 0)
  // A row that is in the wrong table has a holder other than 0.
  const columns = set.columns.map(({ name }) => name).join(', ')
  const selects = Array.from({ length: set.tables }, (_, index) => {
    const list = columns.replace('holder', `holder - ${String(index)} AS holder`)
    return `SELECT ${list} FROM ${tableName(set, index)}`
  })
  return `(${selects.join(' UNION ALL ')}) AS each_table`
}

/** @param index The table among those of the data set. */
export function copyStatement(set: DataSet, index: number): string {
  const table = set.tables === 1 ? set.name : tableName(set, index)
  return `COPY (SELECT * FROM ${table}) TO STDOUT (FORMAT binary)`
}

/** Tables made or dropped in one transaction: each holds locks until its end. */
const TABLES_AT_ONCE = 200

/** The statements that build a data set, in order. VACUUM must run outside a transaction, so they are run one by one. */
export function buildStatements(set: DataSet): readonly string[] {
  const columns = set.columns.map(({ name, type }) => `${name} ${type}`).join(', ')
  const values = set.columns.map(({ name, value }) => `${value} AS ${name}`).join(', ')
  const create = (table: string, first: number, last: number): readonly string[] => [
    `DROP TABLE IF EXISTS ${table}`,
    `CREATE TABLE ${table} (${columns})`,
    `INSERT INTO ${table} SELECT ${values} FROM generate_series(${String(first)}::bigint, ${String(last)}) AS i`,
    `ALTER TABLE ${table} ADD PRIMARY KEY (${set.primaryKey.join(', ')})`,
  ]
  if (set.tables === 1) {
    const table = tableName(set, 0)
    return [...create(table, 0, set.rows - 1), `VACUUM ANALYZE ${table}`]
  }
  const each = set.rows / set.tables
  const statements = [`CREATE SCHEMA IF NOT EXISTS ${set.name}`]
  for (let from = 0; from < set.tables; from += TABLES_AT_ONCE) {
    const indexes = Array.from({ length: Math.min(TABLES_AT_ONCE, set.tables - from) }, (_, at) => from + at)
    // Several statements in one message are one transaction.
    statements.push(
      indexes
        .flatMap((index) => create(tableName(set, index), index * each, (index + 1) * each - 1))
        .join(';\n'),
      `VACUUM ANALYZE ${indexes.map((index) => tableName(set, index)).join(', ')}`,
    )
  }
  return statements
}

/** Lets `role` read it. */
export function grantStatements(set: DataSet, role: string): readonly string[] {
  if (set.tables === 1) return [`GRANT SELECT ON ${tableName(set, 0)} TO ${role}`]
  return [
    `GRANT USAGE ON SCHEMA ${set.name} TO ${role}`,
    `GRANT SELECT ON ALL TABLES IN SCHEMA ${set.name} TO ${role}`,
  ]
}
