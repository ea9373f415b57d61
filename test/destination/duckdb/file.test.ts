import { chmod, mkdir, readFile, readdir, rm, stat, symlink, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createDuckDbDestination } from '../../../src/destination/duckdb/duckdb-destination.js'
import { NEWEST_STORAGE_VERSION } from '../../../src/destination/duckdb/inspect-file.js'
import { inRun, landingOf, makeCheckpoint, orders, runOf } from '../../../src/testing/landings.js'
import { holdFile, startRuns } from './child.js'
import type { DuckDbPlace } from './duckdb-place.js'
import { makeDuckDbPlace } from './duckdb-place.js'

let place: DuckDbPlace
beforeEach(async () => {
  place = await makeDuckDbPlace()
})
afterEach(() => place.remove())

async function landOne(at: DuckDbPlace, note: string, generation = 1): Promise<void> {
  const destination = at.create()
  await inRun(destination, runOf(), async (state) => {
    const expectedRunSeq = state.streams.get('public.orders')?.runSeq ?? 0
    const writer = await destination.begin(landingOf({ generation, expectedRunSeq }))
    await writer.write(orders([1, note]))
    await writer.commit(makeCheckpoint('1'))
  })
}

const openAt = (file: string): Promise<unknown> =>
  createDuckDbDestination({ path: file, publish: 'direct' }).open(runOf())

describe('a DuckDB destination that is not one', () => {
  it('is a directory', async () => {
    await mkdir(place.file)
    await expect(openAt(place.file)).rejects.toMatchObject({ code: 'DESTINATION_INVALID' })
    expect(await readdir(place.file)).toEqual([])
  })

  it('is in a folder that does not exist', async () => {
    const file = path.join(place.folder, 'missing', 'copy.duckdb')
    await expect(openAt(file)).rejects.toMatchObject({
      code: 'DESTINATION_INVALID',
      hint: expect.stringContaining('mkdir -p') as string,
    })
  })

  it.each([
    ['empty', ''],
    ['text', 'id,name\n1,a\n'],
  ])('is another kind of file: %s', async (_kind, content) => {
    await writeFile(place.file, content)
    await expect(openAt(place.file)).rejects.toMatchObject({ code: 'DESTINATION_INVALID' })
    expect(await readFile(place.file, 'utf8')).toBe(content)
  })

  it('is of a newer storage version than DuckDB here reads', async () => {
    await landOne(place, 'a')
    const bytes = await readFile(place.file)
    bytes.writeBigUInt64LE(NEWEST_STORAGE_VERSION + 1n, 12)
    await writeFile(place.file, bytes)
    await expect(openAt(place.file)).rejects.toMatchObject({
      code: 'DESTINATION_INVALID',
      message: expect.stringContaining('newer DuckDB') as string,
    })
  })

  it('has a storage version as new as DuckDB here writes', async () => {
    const instance = await DuckDBInstance.create(':memory:')
    const connection = await instance.connect()
    await connection.run(`ATTACH '${place.file}' AS newest (STORAGE_VERSION 'latest')`)
    await connection.run('DETACH newest')
    connection.closeSync()
    instance.closeSync()
    expect((await readFile(place.file)).readBigUInt64LE(12)).toBe(NEWEST_STORAGE_VERSION)
    await landOne(place, 'a')
  })

  it('has saved state of a newer Trunkline', async () => {
    await landOne(place, 'a')
    await place.query('UPDATE db._trunkline.layout SET format = 2')
    await expect(openAt(place.file)).rejects.toMatchObject({ code: 'STATE_TOO_NEW' })
    await expect(place.create().readState(null)).rejects.toMatchObject({ code: 'STATE_TOO_NEW' })
  })

  it('is read-only, or in a folder that is', async () => {
    await landOne(place, 'a')
    await asOrdinaryUser(
      place.folder,
      async () => {
        await chmod(place.file, 0o444)
        await chmod(place.folder, 0o555)
      },
      async () => {
        await expect(openAt(place.file)).rejects.toMatchObject({ code: 'DESTINATION_READ_ONLY' })
        await expect(openAt(path.join(place.folder, 'new.duckdb'))).rejects.toMatchObject({
          code: 'DESTINATION_READ_ONLY',
        })
        expect(await place.create().readState('shop')).toHaveLength(1)
      },
    )
    await chmod(place.folder, 0o755)
    await chmod(place.file, 0o644)
    await landOne(place, 'b')
  })
})

/** Root may write everything, so as root the work is done with another effective user. */
async function asOrdinaryUser(
  folder: string,
  prepare: () => Promise<void>,
  work: () => Promise<void>,
): Promise<void> {
  await prepare()
  if (process.getuid?.() !== 0 || !process.seteuid) return work()
  await stat(folder)
  process.seteuid(65534)
  try {
    await work()
  } finally {
    process.seteuid(0)
  }
}

describe('a DuckDB file that is in use', () => {
  it('by another program: the error has its process id, and the next run works', async () => {
    await landOne(place, 'a')
    const holder = holdFile(place.file)
    await holder.waitFor('held')
    await expect(openAt(place.file)).rejects.toMatchObject({
      code: 'DESTINATION_LOCKED',
      retry: 'backoff',
      message: expect.stringContaining(String(holder.process.pid)) as string,
    })
    await expect(place.create().readState(null)).rejects.toMatchObject({ code: 'DESTINATION_LOCKED' })
    await holder.kill()
    await landOne(place, 'b')
    expect(await place.query('SELECT note FROM db.public.orders')).toEqual([['b']])
  })

  it.each(['direct', 'atomic'] as const)('by another run (%s): the error says which', async (publish) => {
    const other = startRuns(place.file, publish, 3_000_000)
    await other.waitFor('wrote')
    await expect(createDuckDbDestination({ path: place.file, publish }).open(runOf())).rejects.toMatchObject({
      code: 'DESTINATION_LOCKED',
      message: expect.stringMatching(
        new RegExp(`process ${other.process.pid} .*syncing shop since`),
      ) as string,
    })
    await other.kill()
    await landOne(place, 'b')
  })

  it('by this process: refused, whatever name it goes by', async () => {
    await landOne(place, 'a')
    const link = path.join(place.folder, 'link.duckdb')
    await symlink(place.file, link)
    const first = place.create()
    await first.open(runOf())
    await expect(openAt(link)).rejects.toMatchObject({ code: 'DESTINATION_LOCKED' })
    await expect(place.create().readState(null)).rejects.toMatchObject({ code: 'DESTINATION_LOCKED' })
    expect(await first.readState('shop')).toHaveLength(1)
    await first.close()
    await landOne(place, 'b')
  })

  it('keeps its lock against others for as long as the run lasts', async () => {
    const destination = place.create()
    await destination.open(runOf())
    const writer = await destination.begin(landingOf())
    await writer.write(orders([1, 'a']))
    await writer.commit(makeCheckpoint('1'))
    const second = await destination.begin(landingOf({ stream: 's', table: { schema: 'public', name: 's' } }))
    await second.write(orders([1, 'a']))
    const holder = holdFile(place.file)
    await expect(holder.waitFor('held')).rejects.toThrow(/Conflicting lock/)
    await second.commit(makeCheckpoint('1'))
    await destination.close()
  })
})

describe('a DuckDB destination that prepares itself', () => {
  it('leaves no trace when it is not opened', async () => {
    const destination = place.create()
    destination.prepare?.()
    destination.prepare?.()
    await destination.close()
    expect(await readdir(place.folder)).toEqual([])
  })

  it('opens as it would have without, also when the file is refused at first', async () => {
    await writeFile(place.file, 'text')
    const destination = place.create()
    destination.prepare?.()
    await expect(destination.open(runOf())).rejects.toMatchObject({ code: 'DESTINATION_INVALID' })
    await rm(place.file)
    await inRun(destination, runOf(), () => Promise.resolve())
    expect(await readdir(place.folder)).toEqual([path.basename(place.file)])
  })
})

describe('a DuckDB file among others', () => {
  it.each(['public.duckdb', 'main.duckdb', 'a.b.duckdb', `it's "quoted" 🎉.db`, '_trunkline.duckdb'])(
    'works under the name %s, and its example query runs there',
    async (name) => {
      const named = await makeDuckDbPlace({ folder: place.folder, name })
      for (const schema of ['public', 'main', 'Weird "schema"']) {
        const table = { schema, name: 'orders' }
        const destination = named.create()
        await inRun(destination, runOf(), async () => {
          const writer = await destination.begin(landingOf({ stream: `${schema}.orders`, table }))
          await writer.write(orders([1, schema]))
          await writer.commit(makeCheckpoint('1'))
        })
        const instance = await DuckDBInstance.create(named.file)
        const connection = await instance.connect()
        const found = await connection.runAndReadAll(named.create().exampleQuery(table))
        expect(found.getRows()).toEqual([[1, schema]])
        connection.closeSync()
        instance.closeSync()
      }
    },
  )

  it('leaves nothing beside the file, and removes what a crashed run left', async () => {
    await mkdir(`${place.file}.trunkline-tmp-abcdef`)
    await writeFile(`${place.file}.trunkline-tmp-abcdef/1-0-0.parquet`, 'rows')
    await landOne(place, 'a')
    expect(await readdir(place.folder)).toEqual(['copy.duckdb'])
  })

  it('lets nobody else read anything of it, whatever the umask', async () => {
    const before = process.umask(0)
    try {
      const destination = place.create()
      await destination.open(runOf())
      for (const stream of ['a', 'b']) {
        const writer = await destination.begin(
          landingOf({ stream, table: { schema: 'public', name: stream } }),
        )
        await writer.write(orders([1, 'a']))
        await writer.commit(makeCheckpoint('1'))
      }
      const entries = await readdir(place.folder)
      expect(entries).toContain('copy.duckdb.wal')
      expect(entries).toContain('copy.duckdb.trunkline-run.json')
      for (const entry of entries) {
        expect([entry, (await stat(path.join(place.folder, entry))).mode & 0o077]).toEqual([entry, 0])
      }
      await destination.close()
      expect((await stat(place.file)).mode & 0o777).toBe(0o600)
    } finally {
      process.umask(before)
    }
  })

  it('tells what the run is doing while it goes on', async () => {
    const destination = place.create()
    await destination.open(runOf({ runId: 'r7' }))
    const note = JSON.parse(await readFile(`${place.file}.trunkline-run.json`, 'utf8')) as unknown
    expect(note).toMatchObject({
      v: 1,
      pid: process.pid,
      sync: 'shop',
      runId: 'r7',
      startedAt: '2026-01-02T03:04:05.000Z',
    })
    await destination.close()
  })
})

describe('publish=atomic', () => {
  it('shows readers the old file until the run is over, and disturbs nobody who has it open', async () => {
    await landOne(place, 'old')
    const reader = await DuckDBInstance.create(place.file, { access_mode: 'READ_ONLY' })
    const connection = await reader.connect()
    const notes = async (): Promise<unknown> =>
      (await connection.runAndReadAll('SELECT note FROM public.orders')).getRows()

    const destination = place.create('atomic')
    const state = await destination.open(runOf({ runId: 'run-2' }))
    expect(state.streams.get('public.orders')?.runSeq).toBe(1)
    const writer = await destination.begin(landingOf({ expectedRunSeq: 1 }))
    await writer.write(orders([1, 'new']))
    await writer.commit(makeCheckpoint('2'))
    expect(await notes()).toEqual([['old']])
    expect((await place.create('atomic').readState('shop'))[0]?.streams.get('public.orders')?.runSeq).toBe(1)
    await destination.close()

    expect(await notes()).toEqual([['old']])
    connection.closeSync()
    reader.closeSync()
    expect(await place.query('SELECT note FROM db.public.orders')).toEqual([['new']])
    expect(await readdir(place.folder)).toEqual(['copy.duckdb'])
  })

  it('publishes over nothing that changed meanwhile', async () => {
    await landOne(place, 'old')
    const destination = place.create('atomic')
    await destination.open(runOf())
    const writer = await destination.begin(landingOf({ expectedRunSeq: 1 }))
    await writer.write(orders([1, 'mine']))
    await writer.commit(makeCheckpoint('2'))
    await place.query("UPDATE db.public.orders SET note = 'theirs'")
    await expect(destination.close()).rejects.toMatchObject({ code: 'FENCED' })
    expect(await place.query('SELECT note FROM db.public.orders')).toEqual([['theirs']])
    // The next run starts from what is there.
    const again = place.create('atomic')
    const state = await again.open(runOf())
    expect(state.streams.get('public.orders')?.runSeq).toBe(1)
    await again.close()
  })
})
