/** Each fault of a store or of the line to it, once: nothing lost, nothing doubled, nothing that hangs. */
import { readFile } from 'node:fs/promises'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { Store } from '../../src/destination/stores/store.js'
import { makeS3Store } from './open-s3-store.js'
import {
  startS3Server,
  type Answer,
  type Call,
  type Operation,
  type S3Server,
  type Trouble,
} from './s3-server.js'

let server: S3Server
let store: Store

function openStore(patience: { readonly attempts?: number; readonly idleMs?: number } = {}): Store {
  return makeS3Store(server, { prefix: '' }, { partBytes: () => 10_000, patience })
}

beforeEach(async () => {
  // The SDK pauses for chance times between attempts: short ones here.
  vi.spyOn(Math, 'random').mockReturnValue(0.05)
  server = await startS3Server({ minPartBytes: 1 })
  store = openStore()
  await store.open({})
})

afterEach(async () => {
  await store.close()
  await server[Symbol.asyncDispose]()
  vi.unstubAllEnvs()
  vi.restoreAllMocks()
})

const passing: readonly (readonly [string, Trouble])[] = [
  ['is cut before it has an effect', { kind: 'reset', effect: false }],
  ['is cut when it had its effect', { kind: 'reset', effect: true }],
  ['is answered with SlowDown', { kind: 'status', status: 503, code: 'SlowDown' }],
  ['is answered with an internal error', { kind: 'status', status: 500, code: 'InternalError' }],
  [
    'has its effect and is answered with an internal error',
    { kind: 'status', status: 500, code: 'InternalError', effect: true },
  ],
]

const content = Buffer.from(Array.from({ length: 35_000 }, (_, index) => index % 251))

/** What is done to the store, and what must be there then, whatever happens to one request of it. */
const works: readonly (readonly [Operation, string, () => Promise<unknown>, unknown])[] = [
  ['PutObject', 'put', () => store.put('put', content), undefined],
  ['PutObject', 'new', () => store.putNew('new', content), true],
  ['CreateUpload', 'first', () => upload('first'), undefined],
  ['UploadPart', 'parts', () => upload('parts'), undefined],
  ['CompleteUpload', 'last', () => upload('last'), undefined],
]

async function upload(path: string): Promise<void> {
  const file = await store.create(path)
  await file.write([content.subarray(0, 12_345), content.subarray(12_345)])
  await file.finish()
}

const presentKeys = (): readonly string[] =>
  Array.from(server.objects.keys()).filter((name) => !name.startsWith('_trunkline/'))

describe.each(works)('%s for %s', (operation, key, work, result) => {
  test.each(passing)('that %s: the file is there whole, once', async (_, trouble) => {
    server.inject({ on: (call) => call.operation === operation && call.key === key, trouble })
    expect(await work()).toBe(result)
    expect(server.objects.get(key)?.content.equals(content)).toBe(true)
    expect(presentKeys()).toEqual([key])
  })
})

/** All at once, as each is waited for: what is given up early on a busy machine is only tried once more. */
test.each([
  ['never answered', false],
  ['never answered, having had their effect', true],
])('of requests that are %s the files are there whole, once, and are read whole', async (_, effect) => {
  await store.put('read', content)
  for (const [operation, key] of [...works, ['GetObject', 'read'] as const]) {
    const trouble = { kind: 'silence', effect } as const
    server.inject({ on: (call) => call.operation === operation && call.key === key, trouble })
  }
  const stalled = { kind: 'stalled_body', bytes: 20_000 } as const
  server.inject({
    on: ({ operation, key }) => operation === 'GetObject' && key === 'stalled',
    trouble: stalled,
  })
  await store.put('stalled', content)
  const patient = store
  store = openStore({ idleMs: 1000 })
  const results = Promise.all(works.map(([, , work]) => work()))
  const [done, read, stalledRead] = await Promise.all([results, store.read('read'), store.read('stalled')])
  await patient.close()
  expect(done).toEqual(works.map(([, , , result]) => result))
  for (const [, key] of works) expect(server.objects.get(key)?.content.equals(content), key).toBe(true)
  expect(presentKeys().toSorted()).toEqual([...works.map(([, key]) => key), 'read', 'stalled'].toSorted())
  for (const bytes of [read, stalledRead]) expect(content.equals(bytes ?? new Uint8Array())).toBe(true)
  expect(server.calls.map(({ headers }) => headers.range)).toContain('bytes=20000-')
})

describe('reading', () => {
  test.each(passing)('a request that %s: what is read is whole', async (_, trouble) => {
    await store.put('a', content)
    server.inject({ on: (call) => call.operation === 'GetObject' && call.key === 'a', trouble })
    expect(content.equals((await store.read('a')) ?? new Uint8Array())).toBe(true)
  })

  test('a body that ends early is gone on with where it broke', async () => {
    await store.put('a', content)
    const trouble = { kind: 'cut_body', bytes: 20_000 } as const
    server.inject({ on: (call) => call.operation === 'GetObject' && call.key === 'a', trouble, times: 100 })
    const copy = await store.fetch('a')
    expect(content.equals(await readFile(copy.path))).toBe(true)
    await copy.release()
    const ranges = server.calls.filter((call) => call.key === 'a').map(({ headers }) => headers.range)
    expect(ranges).toContain('bytes=20000-')
  })

  /** The first answer breaks off, and what is asked for then is answered so. */
  const without = (headers: Answer['headers'], name: string): Record<string, string> =>
    Object.fromEntries(Object.entries(headers ?? {}).filter(([key]) => key !== name))
  const half = (body: Answer['body']): Buffer => Buffer.from(body ?? '').subarray(0, 100)
  test.each<[string, (answer: Answer, object: Buffer) => Answer]>([
    [
      'all of it, by a store that knows no ranges',
      ({ headers }, object) => ({ status: 200, headers: whole(headers, object), body: object }),
    ],
    [
      'the rest, without saying that it is',
      ({ headers, body = '' }) => ({ status: 206, headers: without(headers, 'content-range'), body }),
    ],
    [
      'another part',
      ({ headers, body = '' }, object) => ({
        status: 206,
        headers: { ...headers, 'content-range': `bytes 0-14999/${object.length}` },
        body,
      }),
    ],
    [
      'less than the rest',
      ({ headers, body }, object) => ({
        status: 206,
        headers: {
          ...headers,
          'content-range': `bytes 20000-20099/${object.length}`,
          'content-length': '100',
        },
        body: half(body),
      }),
    ],
    [
      'the rest of a longer file',
      ({ headers, body = '' }, object) => ({
        status: 206,
        headers: { ...headers, 'content-range': `bytes 20000-${object.length - 1}/${object.length + 1}` },
        body,
      }),
    ],
  ])('what is gone on with is %s: an error, and never taken for the file', async (_, change) => {
    await store.put('a', content)
    server.inject({ on: 'GetObject', trouble: { kind: 'cut_body', bytes: 20_000 } })
    const isRest = ({ operation, headers }: Call): boolean =>
      operation === 'GetObject' && headers.range !== undefined
    server.inject({ on: isRest, trouble: { kind: 'answer', change } })
    await expect(store.read('a')).rejects.toMatchObject({
      code: 'DESTINATION_FAILED',
      message: expect.stringContaining('Cannot read s3://lake/a') as string,
      hint: expect.stringContaining('Range') as string,
    })
  })

  test('a file whose tag is another one when it is gone on with is read anew, whatever the store makes of If-Match', async () => {
    await store.put('a', content)
    const other = Buffer.alloc(content.length, 'other')
    server.inject({ on: 'GetObject', trouble: { kind: 'cut_body', bytes: 20_000 } })
    const isRest = ({ operation, headers }: Call): boolean =>
      operation === 'GetObject' && headers.range !== undefined
    server.inject({
      on: isRest,
      trouble: {
        kind: 'answer',
        change: ({ headers }) => {
          server.objects.set('a', { ...stored('a'), content: other, etag: '0'.repeat(32) })
          return { status: 206, headers: { ...headers, etag: '"1"' }, body: other.subarray(20_000) }
        },
      },
    })
    expect(other.equals((await store.read('a')) ?? new Uint8Array())).toBe(true)
  })

  test('a file without a tag is read from its beginning again, since nobody knows what the rest is of', async () => {
    await store.put('a', content)
    const change = ({ status, headers, body = '' }: Answer): Answer => ({
      status,
      headers: without(headers, 'etag'),
      body,
    })
    server.inject({ on: 'GetObject', trouble: { kind: 'cut_body', bytes: 20_000 } })
    server.inject({ on: 'GetObject', trouble: { kind: 'answer', change }, times: 9, after: 1 })
    expect(content.equals((await store.read('a')) ?? new Uint8Array())).toBe(true)
  })

  test('a file that is replaced while it is read comes whole, as the one or the other', async () => {
    await store.put('a', content)
    const other = Buffer.alloc(9000, 'other')
    server.inject({ on: 'GetObject', trouble: { kind: 'cut_body', bytes: 20_000 } })
    server.inject({
      on: ({ operation, headers }) => operation === 'GetObject' && headers.range !== undefined,
      trouble: {
        kind: 'call',
        run: () => void server.objects.set('a', { ...stored('a'), content: other, etag: '0'.repeat(32) }),
      },
    })
    const copy = await store.fetch('a')
    expect(other.equals(await readFile(copy.path))).toBe(true)
    await copy.release()
  })

  test('bytes that are not those that were stored are found out, and never given on', async () => {
    await store.put('a', content)
    server.inject({ on: 'GetObject', trouble: { kind: 'damaged_body' }, times: 10 })
    await expect(store.read('a')).rejects.toMatchObject({ name: 'TrunklineError', area: 'destination' })
  })

  test('a list of which a page fails once is complete', async () => {
    for (const name of ['a', 'b', 'c']) await store.put(name, Buffer.from(name))
    server.inject({ on: 'ListObjects', trouble: { kind: 'status', status: 503, code: 'SlowDown' } })
    const listed: string[] = []
    for await (const { path } of store.list('')) listed.push(path)
    expect(listed).toEqual(['a', 'b', 'c'])
  })
})

describe('committing', () => {
  test('a conflict of two conditional requests is tried again', async () => {
    server.inject({
      on: ({ key }) => key === 'manifest/1',
      trouble: { kind: 'status', status: 409, code: 'ConditionalRequestConflict' },
      times: 3,
    })
    expect(await store.putNew('manifest/1', Buffer.from('x'))).toBe(true)
  })

  test('a lost answer, and meanwhile the commit of another run: it is not taken for ours', async () => {
    const theirs = Buffer.from('theirs')
    server.inject({
      on: ({ key, operation }) => key === 'manifest/1' && operation === 'PutObject',
      trouble: { kind: 'reset', effect: false },
    })
    server.inject({
      on: ({ key, operation }) => key === 'manifest/1' && operation === 'PutObject',
      trouble: {
        kind: 'call',
        run: () => void server.objects.set('manifest/1', { ...stored(), content: theirs }),
      },
    })
    expect(await store.putNew('manifest/1', Buffer.from('ours'))).toBe(false)
    expect(server.objects.get('manifest/1')?.content).toEqual(theirs)
  })

  test('every answer lost, but the first request had its effect: that is found out', async () => {
    const about = (operation: Operation) => (call: { key: string; operation: Operation }) =>
      call.key === 'manifest/1' && call.operation === operation
    server.inject({ on: about('PutObject'), trouble: { kind: 'reset', effect: true } })
    server.inject({
      on: about('PutObject'),
      trouble: { kind: 'status', status: 503, code: 'SlowDown' },
      times: 20,
    })
    await using impatient = openStore({ attempts: 2 })
    expect(await impatient.putNew('manifest/1', Buffer.from('ours'))).toBe(true)
  })

  test('a store that is out of order for long: an error that says to try later, and no file', async () => {
    server.inject({ on: 'PutObject', trouble: { kind: 'status', status: 503, code: 'SlowDown' }, times: 20 })
    await using impatient = openStore({ attempts: 2 })
    await expect(impatient.putNew('manifest/1', Buffer.from('x'))).rejects.toMatchObject({
      code: 'DESTINATION_UNREACHABLE',
      retry: 'backoff',
    })
    expect(server.objects.has('manifest/1')).toBe(false)
  })

  test('a right that is missing is named', async () => {
    server.inject({ on: 'PutObject', trouble: { kind: 'status', status: 403, code: 'AccessDenied' } })
    await expect(store.put('a', content)).rejects.toMatchObject({
      code: 'DESTINATION_DENIED',
      message: 'Cannot write s3://lake/a: access denied.',
      hint: expect.stringContaining('s3:PutObject') as string,
      retry: 'never',
    })
  })
})

describe('uploading', () => {
  test('a part that fails for good fails the file; after the abort nothing of it is left', async () => {
    server.inject({
      on: 'UploadPart',
      trouble: { kind: 'status', status: 403, code: 'AccessDenied' },
      after: 1,
      times: 9,
    })
    const file = await store.create('a')
    const writing = (async () => {
      for (let round = 0; round < 20; round++) await file.write([content])
      await file.finish()
    })()
    await expect(writing).rejects.toMatchObject({ code: 'DESTINATION_DENIED' })
    await file.abort()
    expect(server.uploads.size).toBe(0)
    expect(server.objects.has('a')).toBe(false)
  })

  test('an upload that somebody else aborted fails, and may be tried again at once', async () => {
    const file = await store.create('a')
    await file.write([content])
    server.uploads.clear()
    await expect(file.finish()).rejects.toMatchObject({ code: 'DESTINATION_FAILED', retry: 'safe' })
    await file.abort()
    expect(server.objects.has('a')).toBe(false)
  })

  test('an end that is answered as done, with an error in the answer, is none', async () => {
    const body = '<Error><Code>InternalError</Code><Message>sorry</Message></Error>'
    const change = (): Answer => {
      server.objects.delete('a')
      return { status: 200, body }
    }
    server.inject({ on: 'CompleteUpload', trouble: { kind: 'answer', change }, times: 9 })
    const file = await store.create('a')
    await file.write([content])
    await expect(file.finish()).rejects.toMatchObject({ name: 'TrunklineError', area: 'destination' })
    await file.abort()
  })

  test('a list that is cut off is not taken for a whole one', async () => {
    const change = ({ status, body = '' }: Answer): Answer => ({
      status,
      body: String(body).replace('<IsTruncated>false', '<IsTruncated>true'),
    })
    await store.put('b', content)
    server.inject({ on: 'ListObjects', trouble: { kind: 'answer', change } })
    const listing = (async () => {
      for await (const { path } of store.list('')) expect(path).toBe('b')
    })()
    await expect(listing).rejects.toMatchObject({ code: 'DESTINATION_INVALID' })
  })

  test('a store that is gone does not keep an abort', async () => {
    const file = await store.create('a')
    await file.write([content])
    await server[Symbol.asyncDispose]()
    await file.abort()
    await expect(store.put('b', content)).rejects.toMatchObject({ code: 'DESTINATION_UNREACHABLE' })
  })
})

describe('removing', () => {
  test('a request that is lost is sent again', async () => {
    await store.put('a', content)
    server.inject({ on: 'DeleteObjects', trouble: { kind: 'reset', effect: true } })
    await store.remove(['a', 'b'])
    expect(server.objects.has('a')).toBe(false)
  })
})

function stored(
  key = '_trunkline/conditional-writes.json',
): NonNullable<ReturnType<S3Server['objects']['get']>> {
  const found = server.objects.get(key)
  if (found === undefined) throw new Error(`${key} is not there`)
  return found
}

function whole(headers: Answer['headers'], object: Buffer): Record<string, string> {
  const kept = Object.entries(headers ?? {}).filter(([name]) => name !== 'content-range')
  return { ...Object.fromEntries(kept), 'content-length': String(object.length) }
}
