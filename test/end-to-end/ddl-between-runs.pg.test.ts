import { afterAll, beforeAll, expect, test } from 'vitest'
import type { RunReport } from '../../src/model/report.js'
import { onOldestAndNewestServer, type TestDatabase } from '../server/servers.js'
import { type BothSides, expectEqual, readBoth } from './compare.js'
import { CopyFile, failuresOf } from './copy-file.js'
import { DDL_CASES, apply, deleteOneRow, prepare, schemaOf } from './ddl-cases.js'

// One sync of all the cases, each in a schema of its own: what one of them does must not reach the others, either.
onOldestAndNewestServer('DDL between runs', (server) => {
  const cases = DDL_CASES.filter(({ since }) => since === undefined || since <= server.major)
  let db: TestDatabase
  let copy: CopyFile
  let stopped: RunReport
  const afterChange = new Map<string, BothSides>()
  const afterThat = new Map<string, BothSides>()

  beforeAll(async () => {
    db = await server.createDatabase()
    copy = await CopyFile.create(db.url)
    const sql = (text: string): Promise<unknown> => db.sql(text)
    await prepare(sql, cases)
    await copy.sync()
    for (const [index, ddl] of cases.entries()) await apply(sql, ddl, schemaOf(index))
    stopped = await copy.run()
    await copy.sync({ allowMassDelete: true })
    await collect(afterChange)
    for (const [index, ddl] of cases.entries()) await deleteOneRow(sql, ddl, schemaOf(index))
    await copy.sync()
    await collect(afterThat)
  })
  afterAll(() => copy.remove())

  async function collect(into: Map<string, BothSides>): Promise<void> {
    await copy.whileOpen(async () => {
      for (const [index, ddl] of cases.entries()) {
        for (const table of ddl.tables ?? ['t']) {
          const name = `${schemaOf(index)}.${table}`
          into.set(name, await readBoth(db, copy, name))
        }
      }
    })
  }

  test('only what needs a word of a person stops, by name', () => {
    const expected = cases.flatMap(({ stop }, index) =>
      stop === undefined ? [] : [[`${schemaOf(index)}.${stop.stream}`, stop.code]],
    )
    expect(failuresOf(stopped)).toEqual(Object.fromEntries(expected))
  })

  test.each(cases.map((ddl, index) => ({ ...ddl, schema: schemaOf(index) })))(
    '$name',
    ({ schema, tables = ['t'] }) => {
      for (const table of tables) {
        for (const found of [afterChange, afterThat]) {
          const both = found.get(`${schema}.${table}`)
          if (both === undefined) throw new Error(`nothing was read of ${schema}.${table}`)
          expectEqual(both)
        }
      }
    },
  )
})
