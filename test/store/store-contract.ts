/** What every store keeps, whatever it keeps files in: src/destination/stores/store.ts, as tests. */
import { access, readFile } from 'node:fs/promises'
import { inspect } from 'node:util'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Store, StoredFile } from '../../src/destination/stores/store.js'

export interface StorePlace {
  /** Opens the same place again, as another process would. */
  open(): Store
  /** What is there, as somebody else than the store sees it: paths. */
  look(): Promise<readonly string[]>
  /** How many files are left half written. */
  unfinished(): Promise<number>
  /** Lets whatever is written there fail. */
  spoil(store: Store, path: string): Promise<void>
  dispose(): Promise<void>
}

export function describeStore(name: string, makePlace: () => Promise<StorePlace>): void {
  describe(`a store in ${name}`, () => {
    let place: StorePlace
    let store: Store

    beforeEach(async () => {
      place = await makePlace()
      store = place.open()
      await store.open({})
    })

    afterEach(async () => {
      await store.close()
      await place.dispose()
    })

    test('gives back what was put, byte for byte, and what replaced it', async () => {
      const content = Uint8Array.from({ length: 256 }, (_, index) => index)
      await store.put('data/a.bin', content)
      expect(await readBytes(store, 'data/a.bin')).toEqual(Array.from(content))
      await store.put('data/a.bin', Buffer.from('shorter'))
      expect(await readText(store, 'data/a.bin')).toBe('shorter')
      await store.put('empty', new Uint8Array(0))
      expect(await readText(store, 'empty')).toBe('')
    })

    test('reads null where there is no file: nothing, a folder, something below a file', async () => {
      await store.put('data/a', Buffer.from('1'))
      for (const path of ['data/none', 'nowhere/none', 'data', 'data/a/b']) {
        expect(await store.read(path), path).toBeNull()
        await expect(store.fetch(path), path).rejects.toMatchObject({
          code: 'DESTINATION_FAILED',
          message: expect.stringContaining(`${path} is not there`) as string,
        })
      }
    })

    test('writes a new file once: the second with other content is refused, with the same content it is the first', async () => {
      expect(await store.putNew('manifest/1.json', Buffer.from('one'))).toBe(true)
      expect(await store.putNew('manifest/1.json', Buffer.from('two'))).toBe(false)
      expect(await store.putNew('manifest/1.json', Buffer.from('one'))).toBe(true)
      expect(await readText(store, 'manifest/1.json')).toBe('one')
    })

    test('of many who write a new file at once exactly one does', async () => {
      const writers = Array.from({ length: 12 }, (_, index) => String(index))
      const outcomes = await Promise.all(
        writers.map((text) => store.putNew('manifest/2.json', Buffer.from(text))),
      )
      expect(outcomes.filter(Boolean)).toHaveLength(1)
      expect(await readText(store, 'manifest/2.json')).toBe(writers[outcomes.indexOf(true)])
    })

    test('a file appears whole when it is finished, and memory that was written from may be used again', async () => {
      const file = await store.create('data/part-1.bin')
      const piece = new Uint8Array(20_000)
      const expected: number[] = []
      for (let round = 0; round < 20; round++) {
        piece.fill(round)
        expected.push(...piece)
        await file.write([piece.subarray(0, 10), piece.subarray(10)])
      }
      piece.fill(255)
      expect(await store.read('data/part-1.bin')).toBeNull()
      expect(await paths(store.list(''))).toEqual([])
      await file.finish()
      expect(
        Buffer.compare((await store.read('data/part-1.bin')) ?? new Uint8Array(), Buffer.from(expected)),
      ).toBe(0)
    })

    test('a file without a byte is a file', async () => {
      const file = await store.create('data/none.bin')
      await file.finish()
      expect(await readText(store, 'data/none.bin')).toBe('')
    })

    test('nothing stays of a file that is aborted, before or after the first bytes, and an abort never fails', async () => {
      const first = await store.create('data/a.bin')
      await first.abort()
      const second = await store.create('data/a.bin')
      await second.write([new Uint8Array(300_000)])
      await second.abort()
      await second.abort()
      expect(await store.read('data/a.bin')).toBeNull()
      expect(await paths(store.list(''))).toEqual([])
      const third = await store.create('data/a.bin')
      await third.write([Buffer.from('kept')])
      await third.finish()
      await third.abort()
      expect(await readText(store, 'data/a.bin')).toBe('kept')
    })

    test('finishing a file replaces the one of that path', async () => {
      await store.put('data/a', Buffer.from('old and long'))
      const file = await store.create('data/a')
      await file.write([Buffer.from('new')])
      expect(await readText(store, 'data/a')).toBe('old and long')
      await file.finish()
      expect(await readText(store, 'data/a')).toBe('new')
    })

    test('lists files below a prefix in the order of their paths, with sizes, and from a path on', async () => {
      const names = [
        'b/2',
        'b/10',
        'a',
        'b/1',
        'b-1',
        'b/é',
        'b/x=1/y',
        'c & <d>',
        'd/🦆',
        'd/\uff00',
        'd🦆/x',
      ]
      for (const name of names) await store.put(name, Buffer.alloc(name.length))
      const listed = await collect(store.list(''))
      expect(listed.map((file) => file.path)).toEqual(inOrder(names))
      expect(listed.every((file) => file.bytes === file.path.length)).toBe(true)
      expect(await paths(store.list('d', { after: 'd/\uff00' }))).toEqual(['d/🦆', 'd🦆/x'])
      expect(await paths(store.list('b/'))).toEqual(inOrder(names.filter((name) => name.startsWith('b/'))))
      expect(await paths(store.list('b/1'))).toEqual(['b/1', 'b/10'])
      expect(await paths(store.list('b/', { after: 'b/10' }))).toEqual(
        inOrder(names.filter((name) => name > 'b/10' && name.startsWith('b/'))),
      )
      expect(await paths(store.list('', { after: 'zzz' }))).toEqual([])
      expect(await paths(store.list('nowhere/'))).toEqual([])
    })

    test('says when a file was written, by one clock', async () => {
      await store.put('first', Buffer.from('1'))
      await store.put('second', Buffer.from('2'))
      const [first, second] = await collect(store.list(''))
      expect(second?.modifiedAt.getTime()).toBeGreaterThanOrEqual(first?.modifiedAt.getTime() ?? Infinity)
    })

    test('removes files; those that are not there are none to it', async () => {
      for (const name of ['a/1', 'a/2', 'b']) await store.put(name, Buffer.from(name))
      await store.remove(['a/1', 'never', 'b'])
      expect(await paths(store.list(''))).toEqual(['a/2'])
      await store.remove([])
      await store.remove(['a/1', 'a', 'a/2/below'])
      expect(await paths(store.list(''))).toEqual(['a/2'])
    })

    test('is not opened when that is aborted, and says why', async () => {
      const reason = new Error('enough')
      await expect(place.open().open({ signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
      const controller = new AbortController()
      const again = place.open()
      const opening = again.open({ signal: controller.signal })
      controller.abort(reason)
      await expect(opening).rejects.toBe(reason)
      await again.close()
    })

    test('closed, keeps nothing of what was begun and not finished', async () => {
      const other = place.open()
      await other.open({})
      const before = await place.look()
      const file = await other.create('data/a')
      await file.write([new Uint8Array(300_000)])
      await other.close()
      expect(await place.look()).toEqual(before)
      expect(await place.unfinished()).toBe(0)
    })

    test('names a file in an error without the values of rows that its folder is called by', async () => {
      await place.spoil(store, 'data/region=canary/b=2/part')
      for (const work of [
        () => store.put('data/region=canary/b=2/part', Buffer.from('x')),
        async () => {
          const file = await store.create('data/region=canary/b=2/part')
          await file.finish()
        },
      ]) {
        const failure = await work().then(
          () => null,
          (error: unknown) => error,
        )
        expect(failure).toMatchObject({ name: 'TrunklineError' })
        const told = inspect(failure, { depth: 9 })
        expect(told).not.toContain('canary')
        expect(told).toContain('data/region=…/b=…')
      }
    })

    test('gives a copy on this machine that can be released', async () => {
      const content = Buffer.alloc(400_000, 'trunkline')
      await store.put('data/part.parquet', content)
      const copy = await store.fetch('data/part.parquet')
      expect(Buffer.compare(await readFile(copy.path), content)).toBe(0)
      expect(copy.path).toMatch(/\.parquet$/)
      await copy.release()
      await copy.release()
      expect(await readBytes(store, 'data/part.parquet')).toHaveLength(content.length)
      if (store.folder === undefined) await expect(access(copy.path)).rejects.toThrow()
    })

    test('opened again has what was written, and only that', async () => {
      await store.put('kept', Buffer.from('1'))
      const unfinished = await store.create('unfinished')
      await unfinished.write([new Uint8Array(300_000)])
      const again = place.open()
      await again.open({})
      expect(await paths(again.list(''))).toEqual(['kept'])
      expect(await readText(again, 'kept')).toBe('1')
      await again.close()
      await unfinished.abort()
      expect((await place.look()).filter((path) => !path.startsWith('_trunkline/'))).toEqual(['kept'])
    })

    test('can be opened twice', async () => {
      await store.put('kept', Buffer.from('1'))
      await store.open({})
      expect(await readText(store, 'kept')).toBe('1')
    })

    test('says where a file is as other programs name it', () => {
      expect(store.locate('data/a.parquet')).toMatch(/^(\/|s3:\/\/).*\/data\/a\.parquet$/)
    })
  })
}

async function collect(files: AsyncIterable<StoredFile>): Promise<readonly StoredFile[]> {
  const all: StoredFile[] = []
  for await (const file of files) all.push(file)
  return all
}

async function paths(files: AsyncIterable<StoredFile>): Promise<readonly string[]> {
  return (await collect(files)).map((file) => file.path)
}

async function readText(store: Store, path: string): Promise<string | null> {
  const content = await store.read(path)
  return content === null ? null : Buffer.from(content).toString()
}

async function readBytes(store: Store, path: string): Promise<readonly number[] | null> {
  const content = await store.read(path)
  return content === null ? null : Array.from(content)
}

/** Of their bytes. */
function inOrder(names: readonly string[]): readonly string[] {
  return names.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
}
