/** What happens to tables while nobody thinks of their copies. Names without a schema are looked for in the one of the case. */

export interface DdlCase {
  readonly name: string
  /** Makes and fills the tables. */
  readonly before: string
  readonly change: string
  /** Tables that must be equal afterwards; default: `t`. */
  readonly tables?: readonly string[]
  /** The first run after the change may stop at these, by name; the next one must be exact. */
  readonly stop?: {
    readonly stream: string
    readonly code: string
    readonly goOn: { readonly allowMassDelete: true }
  }
  /** Needs at least this major. */
  readonly since?: number
  /** Statements that cannot run in a transaction, one after another. */
  readonly alone?: boolean
}

const table = `
  CREATE TABLE t (id int PRIMARY KEY, v text, n int NOT NULL, price numeric(8,2));
  INSERT INTO t SELECT g, 'v' || g, g % 10, g * 1.25 FROM generate_series(1, 600) g;`

const partitioned = `
  CREATE TABLE t (id int NOT NULL, month int NOT NULL, v text, PRIMARY KEY (id, month)) PARTITION BY LIST (month);
  CREATE TABLE t_1 PARTITION OF t FOR VALUES IN (1);
  CREATE TABLE t_2 PARTITION OF t FOR VALUES IN (2);
  INSERT INTO t SELECT g, 1 + g % 2, 'v' || g FROM generate_series(1, 600) g;`

const preloaded = `
  CREATE TABLE t_3 (LIKE t INCLUDING ALL);
  INSERT INTO t_3 SELECT g, 3, 'p' || g FROM generate_series(1001, 1200) g;`

const inherited = `
  CREATE TABLE t (id int PRIMARY KEY, v text);
  INSERT INTO t SELECT g, 'v' || g FROM generate_series(1, 300) g;
  CREATE TABLE child (extra int) INHERITS (t);
  INSERT INTO child SELECT g, 'c' || g, g FROM generate_series(301, 400) g;`

const matview = `
  CREATE TABLE base (id int, v text);
  INSERT INTO base SELECT g, 'v' || g FROM generate_series(1, 300) g;
  CREATE MATERIALIZED VIEW t AS SELECT id, v FROM base;
  CREATE UNIQUE INDEX ON t (id);`

export const DDL_CASES: readonly DdlCase[] = [
  { name: 'TRUNCATE', before: table, change: 'TRUNCATE t' },
  {
    name: 'TRUNCATE and as many rows with the same keys and other values',
    before: table,
    change: `TRUNCATE t; INSERT INTO t SELECT g, 'new' || g, 1, 0 FROM generate_series(1, 600) g`,
  },
  {
    name: 'TRUNCATE of a table large enough for the guard against mass deletes',
    before: `${table} INSERT INTO t SELECT g, 'more', 1, 0 FROM generate_series(601, 1500) g;`,
    change: 'TRUNCATE t',
    stop: { stream: 't', code: 'MASS_DELETE', goOn: { allowMassDelete: true } },
  },
  { name: 'ALTER TYPE int to bigint', before: table, change: 'ALTER TABLE t ALTER n TYPE bigint' },
  { name: 'ALTER TYPE text to varchar', before: table, change: 'ALTER TABLE t ALTER v TYPE varchar(40)' },
  { name: 'ALTER TYPE of a numeric', before: table, change: 'ALTER TABLE t ALTER price TYPE numeric(12,4)' },
  {
    name: 'ALTER TYPE to the same type with other values',
    before: table,
    change: 'ALTER TABLE t ALTER n TYPE int USING n + 100',
  },
  { name: 'ALTER TYPE of the key', before: table, change: 'ALTER TABLE t ALTER id TYPE bigint' },
  { name: 'ALTER TYPE of the key to text', before: table, change: 'ALTER TABLE t ALTER id TYPE text' },
  {
    name: 'ADD COLUMN with a constant default',
    before: table,
    change: `ALTER TABLE t ADD COLUMN state text NOT NULL DEFAULT 'open'`,
  },
  {
    name: 'ADD COLUMN with a volatile default',
    before: table,
    change: 'ALTER TABLE t ADD COLUMN chance text DEFAULT random()::text',
  },
  { name: 'ADD COLUMN without a default', before: table, change: 'ALTER TABLE t ADD COLUMN later date' },
  {
    name: 'ADD COLUMN generated',
    before: table,
    change: 'ALTER TABLE t ADD COLUMN twice int GENERATED ALWAYS AS (n * 2) STORED',
  },
  {
    name: 'another expression of a virtual column',
    before: `CREATE TABLE t (id int PRIMARY KEY, n int, g int GENERATED ALWAYS AS (n * 2) VIRTUAL);
      INSERT INTO t SELECT g, g FROM generate_series(1, 300) g;`,
    change: 'ALTER TABLE t ALTER g SET EXPRESSION AS (n * 3)',
    since: 18,
  },
  { name: 'DROP COLUMN', before: table, change: 'ALTER TABLE t DROP COLUMN v' },
  {
    name: 'DROP COLUMN and ADD COLUMN of the same name and type',
    before: table,
    change: `ALTER TABLE t DROP COLUMN n; ALTER TABLE t ADD COLUMN n int NOT NULL DEFAULT 77`,
  },
  { name: 'RENAME COLUMN', before: table, change: 'ALTER TABLE t RENAME COLUMN v TO w' },
  { name: 'RENAME COLUMN of the key', before: table, change: 'ALTER TABLE t RENAME COLUMN id TO ident' },
  {
    name: 'two columns that swap names',
    before: `CREATE TABLE t (id int PRIMARY KEY, a text, b text); INSERT INTO t SELECT g, 'a', 'b' FROM generate_series(1, 300) g;`,
    change: 'ALTER TABLE t RENAME a TO c; ALTER TABLE t RENAME b TO a; ALTER TABLE t RENAME c TO b',
  },
  { name: 'RENAME TABLE', before: table, change: 'ALTER TABLE t RENAME TO renamed', tables: ['renamed'] },
  {
    name: 'two tables that swap names',
    before: `${table} CREATE TABLE u (LIKE t INCLUDING ALL); INSERT INTO u SELECT g, 'u' || g, 5, 0 FROM generate_series(1, 600) g;`,
    change: 'ALTER TABLE t RENAME TO x; ALTER TABLE u RENAME TO t; ALTER TABLE x RENAME TO u',
    tables: ['t', 'u'],
  },
  {
    name: 'DROP and CREATE with the same keys and other values',
    before: table,
    change: `DROP TABLE t; CREATE TABLE t (id int PRIMARY KEY, v text, n int NOT NULL, price numeric(8,2));
      INSERT INTO t SELECT g, 'again' || g, 3, 3 FROM generate_series(1, 600) g`,
  },
  {
    name: 'DROP and CREATE with other columns',
    before: table,
    change: `DROP TABLE t; CREATE TABLE t (code text PRIMARY KEY, amount bigint);
      INSERT INTO t SELECT 'c' || g, g FROM generate_series(1, 50) g`,
  },
  {
    name: 'ATTACH of a partition with rows',
    before: `${partitioned} ${preloaded}`,
    change: `ALTER TABLE t ATTACH PARTITION t_3 FOR VALUES IN (3)`,
  },
  {
    name: 'CREATE of a partition',
    before: partitioned,
    change: `CREATE TABLE t_4 PARTITION OF t FOR VALUES IN (4); INSERT INTO t VALUES (5000, 4, 'four')`,
  },
  { name: 'DETACH', before: partitioned, change: 'ALTER TABLE t DETACH PARTITION t_2' },
  {
    name: 'DETACH CONCURRENTLY',
    before: partitioned,
    change: 'ALTER TABLE t DETACH PARTITION t_2 CONCURRENTLY',
    since: 14,
    alone: true,
  },
  {
    name: 'a partition replaced by another with the same keys and other values',
    before: `${partitioned} CREATE TABLE other (LIKE t INCLUDING ALL); INSERT INTO other SELECT id, month, 'other' FROM t WHERE month = 2;`,
    change: 'ALTER TABLE t DETACH PARTITION t_2; ALTER TABLE t ATTACH PARTITION other FOR VALUES IN (2)',
  },
  {
    name: 'a partition detached, changed and attached again',
    before: partitioned,
    change: `ALTER TABLE t DETACH PARTITION t_2; UPDATE t_2 SET v = 'away' WHERE id < 50; DELETE FROM t_2 WHERE id > 590;
      ALTER TABLE t ATTACH PARTITION t_2 FOR VALUES IN (2)`,
  },
  { name: 'DROP of a partition', before: partitioned, change: 'DROP TABLE t_2' },
  { name: 'TRUNCATE of a partition', before: partitioned, change: 'TRUNCATE t_2' },
  {
    name: 'rows moved between partitions',
    before: partitioned,
    change: 'UPDATE t SET month = 2 WHERE id < 100',
  },
  {
    name: 'INHERIT of a table with rows',
    before: `${inherited} CREATE TABLE second (id int NOT NULL, v text); INSERT INTO second SELECT g, 's' FROM generate_series(500, 550) g;`,
    change: 'ALTER TABLE second INHERIT t',
  },
  { name: 'NO INHERIT', before: inherited, change: 'ALTER TABLE child NO INHERIT t' },
  {
    name: 'VACUUM FULL',
    before: `${table} DELETE FROM t WHERE id % 7 = 0;`,
    change: 'VACUUM FULL t',
    alone: true,
  },
  { name: 'VACUUM FREEZE', before: table, change: 'VACUUM FREEZE t', alone: true },
  {
    name: 'CLUSTER',
    before: `${table} UPDATE t SET n = 11 WHERE id % 3 = 0;`,
    change: 'CLUSTER t USING t_pkey',
  },
  { name: 'SET UNLOGGED', before: table, change: 'ALTER TABLE t SET UNLOGGED' },
  {
    name: 'REFRESH MATERIALIZED VIEW',
    before: matview,
    change: `UPDATE base SET v = 'new' WHERE id < 20; DELETE FROM base WHERE id > 290; REFRESH MATERIALIZED VIEW t`,
  },
  {
    name: 'REFRESH MATERIALIZED VIEW CONCURRENTLY',
    before: matview,
    change: `UPDATE base SET v = 'new' WHERE id < 20; DELETE FROM base WHERE id > 290; REFRESH MATERIALIZED VIEW CONCURRENTLY t`,
  },
  {
    name: 'values of the primary key changed',
    before: table,
    change: 'UPDATE t SET id = id + 10000 WHERE id % 2 = 0',
  },
  {
    name: 'values of the primary key that change places',
    before: table,
    change: 'UPDATE t SET id = -id WHERE id <= 10; UPDATE t SET id = 11 + id WHERE id < 0',
  },
  {
    name: 'another primary key',
    before: table,
    change: `ALTER TABLE t DROP CONSTRAINT t_pkey; ALTER TABLE t ALTER v SET NOT NULL; ALTER TABLE t ADD PRIMARY KEY (v); UPDATE t SET id = 1`,
  },
  {
    name: 'no primary key any more',
    before: table,
    change: `ALTER TABLE t DROP CONSTRAINT t_pkey; INSERT INTO t VALUES (1, 'twice', 0, 0)`,
  },
  {
    name: 'labels of an enum renamed and added',
    before: `CREATE TYPE mood AS ENUM ('sad', 'glad'); CREATE TABLE t (id int PRIMARY KEY, m mood);
      INSERT INTO t SELECT g, CASE WHEN g % 2 = 0 THEN 'sad' ELSE 'glad' END::mood FROM generate_series(1, 200) g;`,
    change: `ALTER TYPE mood RENAME VALUE 'sad' TO 'blue'; ALTER TYPE mood ADD VALUE 'mad'`,
    alone: true,
  },
]

export type Sql = (text: string) => Promise<unknown>

/** A schema of its own for each case, in order: `c0`, `c1`, … */
export function schemaOf(index: number): string {
  return `c${index}`
}

export async function prepare(sql: Sql, cases: readonly DdlCase[]): Promise<void> {
  for (const [index, ddl] of cases.entries()) {
    await sql(`CREATE SCHEMA ${schemaOf(index)}; SET search_path = ${schemaOf(index)}; ${ddl.before}`)
  }
  await sql('RESET search_path')
}

export async function apply(sql: Sql, ddl: DdlCase, schema: string): Promise<void> {
  await sql(`SET search_path = ${schema}`)
  const statements = ddl.alone === true ? ddl.change.split(';') : [ddl.change]
  for (const statement of statements) await sql(statement)
  await sql('RESET search_path')
}

/** An ordinary change, whatever became of the table: one row goes. */
export async function deleteOneRow(sql: Sql, ddl: DdlCase, schema: string): Promise<void> {
  const [table = 't'] = ddl.tables ?? []
  await sql(`SET search_path = ${schema}`)
  if (ddl.before.includes('MATERIALIZED')) {
    await sql('DELETE FROM base WHERE id = 5; REFRESH MATERIALIZED VIEW t')
  } else {
    await sql(`DELETE FROM ${table} WHERE (tableoid, ctid) IN (SELECT tableoid, ctid FROM ${table} LIMIT 1)`)
  }
  await sql('RESET search_path')
}
