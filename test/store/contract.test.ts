import { existsSync } from 'node:fs'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { afterEach, expect, test, vi } from 'vitest'
import { createLocalStore } from '../../src/destination/stores/local-store.js'
import { makeS3Store } from './open-s3-store.js'
import { startS3Server } from './s3-server.js'
import { describeStore } from './store-contract.js'

afterEach(() => void vi.unstubAllEnvs())

describeStore('a folder', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'trunkline-store-'))
  return {
    open: () => createLocalStore({ path: folder }),
    look: async () => {
      const entries = await readdir(folder, { withFileTypes: true, recursive: true })
      return entries
        .filter((entry) => entry.isFile())
        .map((entry) => relative(folder, join(entry.parentPath, entry.name)))
    },
    unfinished: async () => (await readdir(join(folder, '_trunkline/tmp'))).length,
    // Where a folder would have to be.
    spoil: (store, path) => store.put(dirname(path), Buffer.from('a file')),
    dispose: () => rm(folder, { recursive: true, force: true }),
  }
})

const prefix = 'shop/daily'

/** Pages and parts so small that each test turns some. */
describeStore('a bucket', async () => {
  const server = await startS3Server({ pageSize: 3, minPartBytes: 64 * 1024 })
  return {
    open: () => makeS3Store(server, { prefix }, { partBytes: () => 64 * 1024 }),
    look: async () => Array.from(server.objects.keys(), (key) => key.slice(prefix.length + 1)),
    unfinished: async () => server.uploads.size,
    spoil: async (_, path) => {
      const trouble = { kind: 'status', status: 403, code: 'AccessDenied' } as const
      server.inject({ on: ({ key }) => key.endsWith(path), trouble, times: 9 })
    },
    dispose: async () => server[Symbol.asyncDispose](),
  }
})

test.runIf(existsSync('/proc/self'))(
  'a folder that cannot be had is an error, not a wait for ever',
  async () => {
    await using store = createLocalStore({ path: '/proc/trunkline/lake' })
    await expect(store.open({})).rejects.toMatchObject({ code: 'DESTINATION_INVALID' })
  },
)
