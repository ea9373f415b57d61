import { execFileSync } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { StreamLanding } from '../../../src/destination/contract.js'
import type { Field } from '../../../src/model/column-type.js'
import type { Plain } from '../../../src/testing/plain.js'
import {
  ID,
  NOTE,
  inRun,
  keysOf,
  landingOf,
  makeCheckpoint,
  orders,
  runOf,
} from '../../../src/testing/landings.js'
import { makeBatch } from '../../../src/testing/make-batch.js'
import type { DuckDbPlace } from './duckdb-place.js'
import { makeDuckDbPlace } from './duckdb-place.js'

let place: DuckDbPlace
beforeEach(async () => {
  place = await makeDuckDbPlace()
})
afterEach(() => place.remove())

async function land(overrides: Partial<StreamLanding>, rows: readonly (readonly Plain[])[]): Promise<void> {
  const destination = place.create()
  await inRun(destination, runOf(), async (state) => {
    const landing = landingOf(overrides)
    const expectedRunSeq = state.streams.get(landing.stream)?.runSeq ?? 0
    const writer = await destination.begin({ ...landing, expectedRunSeq })
    await writer.write(makeBatch(landing.fields, rows))
    await writer.commit(makeCheckpoint('1'))
  })
}

const named = (name: string): Field => ({ ...NOTE, name })

describe('DuckDB names', () => {
  it('keeps column, table and schema names as they are', async () => {
    const names = [
      'a "quoted" name',
      'with space',
      '🎉',
      "it's",
      'select',
      'x'.repeat(63),
      'UPPER',
      'c0',
      'a.b',
      '%s $1',
    ]
    const table = { schema: 'My "schema"', name: "o'rders; DROP TABLE x; --🎉" }
    const landing = {
      table,
      fields: [ID, ...names.map(named)],
      comments: { table: null, columns: { "it's": "x'y" } },
    }
    await land(landing, [[1, ...names]])
    await land(landing, [
      [1, ...names],
      [2, ...names],
    ])
    const found = await place.query(
      "SELECT schema_name, table_name, column_name FROM duckdb_columns() WHERE database_name = 'db' AND schema_name LIKE 'My%' ORDER BY column_index",
    )
    expect(found).toEqual(['id', ...names].map((name) => [table.schema, table.name, name]))
    const columns = names.map((name) => `"${name.replaceAll('"', '""')}"`).join(', ')
    expect(
      await place.query(`SELECT ${columns} FROM "My ""schema"""."o'rders; DROP TABLE x; --🎉" WHERE id = 2`),
    ).toEqual([names])
  })

  it('refuses columns that differ by case alone, naming both', async () => {
    await expect(land({ fields: [ID, named('Name'), named('NAME')] }, [])).rejects.toMatchObject({
      code: 'NAME_COLLISION',
      message: expect.stringMatching(/NAME.*Name/) as string,
    })
    await expect(land({ fields: [ID, named('_TRUNKLINE_deleted_at')] }, [])).rejects.toMatchObject({
      code: 'NAME_COLLISION',
    })
  })

  it('folds names as DuckDB does: ASCII letters and no others', async () => {
    await land({ fields: [ID, named('É'), named('é'), named('\u212a'), named('k')] }, [
      [1, 'a', 'b', 'c', 'd'],
    ])
    expect(await place.query('SELECT É, é, "\u212a", k FROM db.public.orders')).toEqual([
      ['a', 'b', 'c', 'd'],
    ])
    const { foldName } = place.create().capabilities
    expect([foldName('Ab'), foldName('É'), foldName('\u212a')]).toEqual(['ab', 'É', '\u212a'])
  })

  it('takes a table of the same name in other case for the same table', async () => {
    await place.makeForeignTable?.({ schema: 'public', name: 'ORDERS' })
    await expect(land({}, [])).rejects.toMatchObject({ code: 'TABLE_OWNED' })
  })

  it('takes a view for something it did not make, and replaces it when told to adopt', async () => {
    await place.query('CREATE SCHEMA db.public')
    await place.query('CREATE VIEW db.public.orders AS SELECT 1 AS id')
    await expect(land({}, [])).rejects.toMatchObject({ code: 'TABLE_OWNED' })
    const destination = place.create()
    await inRun(destination, runOf({ adopt: true }), async () => {
      const writer = await destination.begin(landingOf())
      await writer.write(orders([5, 'e']))
      await writer.commit(makeCheckpoint('1'))
    })
    expect(await place.query('SELECT id FROM db.public.orders')).toEqual([[5]])
  })

  it('refuses a stream without columns', async () => {
    await expect(land({ fields: [] }, [])).rejects.toMatchObject({ code: 'STREAM_UNSUPPORTED' })
  })
})

describe('DuckDB tables', () => {
  it('carries comments of table and columns, and follows them', async () => {
    const comments = { table: "the shop's orders", columns: { id: 'the key', gone: 'not landed' } }
    await land({ comments }, [[1, 'a']])
    const read = (): Promise<unknown> =>
      place.query(`SELECT comment FROM duckdb_tables() WHERE table_name = 'orders'
        UNION ALL SELECT comment FROM duckdb_columns() WHERE table_name = 'orders' AND column_name = 'id'`)
    expect(await read()).toEqual([["the shop's orders"], ['the key']])
    await land({ comments: { table: 'other', columns: { id: 'same' } } }, [])
    expect(await read()).toEqual([['other'], ['same']])
  })

  it('keeps views over a table working through new generations', async () => {
    await land({}, [[1, 'a']])
    await place.query('CREATE VIEW db.public.notes AS SELECT note FROM public.orders')
    await land({ generation: 2 }, [[2, 'b']])
    expect(await place.query('SELECT note FROM db.public.notes')).toEqual([['b']])
  })

  it('deletes by keys of several columns', async () => {
    const fields = [ID, { ...NOTE, nullable: false }]
    const key = ['note', 'id']
    await land({ fields, key }, [
      [1, 'a'],
      [1, 'b'],
      [2, 'a'],
    ])
    const destination = place.create()
    await inRun(destination, runOf(), async () => {
      const writer = await destination.begin(landingOf({ fields, key, expectedRunSeq: 1 }))
      const keys = makeBatch(
        [fields[1] ?? NOTE, ID],
        [
          ['a', 1],
          ['b', 1],
        ],
      )
      expect(
        await writer.reconcileKeys(
          (async function* () {
            await Promise.resolve()
            yield keys
          })(),
          { maxDeleted: 1 },
        ),
      ).toEqual({ deleted: 1 })
      await writer.commit(makeCheckpoint('2'))
    })
    expect(await place.query('SELECT id, note FROM db.public.orders ORDER BY note')).toEqual([
      [1, 'a'],
      [1, 'b'],
    ])
  })

  it('forgets rows that were marked once deletes are hard again', async () => {
    await land({ deletes: 'soft' }, [
      [1, 'a'],
      [2, 'b'],
    ])
    const soft = place.create()
    await inRun(soft, runOf(), async () => {
      const writer = await soft.begin(landingOf({ deletes: 'soft', expectedRunSeq: 1 }))
      await writer.reconcileKeys(keysOf(1), { maxDeleted: 1 })
      await writer.commit(makeCheckpoint('2'))
    })
    await land({}, [[3, 'c']])
    expect(await place.query('SELECT id FROM db.public.orders ORDER BY id')).toEqual([[1], [3]])
  })

  it('starts soft deletes on a table that was landed without', async () => {
    await land({}, [
      [1, 'a'],
      [2, 'b'],
    ])
    await land({ deletes: 'soft' }, [[2, 'B']])
    expect(
      await place.query('SELECT id, note, _trunkline_deleted_at FROM db.public.orders ORDER BY id'),
    ).toEqual([
      [1, 'a', null],
      [2, 'B', null],
    ])
  })

  it('says what to do when a table has been dropped behind its back', async () => {
    await land({}, [[1, 'a']])
    await place.query('DROP TABLE db.public.orders')
    await expect(land({}, [[2, 'b']])).rejects.toMatchObject({
      code: 'DESTINATION_FAILED',
      hint: expect.stringContaining('resync public.orders') as string,
    })
    await land({ generation: 2 }, [[3, 'c']])
    expect(await place.query('SELECT id FROM db.public.orders')).toEqual([[3]])
  })

  it('refuses rows of a column that the table lacks', async () => {
    await land({}, [[1, 'a']])
    await expect(land({ fields: [ID, NOTE, named('extra')] }, [[2, 'b', 'c']])).rejects.toMatchObject({
      code: 'DESTINATION_FAILED',
      message: expect.stringContaining('extra') as string,
    })
  })

  it('lets go at once when it is aborted while rows are on their way in', async () => {
    await land({}, [[1, 'a']])
    const destination = place.create()
    await inRun(destination, runOf(), async () => {
      const writer = await destination.begin(landingOf({ expectedRunSeq: 1 }))
      const batch = makeBatch(
        [ID, NOTE],
        Array.from({ length: 130_000 }, (_, id): Plain[] => [id, `note ${id}`]),
      )
      await writer.write(batch)
      const late = writer.write(batch).catch((error: unknown) => error)
      await writer.abort()
      await late
      await expect(writer.write(batch)).rejects.toMatchObject({ code: 'FENCED' })
      expect(await destination.readState('shop')).toHaveLength(1)
    })
    expect(await place.query('SELECT id, note FROM db.public.orders')).toEqual([[1, 'a']])
  })

  it('does not search for duplicates where the source enforces the key', async () => {
    await land({ keyEnforced: true }, [
      [1, 'a'],
      [1, 'b'],
    ])
    expect(await place.query('SELECT count(*)::INTEGER FROM db.public.orders')).toEqual([[2]])
  })
})

/** A file system of 16 MiB, where the test may mount one. */
function mountSmall(folder: string): boolean {
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=16m', 'tmpfs', folder], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

describe('a full disk', () => {
  it('fails the stream and keeps what was there, and the next run works', async () => {
    const folder = await mkdtemp(path.join(tmpdir(), 'trunkline-full-'))
    const mounted = mountSmall(folder)
    try {
      place = await makeDuckDbPlace({ folder, name: 'small.duckdb' })
      await land({}, [[1, 'a']])
      // Random text does not compress; where no small disk could be mounted, this many bytes do fit.
      const random = (): string => Array.from({ length: 40 }, () => Math.random().toString(36)).join('')
      const wide = Array.from({ length: 40_000 }, (_, id): Plain[] => [id, random()])
      const attempt = land({ generation: 2 }, wide)
      if (mounted) {
        await expect(attempt).rejects.toMatchObject({ code: 'DESTINATION_FULL' })
        expect(await place.query('SELECT id, note FROM db.public.orders')).toEqual([[1, 'a']])
        await land({}, [[2, 'b']])
        expect(await place.query('SELECT count(*)::INTEGER FROM db.public.orders')).toEqual([[2]])
      } else {
        await attempt
        expect(await place.query('SELECT count(*)::INTEGER FROM db.public.orders')).toEqual([[40_000]])
      }
    } finally {
      if (mounted) execFileSync('umount', [folder])
      await rm(folder, { recursive: true, force: true })
    }
  })
})
