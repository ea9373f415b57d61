/** Sequences of the columns of a table, which nothing that lands draws numbers from. */
import type { Connection } from '../../postgres/connection.js'
import { quoteIdent } from '../../postgres/quote.js'
import type { TableName } from '../contract.js'
import { quoteTable } from './state-layout.js'

/** Identity columns, and those with a sequence of their own as `serial` makes them, as far as the role may set it. */
const SEQUENCES_SQL = `
SELECT a.attname::text AS name, s.sequence
  FROM pg_attribute AS a, pg_get_serial_sequence($1, a.attname::text) AS s (sequence)
 WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped
   AND a.atttypid IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype)
   AND s.sequence IS NOT NULL
   AND has_sequence_privilege(s.sequence, 'SELECT') AND has_sequence_privilege(s.sequence, 'UPDATE')`

/** Whoever goes on writing where the copy ends gets numbers that are free; none goes back, and none leaves its bounds. */
export async function advanceIdentities(connection: Connection, table: TableName): Promise<void> {
  const name = quoteTable(table)
  const found = await connection.query<{ name: string; sequence: string }>(SEQUENCES_SQL, [name])
  for (const { name: column, sequence } of found) {
    await connection.query(
      `SELECT setval($1::regclass, m.most)
         FROM (SELECT max(${quoteIdent(column)}) AS most FROM ${name}) AS m, pg_sequence AS q, ${sequence} AS s
        WHERE q.seqrelid = $1::regclass AND q.seqincrement > 0 AND m.most BETWEEN q.seqmin AND q.seqmax
          AND (m.most > s.last_value OR (m.most = s.last_value AND NOT s.is_called))`,
      [sequence],
    )
  }
}
