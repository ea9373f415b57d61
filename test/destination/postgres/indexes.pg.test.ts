import { expect, test } from 'vitest'
import { onOldestAndNewestServer, type TestDatabase } from '../../server/servers.js'
import { rowsOf, syncOnce } from './pg-to-pg.js'

onOldestAndNewestServer('Indexes of the source', (server) => {
  const indexesOf = async (database: TestDatabase): Promise<readonly unknown[]> => {
    const rows = await database.sql(`
      SELECT pg_get_indexdef(indexrelid) AS index FROM pg_index WHERE indrelid = 'public.t'::regclass ORDER BY 1`)
    return rows.map(({ index }) => index)
  }

  test('are made over plain columns, once each, where the target can, and never keep rows from landing', async () => {
    const [source, target] = [await server.createDatabase(), await server.createDatabase()]
    const long = 'n'.repeat(63)
    await source.sql(`
      CREATE TYPE span AS RANGE (subtype = int);
      CREATE TABLE t (id int PRIMARY KEY, a text, b int, s span, r int4range, ${long} int, ${long.slice(1)}m int);
      INSERT INTO t VALUES (1, 'a', 1, '[1,2)', '[1,2)', 1, 1), (2, NULL, NULL, NULL, NULL, NULL, NULL);
      CREATE INDEX one ON t (a, b DESC); CREATE UNIQUE INDEX same ON t (a, b) INCLUDE (id);
      CREATE INDEX collated ON t (a COLLATE "POSIX"); CREATE INDEX of_class ON t (a text_pattern_ops);
      CREATE INDEX partly ON t (b) WHERE b > 0; CREATE INDEX computed ON t (lower(a));
      CREATE INDEX spans ON t USING gist (s); CREATE INDEX hashed ON t USING hash (b); CREATE INDEX trees ON t USING brin (b);
      ALTER TABLE t ADD EXCLUDE USING gist (r WITH &&);
      CREATE INDEX ON t (${long}); CREATE INDEX ON t (${long.slice(1)}m)`)
    if (server.major >= 15) await source.sql('CREATE UNIQUE INDEX ON t (b) NULLS NOT DISTINCT')
    const options = { defaults: { mode: 'full_refresh', indexes: true } } as const
    for (let run = 0; run < 2; run++) {
      await syncOnce(source, target, options)
      expect(await rowsOf(target, 't')).toEqual(await rowsOf(source, 't'))
      const made = await indexesOf(target)
      expect(made.filter((index) => !String(index).includes('nnnn'))).toEqual([
        'CREATE INDEX t_a_b_idx ON public.t USING btree (a, b)',
        'CREATE INDEX t_a_idx ON public.t USING btree (a)',
        'CREATE INDEX t_b_idx ON public.t USING hash (b)',
        'CREATE INDEX t_b_idx1 ON public.t USING brin (b)',
        ...(server.major >= 15 ? ['CREATE INDEX t_b_idx2 ON public.t USING btree (b)'] : []),
        'CREATE INDEX t_r_idx ON public.t USING gist (r)',
        'CREATE UNIQUE INDEX t_pkey ON public.t USING btree (id)',
      ])
      expect(made.filter((index) => String(index).includes('nnnn'))).toHaveLength(2)
    }
  })
})
