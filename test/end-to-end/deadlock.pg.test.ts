import { afterAll, beforeAll, expect, test } from 'vitest'
import { onNewestServer, type TestDatabase, type TestRole } from '../server/servers.js'
import { streamOf, Warehouse } from '../sync/real.js'

/** Long enough to close the circle in, however busy the machine is. */
const DEADLOCK_TIMEOUT = '4s'

onNewestServer('a deadlock', (server) => {
  let database: TestDatabase
  let reader: TestRole
  let warehouse: Warehouse

  beforeAll(async () => {
    database = await server.createDatabase()
    await database.sql('CREATE TABLE first (id int PRIMARY KEY); CREATE TABLE second (id int PRIMARY KEY)')
    await database.sql(
      'INSERT INTO first SELECT generate_series(1, 30); INSERT INTO second SELECT generate_series(1, 40)',
    )
    reader = await database.createRole()
    await database.sql(`GRANT SELECT ON ALL TABLES IN SCHEMA public TO ${reader.name}`)
    await database.sql(`ALTER ROLE ${reader.name} SET deadlock_timeout = '${DEADLOCK_TIMEOUT}'`)
    warehouse = await Warehouse.create(reader.url)
  })
  afterAll(() => warehouse.remove())

  test('that the server breaks by ending our transaction keeps no table from arriving', async () => {
    const application = await database.connect()
    await application.query(
      `SET deadlock_timeout = '1min'; BEGIN; LOCK TABLE second IN ACCESS EXCLUSIVE MODE`,
    )
    const running = warehouse.run()
    running.catch(() => undefined)
    await expect
      .poll(
        () =>
          database.sql(
            `SELECT a.usename AS who FROM pg_locks l JOIN pg_stat_activity a USING (pid)
              WHERE NOT l.granted AND l.relation = 'second'::regclass AND a.usename = '${reader.name}'`,
          ),
        { timeout: 20_000, interval: 20 },
      )
      .toHaveLength(1)
    // We hold `first` and wait for `second`; the application holds `second` and now waits for `first`.
    await application.query('LOCK TABLE first IN ACCESS EXCLUSIVE MODE')
    await application.query('COMMIT')

    const report = await running
    expect(report.outcome).toBe('done')
    expect(streamOf(report, 'public.first')).toMatchObject({ rowsLanded: 30, error: null })
    expect(streamOf(report, 'public.second')).toMatchObject({ rowsLanded: 40, error: null })
    // The server counts them, a little later.
    await expect
      .poll(() => database.sql('SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()'), {
        timeout: 20_000,
      })
      .toEqual([{ deadlocks: '1' }])
  })
})
