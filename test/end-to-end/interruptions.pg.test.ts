import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { startFaultProxy, type FaultProxy } from '../server/fault-proxy.js'
import {
  onOldestAndNewestServer,
  onNewestServer,
  type SpecialServer,
  startServer,
  type TestDatabase,
} from '../server/servers.js'
import { expectSameRows, readLanded } from './compare.js'
import { CopyFile, failuresOf, streamOf } from './copy-file.js'
import { type Moment, pauseOnce } from './pausing-source.js'

const limits = { batchRows: 500 }
const TABLES = ['public.a', 'public.b', 'public.c'] as const

async function fill(db: Pick<TestDatabase, 'sql'>): Promise<void> {
  for (const table of TABLES) {
    await db.sql(`
      CREATE TABLE ${table} (id int PRIMARY KEY, v text);
      INSERT INTO ${table} SELECT g, repeat(md5(g::text), 4) FROM generate_series(1, 3000) g`)
  }
}

async function change(db: Pick<TestDatabase, 'sql'>): Promise<void> {
  for (const table of TABLES) {
    await db.sql(
      `UPDATE ${table} SET v = 'changed' WHERE id % 2 = 0; DELETE FROM ${table} WHERE id < 10; INSERT INTO ${table} VALUES (9000, 'new')
        ON CONFLICT (id) DO UPDATE SET v = 'again'`,
    )
  }
}

async function expectAllSame(db: Pick<TestDatabase, 'sql'>, copy: CopyFile): Promise<void> {
  for (const table of TABLES) await expectSameRows(db, copy, table)
}

// Between the server and us: what breaks there is the same for every version.
onNewestServer('a connection that breaks', (server) => {
  let db: TestDatabase
  let copy: CopyFile
  let proxy: FaultProxy
  beforeEach(async () => {
    db = await server.createDatabase()
    proxy = await startFaultProxy(server)
    copy = await CopyFile.create(db.url.replace(`:${server.port}/`, `:${proxy.port}/`))
    await fill(db)
  })
  afterEach(async () => {
    await proxy.close()
    await copy.remove()
  })

  test.each(['fin', 'rst'] as const)(
    'in the middle of a row (%s) is made anew, and nothing is lost or doubled',
    async (mode) => {
      for (const bytes of [60_001, 150_017]) {
        // The reader's connection is the one that carries rows: whichever first passes this many bytes.
        let cut = false
        proxy.onConnection = () => (cut ? {} : { cutAfterBytes: bytes, cutBy: mode })
        const report = await copy.sync({
          limits,
          name: `cut_${bytes}`,
          targetSchema: `cut_${bytes}`,
          onProgress: (event) => {
            if (event.kind === 'retry') cut = true
          },
        })
        expect(cut).toBe(true)
        expect(report.streams.some((stream) => stream.attempts > 1)).toBe(true)
        for (const table of TABLES)
          await expectSameRows(db, copy, table, table.replace('public', `cut_${bytes}`))
      }
    },
  )

  test('again and again fails that run by name, with the old copy intact, and the next one is exact', async () => {
    proxy.onConnection = null
    await copy.sync({ limits })
    const before = await Promise.all(TABLES.map((table) => readLanded(copy, table)))
    await change(db)
    // Each row is read again: more than any connection gets through.
    for (const table of TABLES) await db.sql(`UPDATE ${table} SET v = repeat(md5(v), 4)`)
    proxy.onConnection = () => ({ cutAfterBytes: 60_001 })
    const report = await copy.run({ limits: { ...limits, maxAttempts: 2 } }).catch((error: unknown) => error)
    expect(report).toMatchObject({ outcome: expect.stringMatching(/failed/) as string })
    const codes = Object.values(failuresOf(report as Awaited<ReturnType<CopyFile['run']>>))
    expect(codes.length).toBeGreaterThan(0)
    for (const code of codes) expect(['CONNECTION_LOST', 'SNAPSHOT_LOST', 'COPY_INCOMPLETE']).toContain(code)
    for (const [index, table] of TABLES.entries()) {
      if (streamOf(report as Awaited<ReturnType<CopyFile['run']>>, table).error === null)
        await expectSameRows(db, copy, table)
      else expect((await readLanded(copy, table)).rows.toSorted()).toEqual(before[index]?.rows.toSorted())
    }
    proxy.onConnection = null
    await copy.sync({ limits })
    await expectAllSame(db, copy)
  })

  test('without a word (swallowed) is noticed as a stall', async () => {
    let swallowed = false
    proxy.onConnection = () => (swallowed ? {} : { blackHoleAfterBytes: 60_001 })
    const report = await copy.sync({
      limits: { ...limits, stallTimeoutMs: 1000 },
      onProgress: (event) => {
        if (event.kind === 'retry') swallowed = true
      },
    })
    expect(swallowed).toBe(true)
    expect(report.outcome).toBe('done')
    await expectAllSame(db, copy)
  })
})

// What is stopped is ours: no server's version has a part in it.
onNewestServer('an interrupted run', (server) => {
  const moments: Moment[] = ['discovered', 'locked', 'reading', 'read']
  test.each(moments)('%s: keeps what was committed, and the next run is exact', async (moment) => {
    const db = await server.createDatabase()
    const copy = await CopyFile.create(db.url)
    try {
      await fill(db)
      for (const first of [true, false]) {
        if (!first) await change(db)
        const interrupt = new AbortController()
        const pause = pauseOnce(moment, async () => {
          interrupt.abort(new Error('Ctrl-C'))
        })
        const report = await copy.run({ limits, signal: interrupt.signal, wrap: pause.wrap })
        expect(pause.reached()).toBe(true)
        expect(report.outcome).toBe('aborted')
        expect(new Set(Object.values(failuresOf(report)))).toEqual(new Set(['ABORTED']))
        // Nothing of ours is left running at the server.
        expect(await sessionsOf(db)).toEqual([])
        await copy.sync({ limits })
        await expectAllSame(db, copy)
      }
    } finally {
      await copy.remove()
    }
  })
})

onNewestServer('an interrupted run, at any moment', (server) => {
  test('after any event: what is there is a state that the source had', async () => {
    const db = await server.createDatabase()
    const copy = await CopyFile.create(db.url)
    try {
      await fill(db)
      const events = await countEvents(copy)
      expect(events).toBeGreaterThan(10)
      for (let at = 1; at <= events; at += 3) {
        const file = copy.file.replace('copy', `copy_${at}`)
        const interrupt = new AbortController()
        let seen = 0
        const report = await copy.run({
          limits,
          file,
          signal: interrupt.signal,
          onProgress: () => {
            if (++seen === at) interrupt.abort()
          },
        })
        for (const stream of report.streams) expect(['done', 'failed']).toContain(stream.outcome)
        const next = await copy.sync({ limits, file })
        for (const table of TABLES) expect(streamOf(next, table).destinationCount).toBe(3000)
      }
    } finally {
      await copy.remove()
    }
  })
})

async function countEvents(copy: CopyFile): Promise<number> {
  let events = 0
  await copy.sync({ limits, onProgress: () => events++ })
  return events
}

/** Sessions of Trunkline in this database, once those that are ending have ended. */
async function sessionsOf(db: TestDatabase): Promise<unknown[]> {
  for (let attempt = 0; ; attempt++) {
    const sessions = await db.sql(
      `SELECT pid, state, query FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'trunkline%'`,
    )
    if (sessions.length === 0 || attempt === 100) return sessions
    await sleep(50)
  }
}

onOldestAndNewestServer('a server that is restarted in the middle of a run', ({ major }) => {
  let server: SpecialServer
  let db: TestDatabase
  let copy: CopyFile
  beforeAll(async () => {
    server = await startServer({ major, durable: true })
    db = await server.createDatabase()
    copy = await CopyFile.create(db.url)
    await fill(db)
    await copy.sync({ limits })
  })
  afterAll(async () => {
    await copy.remove()
    await server.close()
  })

  test.each(['fast', 'immediate'] as const)(
    '%s: the run goes on in a new snapshot and is exact',
    async (mode) => {
      await change(db)
      const pause = pauseOnce('reading', async () => server.restart(mode))
      const report = await copy.sync({ limits: { ...limits, maxAttempts: 8 }, wrap: pause.wrap })
      expect(pause.reached()).toBe(true)
      expect(report.streams.some((stream) => stream.attempts > 1)).toBe(true)
      await expectAllSame(db, copy)
      await db.sql('UPDATE a SET v = v WHERE id = 100')
      await copy.sync({ limits })
      await expectAllSame(db, copy)
    },
  )

  test('and stays away: the run fails by name, the copy is intact, and a later run is exact', async () => {
    await db.sql('UPDATE a SET v = v WHERE id < 500')
    const before = await Promise.all(TABLES.map((table) => readLanded(copy, table)))
    const pause = pauseOnce('reading', async () => server.stop('immediate'))
    const report = await copy.run({ limits: { ...limits, maxAttempts: 3 }, wrap: pause.wrap })
    expect(pause.reached()).toBe(true)
    expect(Object.keys(failuresOf(report)).length).toBeGreaterThan(0)
    const after = await Promise.all(TABLES.map((table) => readLanded(copy, table)))
    expect(after.map(({ rows }) => rows.toSorted())).toEqual(before.map(({ rows }) => rows.toSorted()))
    await server.start()
    await copy.sync({ limits })
    await expectAllSame(db, copy)
  })
})
