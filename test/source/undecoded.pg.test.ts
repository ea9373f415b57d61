/** Rows that pass as the server sends them: the same bytes by every way of reading. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { Batch } from '../../src/batch/batch.js'
import type { CatalogStream } from '../../src/model/catalog.js'
import type { Limits, ReadMethod } from '../../src/model/sync-spec.js'
import type { Source } from '../../src/source/contract.js'
import { copyOnce } from '../postgres/open.js'
import { onEachServer, type TestDatabase } from '../server/servers.js'
import { discoverOne, failureOf, openSnapshot, openSource, TYPE_OPTIONS, withLimits } from './open-source.js'

interface How {
  readonly method?: ReadMethod
  readonly readers?: number
  readonly limits?: Partial<Limits>
  readonly where?: string
}

onEachServer('rows that are not decoded', (server) => {
  let database: TestDatabase
  let source: Source
  let stream: CatalogStream

  beforeAll(async () => {
    database = await server.createDatabase()
    await database.sql(`
      CREATE TYPE mood AS ENUM ('sad', 'happy');
      CREATE TABLE item (
        id int PRIMARY KEY, price numeric(12,2), free numeric, note text, made timestamptz, took interval,
        host inet, span int4range, tags text[], grid int4[], place point, doc jsonb, feeling mood, gone int
      );
      ALTER TABLE item DROP COLUMN gone;
      INSERT INTO item
      SELECT i, i / 7.0, CASE WHEN i % 5 = 0 THEN 'NaN' ELSE i / 3.0 END, repeat('x', i % 300), now() + i * interval '1 h',
        i * interval '1 min', ('10.0.0.' || i % 256)::inet, int4range(i, i + 2), ARRAY[i::text, NULL], ARRAY[[i, 1], [2, 3]],
        point(i, -i), jsonb_build_object('i', i), 'happy'
      FROM generate_series(1, 3000) i;
      INSERT INTO item (id) VALUES (3001)`)
    source = await openSource(database.url)
    stream = await discoverOne(source, 'public.item')
  })
  afterAll(() => source.close())

  async function read({ readers = 0, limits = {}, where, ...how }: How = {}): Promise<Batch[]> {
    await using snapshot = await openSnapshot(source, [stream], { readers })
    const splits = await snapshot.plan({
      stream,
      columns: source.mapColumns(stream, TYPE_OPTIONS),
      rows: { kind: 'full' },
      where: where ?? null,
      withXmin: false,
      undecoded: true,
      ...how,
      limits: withLimits(limits),
    })
    const batches: Batch[] = []
    for (const split of splits) for await (const batch of snapshot.read(split)) batches.push(batch)
    return batches
  }

  const bytesOf = (batches: readonly Batch[]): Buffer =>
    Buffer.concat(
      batches.map(({ buffer, tuples }) => {
        const { offset = 0, length = 0 } = tuples ?? {}
        return Buffer.from(buffer.slice(offset, offset + length))
      }),
    )

  it('are those of COPY, by every way of reading, here or in a reader', async () => {
    const { payload } = await copyOnce(database.url, 'COPY item TO STDOUT (FORMAT binary)')
    const rows = payload.subarray(19, -2)
    for (const method of ['copy', 'named', 'client'] as const) {
      for (const readers of method === 'copy' ? [0, 2] : [0]) {
        for (const limits of [{}, { batchBytes: 70_000 }, { batchRows: 700 }]) {
          const batches = await read({ method, readers, limits })
          expect(batches.reduce((sum, { rowCount }) => sum + rowCount, 0)).toBe(3001)
          expect(bytesOf(batches).equals(rows), `${method}, ${readers} readers`).toBe(true)
          expect(batches.length).toBeGreaterThan('batchBytes' in limits || 'batchRows' in limits ? 4 : 0)
        }
      }
    }
  })

  it('are chosen by a condition like any other', async () => {
    const batches = await read({ where: 'id % 1000 = 1' })
    expect(batches.map(({ rowCount }) => rowCount)).toEqual([4])
  })

  it('keep the limit of a value', async () => {
    expect(await failureOf(read({ limits: { maxFieldBytes: 200 } }))).toMatchObject({
      code: 'FIELD_TOO_LARGE',
      message: expect.stringContaining('field note') as string,
    })
  })
})
