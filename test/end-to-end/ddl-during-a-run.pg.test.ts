import { afterAll, beforeAll, expect, test } from 'vitest'
import type { RunReport } from '../../src/model/report.js'
import {
  areDefaultMajors,
  majorsUnderTest,
  onOldestAndNewestServer,
  type TestDatabase,
} from '../server/servers.js'
import { type BothSides, type TableText, differences, expectEqual, readBoth, readLanded } from './compare.js'
import { CopyFile, failuresOf, type RunOptions } from './copy-file.js'
import { DDL_CASES, type DdlCase, apply, prepare, schemaOf } from './ddl-cases.js'
import { type Moment, pauseOnce } from './pausing-source.js'

/** A short hold, so that a run that stands in the way of DDL gives way soon. Batches of some hundred rows. */
const limits = { yieldToDdlMs: 200, batchRows: 100 }
const options: RunOptions = { limits, allowMassDelete: true }

/** DETACH CONCURRENTLY waits for our transaction to end, which this test would make wait for it. */
const CASES = DDL_CASES.filter(({ change }) => !change.includes('PARTITION t_2 CONCURRENTLY'))

/** Ends that a stream may come to in the run that was disturbed; the next run must be exact. */
const STOPS = ['STREAM_CHANGED', 'STREAM_MISSING']

onOldestAndNewestServer('DDL during a run', (server) => {
  const cases = CASES.filter(({ since }) => since === undefined || since <= server.major)

  // All of them at once, from sessions of their own, while the run stands still at a moment; one run for all, for the time it takes.
  // What a moment changes is ours: on an old server the last of them is enough, unless it was asked for.
  const isNewest = server.major === majorsUnderTest().at(-1)
  const moments: readonly Moment[] =
    isNewest || !areDefaultMajors() ? ['discovered', 'locked', 'read'] : ['read']
  for (const moment of moments) describeMoment(moment)

  function describeMoment(moment: Moment): void {
    let db: TestDatabase
    let copy: CopyFile
    let report: RunReport
    const old = new Map<string, TableText>()
    const disturbed = new Map<string, BothSides>()
    const next = new Map<string, BothSides>()

    beforeAll(async () => {
      db = await server.createDatabase()
      copy = await CopyFile.create(db.url)
      await prepare((text) => db.sql(text), cases)
      await copy.sync(options)
      await readEach(async (name) => old.set(name, await readLanded(copy, name)))
      const pause = pauseOnce(moment, () => applyAll(db, cases))
      report = await copy.run({ ...options, wrap: pause.wrap })
      expect(pause.reached()).toBe(true)
      await readEach(async (name) => disturbed.set(name, await readBoth(db, copy, name)))
      await copy.sync(options)
      await readEach(async (name) => next.set(name, await readBoth(db, copy, name)))
    })
    afterAll(() => copy.remove())

    /** Each table, in the file as it is now. */
    async function readEach(read: (name: string) => Promise<unknown>): Promise<void> {
      await copy.whileOpen(async () => {
        for (const [index, { tables = ['t'] }] of cases.entries()) {
          for (const table of tables) await read(`${schemaOf(index)}.${table}`)
        }
      })
    }

    test(`${moment}: what stops, stops by name`, () => {
      for (const code of Object.values(failuresOf(report))) expect(STOPS).toContain(code)
    })

    test.each(cases.map((ddl, index) => ({ ...ddl, schema: schemaOf(index) })))(
      `${moment}: $name`,
      ({ schema, tables = ['t'] }) => {
        for (const table of tables) {
          const name = `${schema}.${table}`
          const { source, landed } = wanted(disturbed, name)
          const before = old.get(name) ?? { columns: [], rows: [] }
          // Nothing between: as before the change, or as after it.
          if (!isSame(landed, before)) expectEqual({ source, landed })
          expectEqual(wanted(next, name))
        }
      },
    )
  }
})

async function applyAll(db: TestDatabase, cases: readonly DdlCase[]): Promise<void> {
  await Promise.all(
    cases.map(async (ddl, index) => {
      const client = await db.connect()
      await apply((text) => client.query(text), ddl, schemaOf(index))
      await client.end()
    }),
  )
}

function wanted(found: ReadonlyMap<string, BothSides>, name: string): BothSides {
  const both = found.get(name)
  if (both === undefined) throw new Error(`nothing was read of ${name}`)
  return both
}

function isSame(a: TableText, b: TableText): boolean {
  const { missing, unexpected } = differences(a.rows, b.rows)
  return a.columns.join() === b.columns.join() && missing.length === 0 && unexpected.length === 0
}
