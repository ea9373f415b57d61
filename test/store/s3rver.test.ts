/** A second opinion: an S3 server that others wrote. It knows no conditions, and must be refused for that. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
// @ts-expect-error Its package has no types.
import S3rver from 's3rver'
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import { makeS3Store } from './open-s3-store.js'

interface OtherServer {
  run(): Promise<{ readonly port: number }>
  close(): Promise<void>
}

const Server = S3rver as new (options: object) => OtherServer

const credentials = { accessKeyId: 'S3RVER', secretAccessKey: 'S3RVER' }
let folder = ''
let server: OtherServer
let endpoint = ''

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'trunkline-s3rver-'))
  const configureBuckets = [{ name: 'lake', configs: [] }]
  server = new Server({ address: '127.0.0.1', port: 0, silent: true, directory: folder, configureBuckets })
  const { port } = await server.run()
  endpoint = `http://127.0.0.1:${port}`
})

afterEach(() => void vi.unstubAllEnvs())

afterAll(async () => {
  await server.close()
  await rm(folder, { recursive: true, force: true })
})

test('a store that overwrites what it was to create only if there is none is refused', async () => {
  await using store = makeS3Store({ endpoint, credentials })
  await expect(store.open({})).rejects.toMatchObject({
    code: 'DESTINATION_INVALID',
    message: expect.stringContaining('If-None-Match') as string,
  })
})

test('with the promise to be alone it keeps small files and files in parts, byte for byte', async () => {
  const partBytes = 5 * 1024 * 1024
  await using store = makeS3Store(
    { endpoint, credentials },
    { singleWriter: true },
    { partBytes: () => partBytes },
  )
  await store.open({})
  const content = Buffer.from(Array.from({ length: 100_000 }, (_, index) => index % 253))
  await store.put('data/small.bin', content)
  const file = await store.create('data/parts.bin')
  for (let round = 0; round < 60; round++) await file.write([content])
  await file.finish()
  expect(await store.putNew('manifest/1', Buffer.from('one'))).toBe(true)
  expect(await store.putNew('manifest/1', Buffer.from('two'))).toBe(false)

  expect(content.equals((await store.read('data/small.bin')) ?? new Uint8Array())).toBe(true)
  const whole = (await store.read('data/parts.bin')) ?? new Uint8Array()
  expect(whole.length).toBe(6_000_000)
  expect(content.equals(whole.subarray(5_900_000))).toBe(true)

  const listed: [string, number][] = []
  for await (const { path, bytes } of store.list('')) listed.push([path, bytes])
  expect(listed).toEqual([
    ['data/parts.bin', 6_000_000],
    ['data/small.bin', 100_000],
    ['manifest/1', 3],
  ])
  await store.remove(['data/small.bin', 'data/none'])
  expect(await store.read('data/small.bin')).toBeNull()
})
