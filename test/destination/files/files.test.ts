import { execFileSync } from 'node:child_process'
import { mkdir, mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { hostname, tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { Batch } from '../../../src/batch/batch.js'
import type { Destination, TableName } from '../../../src/destination/contract.js'
import { collectGarbage } from '../../../src/destination/files/collect-garbage.js'
import { createCsvFormat } from '../../../src/destination/files/csv-format.js'
import { findFilesRun } from '../../../src/destination/files/files-destination.js'
import type { FileLayout } from '../../../src/destination/files/files-destination.js'
import { createJsonlFormat } from '../../../src/destination/files/jsonl-format.js'
import { createLocalStore } from '../../../src/destination/stores/local-store.js'
import { TrunklineError } from '../../../src/model/error.js'
import type { Field } from '../../../src/model/column-type.js'
import { makeBatch } from '../../../src/testing/make-batch.js'
import { ID, NOTE, inRun, landingOf, makeCheckpoint, orders, runOf } from '../../../src/testing/landings.js'
import type { Plain } from '../../../src/testing/plain.js'
import { makeFilesPlace, type FilesPlace } from './files-place.js'

const jsonl = await createJsonlFormat({})
const GONE = { pid: 2 ** 30, host: hostname(), processStartedAt: 0 }

let place: FilesPlace
beforeEach(async () => {
  place = await makeFilesPlace(jsonl)
})
afterEach(() => place.remove())

const tableOf = (name: string, schema = 'public'): TableName => ({ schema, name })
const store = (): ReturnType<typeof createLocalStore> => createLocalStore({ path: place.folder })

/** A run of its own that replaces a table. */
async function land(
  rows: Batch,
  options: {
    readonly table?: TableName
    readonly layout?: FileLayout
    readonly fields?: readonly Field[]
  } = {},
): Promise<void> {
  const { table = tableOf('orders'), layout = {}, fields = [ID, NOTE] } = options
  const stream = `${table.schema}.${table.name}`
  const destination = place.create({ layout })
  await inRun(destination, runOf(), async (state) => {
    const { runSeq = 0, generation = 0 } = state.streams.get(stream) ?? {}
    const writer = await destination.begin(
      landingOf({
        stream,
        table,
        fields,
        landing: 'replace',
        generation: generation + 1,
        expectedRunSeq: runSeq,
      }),
    )
    await writer.write(rows)
    await writer.commit(makeCheckpoint(String(runSeq + 1)))
  })
}

/** Every file below the folder, relative, sorted, without those in which Trunkline keeps its own. */
async function dataFiles(): Promise<readonly string[]> {
  const all = await readdir(place.folder, { recursive: true, withFileTypes: true })
  return all
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(place.folder, path.join(entry.parentPath, entry.name)))
    .filter((file) => file.startsWith('public.') && file.endsWith('.jsonl'))
    .sort()
}

describe('names of tables', () => {
  it('all become folders below the root, each its own, and views of the very name', async () => {
    const names = [
      'a/b',
      'a_x2F_b',
      '..',
      '.',
      'ünïcode',
      'semi;colon',
      'per%cent',
      'sp ace',
      "quo'te",
      'n'.repeat(300),
    ]
    names.push('n'.repeat(299) + 'm', '"; DROP TABLE x; --', 'con', '🦆')
    for (const [index, name] of names.entries()) await land(orders([index, name]), { table: tableOf(name) })
    for (const [index, name] of names.entries()) {
      expect(await place.readRows(tableOf(name), [ID, NOTE])).toEqual([[index, name]])
    }
    const folders = await readdir(place.folder)
    expect(folders.filter((folder) => folder.startsWith('public.'))).toHaveLength(names.length)
    for (const folder of folders) {
      expect(folder).toMatch(/^[\w.-]+$/)
      expect(folder.length).toBeLessThan(256)
    }
    expect(await readdir(path.dirname(place.folder))).toEqual(['lake'])
  })

  it('that differ in case alone fold to the same', () => {
    const { foldName } = place.create().capabilities
    expect(foldName('Orders')).toBe(foldName('oRDERS'))
    expect(foldName('É')).toBe(foldName('é'))
    expect(foldName('e\u0301')).toBe(foldName('é'))
  })
})

describe('files', () => {
  it('are for their owner alone', async () => {
    await land(orders([1, 'a']))
    for (const entry of await readdir(place.folder, { recursive: true, withFileTypes: true })) {
      const { mode } = await stat(path.join(entry.parentPath, entry.name))
      expect(mode & 0o777).toBe(entry.isDirectory() ? 0o700 : 0o600)
    }
  })

  it('are ended at a number of rows, and at a size', async () => {
    const rows = orders(...Array.from({ length: 10 }, (_, id) => [id, `note ${id}`] as const))
    await land(rows, { layout: { maxFileRows: 3 } })
    expect(await dataFiles()).toHaveLength(4)
    expect(await place.query('SELECT count(*)::INTEGER, sum(id)::INTEGER FROM public.orders')).toEqual([
      [10, 45],
    ])
    await collectGarbage(store(), { olderThanMs: 0, dryRun: false })

    const destination = place.create({ layout: { maxFileBytes: 1 } })
    await inRun(destination, runOf(), async () => {
      const writer = await destination.begin(
        landingOf({ landing: 'replace', generation: 2, expectedRunSeq: 1 }),
      )
      for (let id = 0; id < 3; id++) await writer.write(orders([id, 'x']))
      await writer.commit(makeCheckpoint('2'))
    })
    expect((await dataFiles()).filter((file) => file.includes('gen-2'))).toHaveLength(3)
    expect(await place.query('SELECT count(*)::INTEGER FROM public.orders')).toEqual([[3]])
  })

  it('are divided into folders by the values of a column, which they keep', async () => {
    const values = ['eu', 'us', null, 'a/b', '', '..', '1', '01']
    const rows = Array.from({ length: 40 }, (_, id): Plain[] => [id, values[id % values.length] ?? null])
    const layout = { partitionBy: [{ table: 'public.orders', column: 'note' }] }
    await land(makeBatch([ID, NOTE], rows), { layout })
    const read = await place.readRows(tableOf('orders'), [ID, NOTE])
    expect([...(read ?? [])].sort((a, b) => Number(a[0]) - Number(b[0]))).toEqual(rows)
    const folders = (await dataFiles()).map((file) => file.split('/')[3])
    expect(folders).toContain('note=__HIVE_DEFAULT_PARTITION__')
    expect(folders).toContain('note=a%2Fb')
    expect(new Set(folders).size).toBe(values.length)
  })

  it('of many values are never open all at once, and none of their rows is lost', async () => {
    const rows = Array.from({ length: 400 }, (_, id): Plain[] => [id, `value ${id % 50}`])
    const layout = { partitionBy: [{ table: null, column: 'note' }] }
    const destination = place.create({ layout })
    await inRun(destination, runOf(), async () => {
      const writer = await destination.begin(landingOf({ landing: 'replace' }))
      await writer.write(makeBatch([ID, NOTE], rows.slice(0, 200)))
      await writer.write(makeBatch([ID, NOTE], rows.slice(200)))
      expect(await writer.liveCount()).toBe(400)
      await writer.commit(makeCheckpoint('1'))
    })
    expect(
      await place.query('SELECT count(DISTINCT id)::INTEGER, count(*)::INTEGER FROM public.orders'),
    ).toEqual([[400, 400]])
  })

  it('are refused a column to be divided by that the table has not', async () => {
    const layout = { partitionBy: [{ table: 'public.orders', column: 'region' }] }
    await expect(land(orders([1, 'a']), { layout })).rejects.toMatchObject({ code: 'DESTINATION_INVALID' })
    await land(orders([1, 'a']), { layout: { partitionBy: [{ table: null, column: 'region' }] } })
  })
})

describe('a folder', () => {
  it('that holds something else is refused, and left as it was, unless it is adopted', async () => {
    await mkdir(place.folder, { recursive: true })
    await writeFile(path.join(place.folder, 'thesis.txt'), 'mine')
    await expect(land(orders([1, 'a']))).rejects.toMatchObject({ code: 'TABLE_OWNED' })
    const destination = place.create()
    await inRun(destination, runOf({ adopt: true }), async () => {
      const writer = await destination.begin(landingOf({ landing: 'replace' }))
      await writer.write(orders([1, 'a']))
      await writer.commit(makeCheckpoint('1'))
    })
    expect(await readFile(path.join(place.folder, 'thesis.txt'), 'utf8')).toBe('mine')
    await collectGarbage(store(), { olderThanMs: 0, dryRun: false })
    expect(await readFile(path.join(place.folder, 'thesis.txt'), 'utf8')).toBe('mine')
  })

  it('of files of one kind takes no others', async () => {
    await land(orders([1, 'a']))
    const csv = await createCsvFormat({})
    await expect(place.create({ format: csv }).open(runOf())).rejects.toMatchObject({
      code: 'DESTINATION_INVALID',
      message: expect.stringContaining('jsonl') as string,
    })
  })

  it('that is a file is refused', async () => {
    await writeFile(place.folder, '')
    await expect(place.create().open(runOf())).rejects.toMatchObject({ code: 'DESTINATION_INVALID' })
    await rm(place.folder)
  })

  it('of a read-only file system is refused, where one can be mounted', async () => {
    await land(orders([1, 'a']))
    if (!mount('--bind', place.folder, place.folder)) return
    try {
      execFileSync('mount', ['-o', 'remount,ro,bind', place.folder], { stdio: 'ignore' })
      await expect(place.create().open(runOf())).rejects.toMatchObject({ code: 'DESTINATION_READ_ONLY' })
      expect(await place.create().readState('shop')).toHaveLength(1)
    } finally {
      execFileSync('umount', [place.folder])
    }
  })

  it('of CSV files of one form takes none of another, which readers would read as those', async () => {
    const form = async (options: Record<string, string>): Promise<Destination> =>
      place.create({ format: await createCsvFormat(options) })
    const semicolons = { delimiter: ';', null_text: 'NULL' }
    await inRun(await form(semicolons), runOf(), () => Promise.resolve())
    await inRun(await form({ ...semicolons, formulas: 'escape' }), runOf(), () => Promise.resolve())
    for (const options of [{}, { ...semicolons, compression: 'gzip' }]) {
      await expect((await form(options)).open(runOf())).rejects.toMatchObject({
        code: 'DESTINATION_INVALID',
        hint: expect.stringContaining('?delimiter=;&null_text=NULL behind it') as string,
      })
    }
  })

  it('without room fails the stream, keeps what was there, and takes the next run', async () => {
    const folder = await mkdtemp(path.join(tmpdir(), 'trunkline-full-'))
    const mounted = mount('-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', folder)
    try {
      const full = (): ReturnType<typeof place.create> =>
        place.create({ store: createLocalStore({ path: path.join(folder, 'lake') }) })
      const landRows = (rows: Batch, generation: number, expectedRunSeq: number): Promise<void> => {
        const destination = full()
        return inRun(destination, runOf(), async () => {
          const writer = await destination.begin(
            landingOf({ landing: 'replace', generation, expectedRunSeq }),
          )
          await writer.write(rows)
          await writer.commit(makeCheckpoint('1'))
        })
      }
      await landRows(orders([1, 'a']), 1, 0)
      const wide = orders(...Array.from({ length: 4000 }, (_, id) => [id, 'x'.repeat(2000)] as const))
      const attempt = landRows(wide, 2, 1)
      if (!mounted) return await attempt
      await expect(attempt).rejects.toMatchObject({ code: 'DESTINATION_FULL' })
      const [state] = await full().readState('shop')
      expect(state?.streams.get('public.orders')).toMatchObject({ generation: 1, runSeq: 1 })
      await landRows(orders([2, 'b']), 2, 1)
    } finally {
      if (mounted) execFileSync('umount', [folder])
      await rm(folder, { recursive: true, force: true })
    }
  })

  it('whose store fails as a full disk does keeps what was there', async () => {
    await land(orders([1, 'a']))
    const inner = store()
    const full: typeof inner = Object.assign(Object.create(inner) as typeof inner, {
      description: inner.description,
      locate: (file: string) => inner.locate(file),
      open: (options: object) => inner.open(options),
      read: (file: string) => inner.read(file),
      list: (prefix: string, options?: { after?: string }) => inner.list(prefix, options),
      put: (file: string, content: Uint8Array) => inner.put(file, content),
      putNew: (file: string, content: Uint8Array) => inner.putNew(file, content),
      remove: (files: readonly string[]) => inner.remove(files),
      close: () => inner.close(),
      create: async (file: string) => {
        const made = await inner.create(file)
        const fail = (): Promise<void> =>
          Promise.reject(new TrunklineError('DESTINATION_FULL', 'No space is left.'))
        return { write: fail, finish: fail, abort: () => made.abort() }
      },
    })
    const destination = place.create({ store: full })
    await inRun(destination, runOf(), async () => {
      const writer = await destination.begin(
        landingOf({ landing: 'replace', generation: 2, expectedRunSeq: 1 }),
      )
      await expect(
        writer.write(orders([2, 'b'])).then(() => writer.commit(makeCheckpoint('2'))),
      ).rejects.toMatchObject({
        code: 'DESTINATION_FULL',
      })
      await writer.abort()
    })
    expect(await place.readRows(tableOf('orders'), [ID, NOTE])).toEqual([[1, 'a']])
    expect(await readdir(path.join(place.folder, '_trunkline/tmp'))).toEqual([])
  })
})

it('a destination that was only looked at, or was held by another run, closes its store', async () => {
  const running = place.create()
  await running.open(runOf())
  for (const look of [
    (destination: Destination) => destination.readState('shop'),
    (destination: Destination) => destination.open(runOf({ runId: 'run-2' })).catch(() => null),
  ]) {
    const looked = store()
    const closing = vi.spyOn(looked, 'close')
    const destination = place.create({ store: looked })
    await look(destination)
    expect(closing).not.toHaveBeenCalled()
    await destination.close()
    expect(closing).toHaveBeenCalledOnce()
  }
  await running.close()
})

describe('two runs', () => {
  it('of one sync: the second one waits while the first one lives, and status tells', async () => {
    const first = place.create()
    await first.open(runOf())
    await expect(place.create().open(runOf({ runId: 'run-2' }))).rejects.toMatchObject({
      code: 'DESTINATION_LOCKED',
      retry: 'backoff',
    })
    expect(await findFilesRun(store())).toMatchObject({ pid: process.pid, sync: 'shop', runId: 'run-1' })
    await expect(place.create().editState('shop', 'public.orders', { kind: 'resync' })).rejects.toMatchObject(
      {
        code: 'STREAM_MISSING',
      },
    )
    await first.close()
    expect(await findFilesRun(store())).toBeNull()
    const second = place.create()
    await second.open(runOf({ runId: 'run-2' }))
    await second.close()
  })

  it('of one sync: whose process is gone is taken over from, and can commit no more', async () => {
    await land(orders([1, 'a']))
    const gone = place.create({ identity: GONE })
    await gone.open(runOf())
    const writer = await gone.begin(landingOf({ landing: 'replace', generation: 2, expectedRunSeq: 1 }))
    await writer.write(orders([2, 'late']))
    const next = place.create()
    const state = await next.open(runOf({ runId: 'run-2' }))
    expect(state.epoch).toBe(3)
    await expect(writer.commit(makeCheckpoint('9'))).rejects.toMatchObject({ code: 'FENCED' })
    await gone.close()
    const present = await next.begin(landingOf({ landing: 'replace', generation: 2, expectedRunSeq: 1 }))
    await present.write(orders([3, 'next']))
    await present.commit(makeCheckpoint('2'))
    await next.close()
    expect(await place.readRows(tableOf('orders'), [ID, NOTE])).toEqual([[3, 'next']])
  })

  it('of several syncs commit side by side, each of their commits once', async () => {
    const syncs = ['a', 'b', 'c', 'd']
    await Promise.all(
      syncs.map(async (sync) => {
        const destination = place.create()
        await inRun(destination, runOf({ sync }), async () => {
          for (let commit = 0; commit < 5; commit++) {
            const landing = landingOf({
              table: tableOf(sync),
              landing: 'append',
              key: null,
              deletes: 'ignore',
              expectedRunSeq: commit,
            })
            const writer = await destination.begin(landing)
            await writer.write(orders([commit, sync]))
            await writer.commit(makeCheckpoint(String(commit)))
          }
        })
      }),
    )
    const states = await place.create().readState(null)
    expect(states.map(({ sync, streams }) => [sync, streams.get('public.orders')?.runSeq])).toEqual(
      syncs.map((sync) => [sync, 5]),
    )
    for (const sync of syncs) {
      expect(await place.query(`SELECT count(*)::INTEGER, sum(id)::INTEGER FROM public.${sync}`)).toEqual([
        [5, 10],
      ])
    }
  })
})

describe('gc', () => {
  it('keeps what a run that goes on has written, and takes what one that is gone has left', async () => {
    await land(orders([1, 'a']))
    const live = place.create()
    await live.open(runOf({ sync: 'live' }))
    const writer = await live.begin(landingOf({ stream: 'live', table: tableOf('live'), landing: 'replace' }))
    await writer.write(orders([5, 'written']))
    await writer.liveCount()
    const gone = place.create({ identity: GONE, layout: { maxFileRows: 1 } })
    await gone.open(runOf({ sync: 'gone' }))
    const lost = await gone.begin(landingOf({ stream: 'gone', table: tableOf('gone'), landing: 'replace' }))
    await lost.write(orders([6, 'finished'], [7, 'too']))

    // The second one is finished beside what would come next.
    const filesOfGone = async (): Promise<number> =>
      (await dataFiles()).filter((file) => file.startsWith('public.gone')).length
    await vi.waitUntil(async () => (await filesOfGone()) === 2, { timeout: 30_000 })
    const garbage = await collectGarbage(store(), { olderThanMs: 0, dryRun: false })
    expect(garbage).toMatchObject({ files: 2 })
    expect(await filesOfGone()).toBe(0)
    // It was told: whoever wakes up cannot commit files that are gone.
    await expect(lost.commit(makeCheckpoint('1'))).rejects.toMatchObject({ code: 'FENCED' })
    await writer.commit(makeCheckpoint('1'))
    await live.close()
    await gone.close()
    expect(await place.readRows(tableOf('live'), [ID, NOTE])).toEqual([[5, 'written']])
    expect(await place.readRows(tableOf('orders'), [ID, NOTE])).toEqual([[1, 'a']])
  })

  it('leaves young files alone, and takes the files of earlier generations', async () => {
    await land(orders([1, 'a']))
    await land(orders([2, 'b']))
    expect(await collectGarbage(store(), { olderThanMs: 3_600_000, dryRun: false })).toMatchObject({
      files: 0,
    })
    expect(await collectGarbage(store(), { olderThanMs: 0, dryRun: true })).toMatchObject({ files: 1 })
    expect(await dataFiles()).toHaveLength(2)
    expect(await collectGarbage(store(), { olderThanMs: 0, dryRun: false })).toMatchObject({ files: 1 })
    expect(await dataFiles()).toHaveLength(1)
    expect(await place.readRows(tableOf('orders'), [ID, NOTE])).toEqual([[2, 'b']])
  })

  it('does nothing where nothing was ever landed', async () => {
    expect(await collectGarbage(store(), { olderThanMs: 0, dryRun: false })).toEqual({
      files: 0,
      bytes: 0,
      manifests: 0,
      leftovers: 0,
    })
    expect(await readdir(path.dirname(place.folder))).toEqual([])
  })
})

/** Whether the test may mount. */
function mount(...args: readonly string[]): boolean {
  try {
    execFileSync('mount', args, { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}
