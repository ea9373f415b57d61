/** Real tables into a bucket by the command line: through faults, a run that is killed, and a run after it. */
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { makeFolder, runCli, type CliResult } from '../cli/run-cli.js'
import { makeShop } from '../cli/shop.js'
import { onNewestServer, type TestDatabase } from '../server/servers.js'
import { environmentOf } from '../store/open-s3-store.js'
import { startS3Server, type S3Server } from '../store/s3-server.js'

const KEYS = 'shop/daily/'

onNewestServer('a sync into a bucket', (server) => {
  let database: TestDatabase
  let cwd: string
  let store: S3Server

  beforeAll(async () => {
    database = await server.createDatabase()
    await makeShop(database)
  })

  beforeEach(async () => {
    cwd = makeFolder()
    store = await startS3Server()
  })

  afterEach(async () => {
    await store[Symbol.asyncDispose]()
    await rm(cwd, { recursive: true, force: true })
  })

  const run = (onStart?: (kill: () => void) => void): Promise<CliResult> => {
    let told = false
    const place = `parquet:s3://lake/${KEYS}?endpoint=${store.endpoint}`
    return runCli(['sync', database.url, place, '-v'], {
      cwd,
      env: { ...environmentOf(store), PGUSER: database.user },
      onStderr: (_, child) => {
        if (!told) onStart?.(() => child.kill('SIGKILL'))
        told = true
      },
    })
  }

  /** What the views of the bucket say, on a copy of it. */
  const readOrders = async (): Promise<unknown> => {
    const copy = join(cwd, 'copy')
    for (const [key, { content }] of store.objects) {
      await mkdir(dirname(join(copy, key)), { recursive: true })
      await writeFile(join(copy, key), content)
    }
    const views = store.objects.get(`${KEYS}latest.sql`)?.content.toString() ?? ''
    const instance = await DuckDBInstance.create(':memory:')
    const connection = await instance.connect()
    try {
      await connection.run(views.replaceAll('s3://lake/', `${copy}/`))
      return (
        await connection.runAndReadAll('SELECT count(*), count(DISTINCT id), sum(id) FROM public.orders')
      ).getRows()
    } finally {
      connection.closeSync()
      instance.closeSync()
    }
  }
  const whole = [[1000n, 1000n, 500_500n]]

  test('lands every row once, whatever request is lost on the way, and shows no key', async () => {
    store.inject({ on: 'PutObject', trouble: { kind: 'reset', effect: true }, after: 4, times: 1 })
    store.inject({ on: ({ key }) => key.includes('manifest'), trouble: { kind: 'reset', effect: true } })
    store.inject({ on: 'ListObjects', trouble: { kind: 'status', status: 503, code: 'SlowDown' } })
    const { code, stdout, stderr } = await run()
    expect({ code, stderr }).toMatchObject({ code: 0 })
    expect(await readOrders()).toEqual(whole)
    const contents = Array.from(store.objects.values(), ({ content }) => content.toString('latin1'))
    for (const text of [stdout, stderr, ...contents]) expect(text).not.toContain('canary')
  })

  test('a run that is killed while it writes leaves nothing that readers see; the next one lands all', async () => {
    let start = (_kill: () => void): void => undefined
    const started = new Promise<() => void>((resolve) => (start = resolve))
    store.inject({
      on: ({ operation, key }) => {
        const data = operation === 'PutObject' && key.endsWith('.parquet')
        if (data) void started.then((kill) => kill())
        return data
      },
      // It waits for the answer until it is dead.
      trouble: { kind: 'silence', effect: true },
    })
    const killed = await run((kill) => start(kill))
    expect(killed.code).toBeNull()
    expect(store.objects.get(`${KEYS}latest.sql`)).toBeUndefined()
    // Its last sign of life, long ago: nobody waits for it.
    for (const [key, object] of store.objects) {
      store.objects.set(key, { ...object, modifiedAt: new Date(Date.now() - 3_600_000) })
    }
    const { code, stderr } = await run()
    expect({ code, stderr }).toMatchObject({ code: 0 })
    expect(await readOrders()).toEqual(whole)
  })

  test('a store that overwrites is refused before a row is read', async () => {
    await using careless = await startS3Server({ conditions: 'ignored' })
    const place = `parquet:s3://lake/shop?endpoint=${careless.endpoint}`
    const env = environmentOf(careless)
    const { code, stderr } = await runCli(['sync', database.url, place], { cwd, env })
    expect(code).not.toBe(0)
    expect(stderr).toContain('single_writer=true')
    expect(careless.objects.size).toBe(0)
    expect((await runCli(['sync', database.url, `${place}&single_writer=true`], { cwd, env })).code).toBe(0)
  })
})
