import dns from 'node:dns'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { createS3Store } from '../../src/destination/stores/s3-store.js'
import { partBytesAt } from '../../src/destination/stores/s3-upload.js'
import type { Store } from '../../src/destination/stores/store.js'
import type { LogFields } from '../../src/model/log.js'
import { silentLogger } from '../../src/model/log.js'
import { makeS3Store, noCloud, stubEnvironment } from './open-s3-store.js'
import { startS3Server, type S3Server, type S3ServerOptions } from './s3-server.js'

const MIB = 1024 * 1024
const cleanups: (() => Promise<void>)[] = []

afterEach(async () => {
  for (const clean of cleanups.splice(0).reverse()) await clean()
  vi.unstubAllEnvs()
  vi.restoreAllMocks()
})

async function startServer(options: S3ServerOptions = {}): Promise<S3Server> {
  const server = await startS3Server(options)
  cleanups.push(async () => server[Symbol.asyncDispose]())
  return server
}

function openStore(...args: Parameters<typeof makeS3Store>): Store {
  const store = makeS3Store(...args)
  cleanups.push(() => store.close())
  return store
}

const text = async (store: Store, path: string): Promise<string> =>
  Buffer.from((await store.read(path)) ?? '(none)').toString()

/** In place of the name servers of this machine: `*.test` is here, nothing else is anywhere. */
function answerNames(): void {
  const lookup = dns.lookup as (...args: unknown[]) => void
  const answer = (name: string, ...rest: unknown[]): void => {
    if (/^[0-9.]+$/.test(name)) return lookup(name, ...rest)
    if (name.endsWith('.test')) return lookup('127.0.0.1', ...rest)
    const tell = rest.at(-1) as (error: Error) => void
    process.nextTick(() => tell(Object.assign(new Error('no such name'), { code: 'ENOTFOUND' })))
  }
  vi.spyOn(dns as { lookup: typeof answer }, 'lookup').mockImplementation(answer)
}

async function listPaths(store: Store): Promise<string[]> {
  const all: string[] = []
  for await (const { path } of store.list('')) all.push(path)
  return all
}

describe('uploading', () => {
  test('a file larger than a part goes in parts, each with its checksum, and a small one in one request', async () => {
    const server = await startServer()
    const store = openStore(server)
    const content = Buffer.alloc(20 * MIB + 5, 'some bytes')
    const file = await store.create('big.bin')
    // Pieces of all sizes, so that buffers grow, fill exactly and overflow.
    const sizes = [1, 100_000, 262_144, 3 * MIB + 7, 9 * MIB]
    for (let at = 0, round = 0; at < content.length; round++) {
      const size = sizes[round % sizes.length] ?? 1
      await file.write([content.subarray(at, at + size)])
      at += size
    }
    await file.finish()
    expect(server.objects.get('shop/daily/big.bin')?.content.equals(content)).toBe(true)
    const parts = server.calls.filter(({ operation }) => operation === 'UploadPart')
    expect(parts.map((part) => part.content.length).toSorted((a, b) => a - b)).toEqual([
      4 * MIB + 5,
      8 * MIB,
      8 * MIB,
    ])
    expect(parts.every(({ headers }) => headers['x-amz-checksum-crc32'] !== undefined)).toBe(true)
    expect(server.uploads.size).toBe(0)

    const small = await store.create('small.bin')
    await small.write([Buffer.alloc(5 * MIB)])
    await small.finish()
    expect(server.count('CreateUpload')).toBe(1)
    expect(server.objects.get('shop/daily/small.bin')?.content.length).toBe(5 * MIB)
  })

  test('10,000 parts make 820 GiB, and the first 39 GiB are in parts of one size', () => {
    let bytes = 0
    for (let index = 0; index < 10_000; index++) bytes += partBytesAt(index)
    expect(bytes / 1024 ** 3).toBeGreaterThan(819)
    expect(new Set(Array.from({ length: 5000 }, (_, index) => partBytesAt(index)))).toEqual(
      new Set([8 * MIB]),
    )
  })

  test('at most a few parts are held: writing waits for the store', async () => {
    const server = await startServer()
    const store = openStore(server, {}, { patience: { idleMs: 60_000 } })
    server.inject({ on: 'UploadPart', trouble: { kind: 'silence', effect: false }, times: 100 })
    const file = await store.create('big.bin')
    let written = 0
    const writing = (async () => {
      for (; written < 100; written++) await file.write([Buffer.alloc(MIB)])
    })().catch(() => undefined)
    // Two parts of 8 MiB on their way, and a third full: that is where it waits.
    await vi.waitUntil(() => server.count('UploadPart') >= 2 && written >= 16, { timeout: 30_000 })
    await sleep(50)
    expect(written).toBeLessThanOrEqual(24)
    await file.abort()
    await writing
    expect(server.uploads.size).toBe(0)
  })

  test('closing the store aborts what was not finished', async () => {
    const server = await startServer({ minPartBytes: 1 })
    const store = openStore(server, {}, { partBytes: () => 1000 })
    const file = await store.create('a')
    await file.write([Buffer.alloc(5000)])
    expect(server.uploads.size).toBe(1)
    await store.close()
    expect(server.uploads.size).toBe(0)
    expect(server.objects.has('shop/daily/a')).toBe(false)
  })

  test('old uploads that nobody finished are removed, those of a run that goes on are not', async () => {
    const server = await startServer({ minPartBytes: 1, pageSize: 2 })
    const begin = async (prefix: string): Promise<Store> => {
      const store = openStore(server, { prefix }, { partBytes: () => 1000 })
      const file = await store.create('part.bin')
      await file.write([Buffer.alloc(1500)])
      return store
    }
    for (let round = 0; round < 5; round++) await begin('shop')
    await begin('other')
    const theirs = openStore(server, { prefix: 'shop' }, { partBytes: () => 1000 })
    await (await theirs.create('thesis.iso')).write([Buffer.alloc(1500)])
    const uploads = Array.from(server.uploads.values())
    for (const upload of uploads) upload.initiatedAt = new Date('2026-01-01T00:00:00Z')
    const store = await begin('shop')
    const isOurs = (path: string): boolean => path.endsWith('.bin')
    expect(await store.removeAbandoned?.(new Date('2026-01-02T00:00:00Z'), isOurs)).toBe(5)
    expect(Array.from(server.uploads.values(), ({ key }) => key)).toEqual([
      'other/part.bin',
      'shop/thesis.iso',
      'shop/part.bin',
    ])
  })

  test('encryption and storage class go with every object', async () => {
    const server = await startServer({ minPartBytes: 1 })
    const encryption = { kind: 'aws:kms', keyId: 'alias/lake' } as const
    const store = openStore(server, { encryption, storageClass: 'STANDARD_IA' }, { partBytes: () => 1000 })
    await store.put('put', Buffer.from('x'))
    await store.putNew('new', Buffer.from('x'))
    for (const [name, bytes] of [
      ['one', 10],
      ['parts', 2500],
    ] as const) {
      const file = await store.create(name)
      await file.write([Buffer.alloc(bytes)])
      await file.finish()
    }
    for (const name of ['put', 'new', 'one', 'parts']) {
      expect(server.objects.get(`shop/daily/${name}`)?.headers, name).toMatchObject({
        'x-amz-server-side-encryption': 'aws:kms',
        'x-amz-server-side-encryption-aws-kms-key-id': 'alias/lake',
        'x-amz-storage-class': 'STANDARD_IA',
      })
    }
  })
})

describe('committing', () => {
  test('the first run at a place tries out whether conditions are honoured; later ones know', async () => {
    const server = await startServer()
    await openStore(server).open({})
    expect(Array.from(server.objects.keys())).toEqual(['shop/daily/_trunkline/conditional-writes.json'])
    const puts = server.count('PutObject')
    expect(puts).toBe(3)
    const store = openStore(server)
    await store.open({})
    expect(await store.putNew('manifest/1', Buffer.from('x'))).toBe(true)
    expect(server.count('PutObject')).toBe(puts + 1)
    expect(await listPaths(store)).toEqual(['manifest/1'])
  })

  test('what was found out at another place is not believed', async () => {
    const server = await startServer()
    await openStore(server).open({})
    const marker = 'shop/daily/_trunkline/conditional-writes.json'
    const found = server.objects.get(marker)
    await using careless = await startS3Server({ conditions: 'ignored' })
    if (found !== undefined) careless.objects.set(marker, found)
    await expect(openStore(careless).open({})).rejects.toMatchObject({ code: 'DESTINATION_INVALID' })
  })

  test.each(['ignored', 'refused'] as const)(
    'a store by which conditions are %s is refused, unless whoever writes promises to be alone',
    async (conditions) => {
      const server = await startServer({ conditions })
      const store = openStore(server)
      await expect(store.open({})).rejects.toMatchObject({
        code: 'DESTINATION_INVALID',
        hint: expect.stringContaining('single_writer=true') as string,
      })
      await expect(store.putNew('manifest/1', Buffer.from('x'))).rejects.toMatchObject({
        code: 'DESTINATION_INVALID',
      })
      expect(Array.from(server.objects.keys())).toEqual([])

      const warnings: string[] = []
      const logger = { ...silentLogger, warn: (_: LogFields, message: string) => void warnings.push(message) }
      const alone = openStore(server, { singleWriter: true }, { logger })
      await alone.open({})
      expect(warnings).toEqual([expect.stringContaining('single_writer')])
      expect(await alone.putNew('manifest/1', Buffer.from('one'))).toBe(true)
      expect(await alone.putNew('manifest/1', Buffer.from('two'))).toBe(false)
      expect(await alone.putNew('manifest/1', Buffer.from('one'))).toBe(true)
      expect(await text(alone, 'manifest/1')).toBe('one')
    },
  )
})

describe('lists and removals', () => {
  test('many files are listed page by page and removed by the thousand', async () => {
    const server = await startServer()
    const store = openStore(server, { prefix: '' })
    await store.put('seed', Buffer.from('x'))
    const [seed] = server.objects.values()
    if (seed === undefined) throw new Error('nothing was put')
    const names = Array.from({ length: 2300 }, (_, index) => `data/${String(index).padStart(5, '0')}`)
    for (const name of names) server.objects.set(name, seed)
    server.objects.set('data/', { ...seed, content: Buffer.alloc(0) })
    expect(await listPaths(store)).toEqual([...names, 'seed'])
    expect(server.count('ListObjects')).toBe(3)
    await store.remove(names)
    expect(server.count('DeleteObjects')).toBe(3)
    expect(await listPaths(store)).toEqual(['seed'])
  })

  test('a file that may not be removed is an error that names it; the others are removed', async () => {
    const server = await startServer()
    const store = openStore(server)
    for (const name of ['a', 'b', 'c']) await store.put(name, Buffer.from('x'))
    server.kept.add('shop/daily/b')
    await expect(store.remove(['a', 'b', 'c'])).rejects.toMatchObject({
      code: 'DESTINATION_DENIED',
      message: expect.stringContaining('s3://lake/shop/daily/b') as string,
    })
    expect(await listPaths(store)).toEqual(['b'])
  })

  test('a store that cannot remove many at once is asked one by one', async () => {
    const server = await startServer({ singleDeletes: true })
    const store = openStore(server)
    const names = Array.from({ length: 20 }, (_, index) => `f${index}`)
    for (const name of names) await store.put(name, Buffer.from('x'))
    await store.remove(names)
    expect(await listPaths(store)).toEqual([])
  })
})

describe('reaching the bucket', () => {
  test('by the name of the bucket before the host', async () => {
    const server = await startServer()
    answerNames()
    const endpoint = server.endpoint.replace('127.0.0.1', 'store.test')
    const store = openStore({ ...server, endpoint }, { pathStyle: false })
    await store.put('a', Buffer.from('x'))
    expect(server.calls.at(-1)?.headers.host).toMatch(/^lake\.store\.test:/)
    expect(await text(store, 'a')).toBe('x')
  })

  test('with keys that the store refuses: said at once, with where keys come from, and no key shown', async () => {
    const server = await startServer()
    const store = openStore({
      ...server,
      credentials: { accessKeyId: 'AKIATESTER', secretAccessKey: 'canary/wrong' },
    })
    const failure = await store.open({}).catch((error: unknown) => error)
    expect(failure).toMatchObject({
      code: 'DESTINATION_DENIED',
      retry: 'never',
      hint: expect.stringContaining('AWS_SECRET_ACCESS_KEY') as string,
    })
    expect(JSON.stringify([failure, (failure as Error).stack, (failure as Error).cause])).not.toContain(
      'canary',
    )
    expect(server.calls).toHaveLength(0)
  })

  test('without any keys: said at once, with nobody asked', async () => {
    const server = await startServer()
    stubEnvironment({ ...noCloud, AWS_ACCESS_KEY_ID: '', AWS_SECRET_ACCESS_KEY: '' })
    const store = createS3Store(
      {
        bucket: 'lake',
        prefix: '',
        region: null,
        endpoint: server.endpoint,
        pathStyle: true,
        profile: null,
        singleWriter: false,
        encryption: null,
        storageClass: null,
      },
      { logger: silentLogger },
    )
    await expect(store.open({})).rejects.toMatchObject({
      code: 'DESTINATION_DENIED',
      message: expect.stringContaining('there are no credentials') as string,
    })
    await store.close()
  })

  test.each([
    ['a bucket that does not exist', { bucket: 'pond' }, 'DESTINATION_INVALID', /does not exist/],
    ['another region', { region: 'eu-west-1' }, 'DESTINATION_INVALID', /in the region eu-central-1/],
    [
      'an endpoint where nothing listens',
      { endpoint: 'http://127.0.0.1:1' },
      'DESTINATION_UNREACHABLE',
      /nothing listens/,
    ],
    [
      'an endpoint that does not resolve',
      { endpoint: 'http://store.invalid' },
      'DESTINATION_UNREACHABLE',
      /does not resolve/,
    ],
    ['https where http is spoken', { endpoint: 'https' }, 'DESTINATION_INVALID', /is not an object store/],
  ] as const)('%s: %o is %s', async (_, options, code, message) => {
    const server = await startServer({ region: 'eu-central-1' })
    answerNames()
    const region = 'region' in options ? options.region : 'eu-central-1'
    const endpoint =
      'endpoint' in options
        ? options.endpoint === 'https'
          ? server.endpoint.replace('http:', 'https:')
          : options.endpoint
        : server.endpoint
    const store = openStore(server, { ...options, region, endpoint }, { patience: { attempts: 2 } })
    await expect(store.open({})).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message) as string,
      hint: expect.stringMatching(/./) as string,
    })
  })

  test('a clock that is an hour off is made up for', async () => {
    const server = await startServer({ clockOffsetMs: 3_600_000 })
    const store = openStore(server)
    await store.put('a', Buffer.from('x'))
    expect(await text(store, 'a')).toBe('x')
  })

  test('rows that would travel unencrypted to another machine are warned of', async () => {
    const warnings: string[] = []
    const logger = { ...silentLogger, warn: (_: LogFields, message: string) => void warnings.push(message) }
    const server = await startServer()
    answerNames()
    await openStore(server, {}, { logger }).open({})
    expect(warnings).toEqual([])
    await expect(
      openStore(server, { endpoint: 'http://store.invalid' }, { logger, patience: { attempts: 1 } }).open({}),
    ).rejects.toThrow()
    expect(warnings).toEqual([expect.stringContaining('http://')])
  })

  test('a name that a list could not give back is refused before anything is sent', async () => {
    const server = await startServer()
    const store = openStore(server)
    await expect(store.put('a\u0001b', Buffer.from('x'))).rejects.toMatchObject({
      code: 'DESTINATION_INVALID',
    })
    await expect(store.create('x'.repeat(1000))).rejects.toMatchObject({ code: 'DESTINATION_INVALID' })
    expect(server.calls).toHaveLength(0)
  })
})
