import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Batch } from '../../src/batch/batch.js'
import { rows } from '../../src/batch/rows.js'
import type { CatalogStream } from '../../src/model/catalog.js'
import type { ReadMethod } from '../../src/model/sync-spec.js'
import type { Source, TypeOptions } from '../../src/source/contract.js'
import { textsOf } from '../codec/capture.js'
import { seededRandom, typeCases } from '../codec/every-type.js'
import { onEachServer, onNewestServer, type TestDatabase } from '../server/servers.js'
import { discoverOne, failureOf, openSnapshot, openSource, planRead, TYPE_OPTIONS } from './open-source.js'

const ROWS = 400
const SETTINGS = `SET TimeZone = 'UTC'; SET DateStyle = 'ISO, YMD'; SET IntervalStyle = 'iso_8601';
  SET extra_float_digits = 3; SET bytea_output = 'hex'; SET lc_monetary = 'C'`

async function readBatches(
  source: Source,
  stream: CatalogStream,
  { method = 'copy', ...types }: Partial<TypeOptions> & { readonly method?: ReadMethod },
): Promise<Batch[]> {
  await using snapshot = await openSnapshot(source, [stream])
  const split = await planRead(source, snapshot, stream, { types, method })
  const batches: Batch[] = []
  for await (const batch of snapshot.read(split)) batches.push(batch)
  return batches
}

const listOf = (elements: readonly (string | null)[]): string =>
  `{${elements.map((text) => (text === null ? 'NULL' : `"${text.replaceAll(/["\\]/g, '\\$&')}"`)).join(',')}}`

const everyColumn = (stream: CatalogStream, wanted: string): Record<string, string> =>
  Object.fromEntries(
    stream.columns.filter(({ name }) => name !== 'id').map(({ name }) => [name, wanted] as const),
  )

onEachServer('arrays as lists', (server) => {
  let database: TestDatabase
  let source: Source

  beforeAll(async () => {
    database = await server.createDatabase()
    source = await openSource(database.url)
    await database.sql(SETTINGS)
  })
  afterAll(async () => {
    await source.close()
  })

  test('are the arrays that the server prints, whatever the type and the values of their elements', async () => {
    const cases = typeCases(server.major).filter(
      ({ column }) => column.type.kind !== 'timestamp' || column.type.unit === undefined,
    )
    const random = seededRandom(server.major)
    const cell = (test: (typeof cases)[number], row: number): string | null => {
      if (row === 0) return listOf(test.extremes)
      if (row === 1 || random.next() < 0.1) return null
      const length = random.next() < 0.2 ? 0 : random.below(random.next() < 0.1 ? 60 : 6)
      return listOf(Array.from({ length }, () => (random.next() < 0.2 ? null : test.random(random))))
    }
    await database.sql(
      `CREATE TABLE public.lists (id int, ${cases.map(({ column, sqlType }) => `"${column.name}" ${sqlType}[]`).join(', ')})`,
    )
    await database.sql(
      `INSERT INTO public.lists SELECT n, ${cases.map(({ sqlType }, i) => `v${i}::${sqlType}[]`).join(', ')}
         FROM unnest(${cases.map((_, i) => `$${i + 1}::text[]`).join(', ')})
              WITH ORDINALITY AS u(${cases.map((_, i) => `v${i}`).join(', ')}, n)`,
      cases.map((test) => Array.from({ length: ROWS }, (_, row) => cell(test, row))),
    )
    const stream = await discoverOne(source, 'public.lists')
    const types = everyColumn(stream, 'list')
    const batches = await readBatches(source, stream, { types })
    // A null array has no text: format would make an empty one of it.
    const expected = await database.sql<Record<string, string | null>>(
      `SELECT id, ${cases.map(({ column }) => `CASE WHEN "${column.name}" IS NOT NULL THEN format('%s', "${column.name}") END AS "${column.name}"`).join(', ')} FROM lists ORDER BY id`,
    )
    const names = stream.columns.map(({ name }) => name)
    const mismatches: string[] = []
    let cells = 0
    textsOf(batches).forEach((row, index) =>
      row.forEach((text, column) => {
        cells++
        const name = names[column]!
        const wanted = expected[index]![name]
        if (text !== wanted) mismatches.push(`${name}: ${String(text)} instead of ${String(wanted)}`)
      }),
    )
    expect(mismatches.slice(0, 10)).toEqual([])
    expect(cells).toBe(ROWS * names.length)

    const fields = batches[0]!.fields
    cases.forEach(({ column }, index) => {
      expect(fields[index + 1]!.type, column.name).toEqual({ kind: 'list', element: column.type })
    })
  })

  test('hold the elements of domains, enums, citext and types with only a text form', async () => {
    await database.sql(`
      CREATE EXTENSION citext; CREATE EXTENSION hstore;
      CREATE TYPE mood AS ENUM ('sad', 'with "quote", and comma');
      CREATE TYPE place AS (street text, zip int);
      CREATE DOMAIN price AS numeric(9,2);
      CREATE DOMAIN best_price AS price CHECK (VALUE > 0);
      CREATE DOMAIN tags AS text[];
      CREATE DOMAIN tag_sets AS tags;
      CREATE TABLE public.odd (id int, moods mood[], words citext[], prices best_price[], labels tags, more tag_sets,
        networks inet[], letters "char"[], flags bit(3)[], spans int4range[], money money[], points point[], bounded int[],
        names name[], times timetz[], places place[], dicts hstore[], boxes box[], nested tag_sets[], single int);
      INSERT INTO odd VALUES (1, '{sad,NULL,"with \\"quote\\", and comma"}', '{Ab,ab}', '{1.50,NULL}', '{a,"NULL",NULL}', '{}',
        '{10.0.0.1,10.0.0.0/8,NULL}', '{a,NULL}', '{101,000}', '{"[1,5)",empty,NULL}', '{$1.00}', '{"(1,2)",NULL}',
        '[5:7]={1,2,3}', '{pg_class}', '{12:00+05}', '{"(x,1)"}', '{a=>1}', '{(1,1),(0,0)}', NULL, 1);
      INSERT INTO odd VALUES (2)`)
    const stream = await discoverOne(source, 'public.odd')
    const wanted = Object.fromEntries(
      'moods words prices labels more networks letters flags spans money points bounded names times'
        .split(' ')
        .map((name) => [name, 'list']),
    )
    const [batch] = await readBatches(source, stream, { types: wanted })
    const [values, nulls] = rows(batch!)
    expect(values).toMatchObject({
      moods: ['sad', null, 'with "quote", and comma'],
      words: ['Ab', 'ab'],
      prices: ['1.50', null],
      labels: ['a', 'NULL', null],
      more: [],
      networks: ['10.0.0.1', '10.0.0.0/8', null],
      letters: ['a', null],
      flags: ['101', '000'],
      spans: ['[1,5)', 'empty', null],
      money: ['$1.00'],
      points: ['(1,2)', null],
      bounded: [1, 2, 3],
      names: ['pg_class'],
      times: ['12:00:00+05'],
    })
    expect(Object.keys(wanted).every((name) => nulls![name] === null)).toBe(true)

    const refused = async (types: Record<string, string>): Promise<string> => {
      try {
        source.mapColumns(stream, { ...TYPE_OPTIONS, types })
      } catch (error) {
        return (await failureOf(Promise.reject(error))).message
      }
      return 'taken'
    }
    expect(await refused({ places: 'list' })).toContain('its elements hold several values themselves')
    expect(await refused({ dicts: 'list' })).toContain('its elements hold several values themselves')
    expect(await refused({ boxes: 'list' })).toContain('do not stand between commas')
    expect(await refused({ nested: 'list' })).toContain('its elements are arrays themselves')
    expect(await refused({ single: 'list' })).toBe(
      'Column single of public.odd (integer) cannot land as "list": only an array lands as a list.',
    )
    // As text even what holds several values can be an element.
    const [asText] = await readBatches(source, stream, { types: { places: 'text[]', dicts: 'text[]' } })
    expect([...rows(asText!)][0]).toMatchObject({ places: ['(x,1)'], dicts: ['"a"=>"1"'] })
  })

  test('land with another type of element, and by every method of reading alike', async () => {
    await database.sql(`
      CREATE TABLE public.others (id int, sums numeric[], small smallint[], reals real[], documents text[], data jsonb[]);
      INSERT INTO others VALUES (1, '{1.5,NULL,-2}', '{1,NULL}', '{0.5,-0}', '{"{\\"a\\": 1}","null"}', '{"{\\"a\\": 1}",NULL}'),
        (2, '{}', NULL, '{NULL}', '{}', '{}')`)
    const stream = await discoverOne(source, 'public.others')
    const types = {
      sums: 'decimal(18,2)[]',
      small: 'bigint []',
      reals: 'double[]',
      documents: 'JSON[]',
      data: 'text[]',
    }
    const columns = source.mapColumns(stream, { ...TYPE_OPTIONS, types })
    expect(columns.map(({ field }) => field.type).slice(1)).toEqual([
      { kind: 'list', element: { kind: 'decimal', precision: 18, scale: 2 } },
      { kind: 'list', element: { kind: 'int', bits: 64 } },
      { kind: 'list', element: { kind: 'float', bits: 64 } },
      { kind: 'list', element: { kind: 'json' } },
      { kind: 'list', element: { kind: 'text' } },
    ])
    const read = await Promise.all(
      (['copy', 'named', 'client'] as const).map((method) => readBatches(source, stream, { types, method })),
    )
    for (const batches of read) {
      expect(batches.flatMap((batch) => [...rows(batch)])).toEqual([
        {
          id: 1,
          sums: ['1.50', null, '-2.00'],
          small: [1n, null],
          reals: [0.5, -0],
          documents: ['{"a": 1}', 'null'],
          data: ['{"a": 1}', null],
        },
        { id: 2, sums: [], small: null, reals: [null], documents: [], data: [] },
      ])
    }
  })
})

onNewestServer('an array that is no list', (server) => {
  let database: TestDatabase
  let source: Source

  beforeAll(async () => {
    database = await server.createDatabase()
    source = await openSource(database.url)
  })
  afterAll(async () => {
    await source.close()
  })

  test('of two dimensions is an error that names the column and says to leave it JSON, also where it is read as text', async () => {
    await database.sql(`CREATE TABLE public.grids (id int, grid int[], nets inet[]);
      INSERT INTO grids VALUES (1, '{1}', '{::1}'), (2, '{{1,2},{3,4}}', '{{::1},{::2}}')`)
    const stream = await discoverOne(source, 'public.grids')
    for (const column of ['grid', 'nets']) {
      expect(await failureOf(readBatches(source, stream, { types: { [column]: 'list' } }))).toEqual({
        code: 'VALUE_UNREPRESENTABLE',
        message: `public.grids, field ${column}, row 2: an array of 2 dimensions is no list.`,
        hint: 'Remove its entry under `types`: without one the column lands as JSON, which keeps every dimension.',
      })
    }
  })

  test('of special values follows special_numeric and special_temporal, element by element', async () => {
    await database.sql(`CREATE TABLE public.special (id int, sums numeric(9,2)[], spans interval[]);
      INSERT INTO special VALUES (1, '{1,NaN}', '{1 day,infinity}')`)
    const stream = await discoverOne(source, 'public.special')
    const types = { sums: 'list', spans: 'list' }
    const failure = await failureOf(readBatches(source, stream, { types }))
    expect(failure).toMatchObject({
      code: 'VALUE_UNREPRESENTABLE',
      message: expect.stringContaining('field sums') as string,
    })
    const read = async (special: 'null' | 'text'): Promise<unknown[]> => {
      const batches = await readBatches(source, stream, {
        types,
        specialNumeric: special,
        specialTemporal: special,
      })
      return batches.flatMap((batch) => [...rows(batch)])
    }
    expect(await read('null')).toEqual([{ id: 1, sums: ['1.00', null], spans: ['P1D', null] }])
    expect(await read('text')).toEqual([{ id: 1, sums: ['1.00', 'NaN'], spans: ['P1D', 'infinity'] }])
  })

  test('says what is lost, and is as the column is whatever the profile', () => {
    const column = {
      ...({
        name: 'c',
        number: 1,
        typeName: '_int4',
        typeSchema: 'pg_catalog',
        typeOid: 1007,
        typeKind: 'base',
      } as const),
      ...{
        sqlType: 'integer[]',
        modifier: -1,
        domain: null,
        enumLabels: null,
        elementType: 'int4',
        nullable: true,
      },
      ...{ default: null, generated: null, identity: null, comment: null, selectable: true },
      element: {
        typeName: 'int4',
        typeSchema: 'pg_catalog',
        typeOid: 23,
        typeKind: 'base',
        modifier: -1,
        isArray: false,
        delimiter: ',',
      },
    } as const
    const stream = { name: 's.t', columns: [column] } as unknown as CatalogStream
    const [mapped] = source.mapColumns(stream, {
      ...TYPE_OPTIONS,
      types: { c: 'List' },
      typeProfile: 'widened',
    })
    expect(mapped).toMatchObject({
      field: { type: { kind: 'list', element: { kind: 'int', bits: 32 } } },
      wire: 'array',
      elementWire: 'int4',
      expression: '"c"',
      loss: 'As a list: the lower bounds of the array are not kept, and an array of more than one dimension is an error.',
    })
  })
})
