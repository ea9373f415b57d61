import { execFile } from 'node:child_process'
import { existsSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { build } from 'esbuild'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startServer } from '../server/servers.js'
import type { SpecialServer, TestDatabase } from '../server/servers.js'
import { root } from './doc-examples.js'
import { makeTemporaryFolder } from '../temporary-folder.js'

const PROGRAM = `
import { isMainThread, threadId } from 'node:worker_threads'
import { connect, rows } from 'trunkline'
await using source = await connect({ url: process.env.DATABASE_URL, readerWorker: new URL('./reader.mjs', import.meta.url) })
await using snapshot = await source.snapshot(['public.numbers'], { jobs: 1 })
let sum = 0n
for await (const batch of snapshot.read('public.numbers')) for (const row of rows(batch)) sum += row.n
console.log(String(sum))
`

/** As docs/reference/api.md says. */
const EXTERNAL = 'pg yaml @duckdb/node-api libpg-query apache-arrow ssh2 @aws-sdk/client-s3'.split(' ')

let server: SpecialServer
let database: TestDatabase

beforeAll(async () => {
  server = await startServer({ major: 18 })
  database = await server.createDatabase()
  await database.sql(
    'CREATE TABLE numbers (n bigint PRIMARY KEY); INSERT INTO numbers SELECT generate_series(1, 50000)',
  )
})
afterAll(() => server.close())

test('a program bundled into one file reads through a worker that is bundled into another', async () => {
  const folder = makeTemporaryFolder('bundle')
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'))
  writeFileSync(join(folder, 'program.ts'), PROGRAM)
  const shared = {
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    external: EXTERNAL,
  } as const
  const bundled = await build({
    ...shared,
    entryPoints: [join(folder, 'program.ts')],
    outfile: join(folder, 'program.mjs'),
    alias: { trunkline: join(root, 'dist', 'index.js') },
    metafile: true,
  })
  expect(Object.keys(bundled.metafile.inputs).some((path) => path.endsWith('dist/index.js'))).toBe(true)
  await build({
    ...shared,
    entryPoints: [join(root, 'dist', 'source', 'reader-worker.js')],
    outfile: join(folder, 'reader.mjs'),
    banner: {
      js: "import { writeFileSync as leaveMark } from 'node:fs'; leaveMark(process.env.READER_MARK, '')",
    },
  })

  const mark = join(folder, 'reader-was-here')
  const env = { PATH: process.env['PATH'], HOME: folder, DATABASE_URL: database.url, READER_MARK: mark }
  const { stdout } = await promisify(execFile)(process.execPath, [join(folder, 'program.mjs')], { env })
  expect(stdout.trim()).toBe(String((50_000 * 50_001) / 2))
  // Without readers the leader would read all the same.
  expect(existsSync(mark)).toBe(true)
})
