/**
 * The writers of the oracle against reads by cursor: bounded by what is under way, by lookback over a view, and appends of both
 * kinds. After every run each copy by key is compared value by value in the run's own snapshot; two cursors of the usual kind read
 * beside them and must lose rows, or the test has shown nothing.
 *
 * TRUNKLINE_ORACLE=full runs it longer, on 12, 15 and 18; TRUNKLINE_ORACLE_SEED varies it.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { RunReport } from '../../src/model/report.js'
import type { StreamOptions, SyncSpec } from '../../src/model/sync-spec.js'
import { startServer, type SpecialServer, type TestDatabase } from '../server/servers.js'
import { CursorCopy } from './cursor-copy.js'
import { streamOf, Warehouse } from './real.js'
import { SCHEMA, Writers } from './writers.js'

const FULL = process.env['TRUNKLINE_ORACLE'] === 'full'
const SEED = Number(process.env['TRUNKLINE_ORACLE_SEED'] ?? 1)
const MAJORS = FULL ? [12, 15, 18] : [18]
const LATE_COMMITS = FULL ? 150 : 15
const SHORTEST_MS = FULL ? 45_000 : 5000
const LONGEST_MS = FULL ? 180_000 : 45_000

/** Longer than any transaction of the writers lasts. */
const LOOKBACK = { kind: 'duration', ms: 60_000 } as const
const BY_TIME: StreamOptions = { mode: 'incremental', cursorField: 'updated_at', primaryKey: ['id'] }
const COPIES: Readonly<Record<string, StreamOptions>> = {
  'public.w': { ...BY_TIME, cursorBound: 'in_flight' },
  'public.seen': { ...BY_TIME, lookback: LOOKBACK },
  'public.tail': { mode: 'incremental', cursorField: 'updated_at', landing: 'append', lookback: LOOKBACK },
}
const APPENDED: Readonly<Record<string, StreamOptions>> = {
  'public.w': { mode: 'incremental', cursorField: 'updated_at', landing: 'append' },
}

function specOf(name: string, streams: Readonly<Record<string, StreamOptions>>): Partial<SyncSpec> {
  return {
    name,
    selection: { select: Object.keys(streams), exclude: [] },
    streams,
    targetSchema: name,
    verify: true,
  }
}

class Race {
  readonly #db: TestDatabase
  readonly #warehouse: Warehouse
  readonly writers: Writers
  readonly naive = [new CursorCopy('updated_at'), new CursorCopy('id')]
  runs = 0
  wrong: string[] = []
  /** Runs in which fewer rows were read than the table has: by position, not by a scan. */
  partial = 0

  constructor(db: TestDatabase, warehouse: Warehouse, prepare: boolean) {
    this.#db = db
    this.#warehouse = warehouse
    this.writers = new Writers({ connect: () => db.connect(), count: 10, seed: SEED, prepare })
  }

  async run(reader: pg.Client): Promise<void> {
    const report = await this.#sync('copies', COPIES)
    for (const name of ['public.w', 'public.seen']) {
      if (streamOf(report, name).verified?.equal !== true) this.wrong.push(`${name} in run ${this.runs}`)
    }
    if (streamOf(report, 'public.w').sourceCount === null) this.partial++
    await this.#sync('appended', APPENDED)
    for (const copy of this.naive) await copy.read(reader)
    this.runs++
  }

  #sync(name: string, streams: Readonly<Record<string, StreamOptions>>): Promise<RunReport> {
    return this.#warehouse.sync(specOf(name, streams), {
      onProgress: (event) => {
        if (event.kind === 'run_started') this.writers.beforeSnapshot()
        if (event.kind === 'stream_started') this.writers.afterSnapshot()
      },
    })
  }

  /** Of the rows that are there at the end, and versions that were appended more than once. */
  async differences(): Promise<Record<string, number>> {
    const source = await this.#db.sql<{ id: string; ver: string; v: string }>('SELECT id, ver, v FROM w')
    const found: Record<string, number> = {}
    for (const [name, table] of [
      ['in flight', 'copies.w'],
      ['lookback', 'copies.seen'],
      ['append by lookback', 'copies.tail'],
      ['append by id', 'appended.w'],
    ] as const) {
      const landed = await this.#warehouse.query(
        `SELECT id, ver, v, count(*) AS n FROM ${table} GROUP BY ALL`,
      )
      const versions = new Set(landed.map((row) => `${row['id']} ${row['ver']} ${row['v']}`))
      found[`${name}: missing`] = source.filter(
        (row) => !versions.has(`${row.id} ${row.ver} ${row.v}`),
      ).length
      found[`${name}: repeated`] = landed.filter((row) => row['n'] !== '1').length
    }
    return found
  }
}

for (const major of MAJORS) {
  describe(`late commits and cursors on PostgreSQL ${major}`, () => {
    let server: SpecialServer
    beforeAll(async () => {
      server = await startServer({
        major,
        conf: { max_prepared_transactions: 50, wal_writer_delay: '100ms' },
      })
    })
    afterAll(() => server.close())

    test.each([
      ['transactions that end in one go', false],
      ['prepared transactions, too', true],
    ])(
      'no row is missed or repeated, while usual cursors lose rows: %s',
      async (_what, prepare) => {
        const db = await server.createDatabase()
        await db.sql(`${SCHEMA}; CREATE INDEX ON w (updated_at);
          CREATE VIEW seen AS SELECT * FROM w; CREATE VIEW tail AS SELECT * FROM w`)
        const warehouse = await Warehouse.create(db.url)
        const reader = await db.connect()
        const race = new Race(db, warehouse, prepare)
        try {
          race.writers.start()
          const started = performance.now()
          const elapsed = (): number => performance.now() - started
          const isEnough = (): boolean =>
            elapsed() >= SHORTEST_MS && race.writers.counts.lateCommits >= LATE_COMMITS
          while (!isEnough() && elapsed() < LONGEST_MS) {
            await race.run(reader)
            await sleep(30)
          }
          await race.writers.stop()
          await race.run(reader)
          const lost = await Promise.all(race.naive.map((copy) => copy.lost(reader)))
          const differences = await race.differences()
          const { runs, partial, writers } = race
          process.stderr.write(
            `cursors ${major}: ${JSON.stringify({ runs, partial, lostByTimestamp: lost[0], lostById: lost[1], ...writers.counts })}\n`,
          )
          expect(race.wrong).toEqual([])
          for (const [what, count] of Object.entries(differences)) expect([what, count]).toEqual([what, 0])
          expect(writers.counts.lateCommits).toBeGreaterThanOrEqual(LATE_COMMITS)
          if (!prepare) expect(partial, 'no run was bounded by what is under way').toBeGreaterThan(0)
          for (const count of lost) expect(count, 'a usual cursor lost nothing').toBeGreaterThan(0)
        } finally {
          await race.writers.stop().catch(() => undefined)
          await warehouse.remove()
        }
        await db.close()
      },
      LONGEST_MS * 3,
    )
  })
}
