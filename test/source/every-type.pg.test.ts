import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Source } from '../../src/source/contract.js'
import { onEachServer, type TestDatabase } from '../server/servers.js'
import { discoverOne, openSnapshot, openSource, readRows } from './open-source.js'

/** Texts to try as input; the first that a type takes is its value. */
const CANDIDATES = [
  '[2024-01-01,2025-01-01)',
  'glad',
  '(1,2)',
  '{}',
  '10.0.0.1/8',
  '08:00:2b:01:02:03',
  '08:00:2b:01:02:03:04:05',
  '12.5',
  '7',
  '1',
  't',
  '2024-02-29 12:34:56.789',
  '12:34:56.789+05',
  '1 day 02:03',
  '((1,2),(3,4))',
  '{1,2,3}',
  '<(1,2),3>',
  '0/16B3748',
  '(0,1)',
  '10:20:10,14',
  'a b',
  'a & b',
  '<a>x</a>',
  '{"a": [1]}',
  'c0ffee00-0000-4000-8000-000000000000',
  'pg_class',
  'pg_catalog',
  'english',
  'simple',
  'int4',
  'now',
  'lower',
  'lower(text)',
  '+',
  '-(integer,integer)',
  '1 2 3',
  '"C"',
  'postgres=r/postgres',
  '[1,2)',
  '{[1,2),[5,9)}',
  '101',
]

onEachServer('every type of the server', (server) => {
  let database: TestDatabase
  let source: Source

  beforeAll(async () => {
    database = await server.createDatabase()
    source = await openSource(database.url)
    await database.sql(`
      CREATE FUNCTION takes(type_name text, candidate text) RETURNS boolean LANGUAGE plpgsql AS $$
      BEGIN EXECUTE format('SELECT %L::%s', candidate, type_name); RETURN true;
      EXCEPTION WHEN OTHERS THEN RETURN false; END $$;
      CREATE TYPE mood AS ENUM ('sad', 'glad', 'with "quote"');
      CREATE TYPE place AS (street text, zip int);
      CREATE DOMAIN zip AS varchar(5);
      CREATE DOMAIN places AS place[];
      CREATE DOMAIN a_place AS place;
      CREATE TYPE floats AS RANGE (subtype = float8);`)
  })
  afterAll(async () => {
    await source.close()
  })

  test('a type without a form of its own lands as what its output function writes, and NULL as NULL', async () => {
    const types = await database.sql<{ name: string; value: string | null }>(
      `
      SELECT format_type(t.oid, NULL) AS name,
             (SELECT candidate FROM unnest($1::text[]) WITH ORDINALITY AS c (candidate, place)
               WHERE takes(format_type(t.oid, NULL), candidate) ORDER BY place LIMIT 1) AS value
        FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
       WHERE t.typtype IN ('b', 'e', 'r', 'm', 'd')
         AND (n.nspname = 'pg_catalog' AND t.typname !~ '^_pg_|^pg_toast' OR n.nspname = 'public')
         AND t.typname NOT IN ('pg_node_tree', 'pg_ndistinct', 'pg_dependencies', 'pg_mcv_list', 'pg_brin_bloom_summary',
                               'pg_brin_minmax_multi_summary', 'gtsvector', 'pg_ddl_command')
         AND t.typelem NOT IN (SELECT oid FROM pg_type WHERE typtype = 'p' OR typname = 'gtsvector')
       ORDER BY t.oid`,
      [CANDIDATES],
    )
    const usable = types.filter((type) => type.value !== null)
    // The types that no candidate fits are few and named, so that a new one is noticed.
    expect(types.filter((type) => type.value === null).map((type) => type.name)).toEqual([])
    expect(usable.length).toBeGreaterThan(140)
    const columns = usable.map((type, index) => `c${index} ${type.name}`)
    await database.sql(`CREATE TABLE public.every (${columns.join(', ')})`)
    await database.sql(
      `INSERT INTO public.every SELECT ${usable.map((type) => `'${(type.value ?? '').replaceAll("'", "''")}'::${type.name}`).join(', ')}`,
    )
    await database.sql('INSERT INTO public.every DEFAULT VALUES')
    await database.sql(
      `SET DateStyle = 'ISO, YMD'; SET IntervalStyle = iso_8601; SET TimeZone = 'UTC'; SET lc_monetary = 'C'`,
    )
    // In text results the server writes each value by its type's output function.
    const expected = await database.sql('SELECT * FROM public.every ORDER BY c0 NULLS LAST')

    const stream = await discoverOne(source, 'public.every')
    await using snapshot = await openSnapshot(source, [stream])
    const asText = Object.fromEntries(stream.columns.map((column) => [column.name, 'text']))
    const [values, nulls] = await readRows(source, snapshot, stream, { types: { types: asText } })
    expect(values).toEqual(expected[0])
    expect(Object.values(nulls ?? {}).every((value) => value === null)).toBe(true)

    const natural = source.mapColumns(stream, {
      types: {},
      specialNumeric: 'error',
      specialTemporal: 'error',
      invalidUtf8: 'error',
    })
    const [landed] = await readRows(source, snapshot, stream)
    const texts = natural.filter((column) => column.field.type.kind === 'text')
    expect(texts.length).toBeGreaterThan(40)
    for (const column of texts) {
      expect([column.source, landed?.[column.source]]).toEqual([column.source, expected[0]?.[column.source]])
    }
  })

  test('composites and arrays of any dimension with NULLs land as the JSON that the server makes of them', async () => {
    await database.sql(`
      CREATE TABLE public.nested (id int, p place, ps place[], m int[], d places, e mood[], dp a_place);
      INSERT INTO public.nested VALUES
        (1, ('a "b"', NULL), ARRAY[('x', 1)::place, NULL], '{{1,NULL},{3,4}}', ARRAY[('y', 2)::place], '{sad,NULL}', ('z', 3)),
        (2, (NULL, NULL), '{}', '[0:1]={5,6}', NULL, '{}', (NULL, NULL)),
        (3, NULL, NULL, NULL, NULL, NULL, NULL)`)
    const stream = await discoverOne(source, 'public.nested')
    await using snapshot = await openSnapshot(source, [stream])
    const rows = await readRows(source, snapshot, stream)
    const expected = await database.sql(
      'SELECT to_json(p)::text p, to_json(ps)::text ps, to_json(m)::text m, to_json(d)::text d, to_json(e)::text e, to_json(dp)::text dp FROM nested ORDER BY id',
    )
    expect(rows.map(({ id: _id, ...others }) => others)).toEqual(expected)
    expect(rows[1]?.['p']).toBe('{"street":null,"zip":null}')
    expect(rows[2]?.['p']).toBeNull()
    // A row of nothing but NULLs is not NULL as text either.
    const texts = await readRows(source, snapshot, stream, { types: { types: { p: 'text', dp: 'text' } } })
    expect(texts.map((row) => row['p'])).toEqual(['("a ""b""",)', '(,)', null])
    expect(texts.map((row) => row['dp'])).toEqual(['(z,3)', '(,)', null])
  })
})
