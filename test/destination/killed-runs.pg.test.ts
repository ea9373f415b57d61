/**
 * Runs from a real server are killed (SIGKILL) in a process of their own while they land in each of the destinations. Whatever moment
 * that is, readers see each table as it was before or as it is now, and the next run, which waits for nothing, makes it exact.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { createJsonlFormat } from '../../src/destination/files/jsonl-format.js'
import { createParquetFormat } from '../../src/destination/files/parquet-format.js'
import { connect } from '../../src/index.js'
import type { Field } from '../../src/model/column-type.js'
import type { RunReport } from '../../src/model/report.js'
import type { SyncSpec } from '../../src/model/sync-spec.js'
import { DEFAULT_LIMITS } from '../../src/model/thresholds.js'
import { normalRows, readNormal } from '../../src/testing/landings.js'
import type { Place } from '../../src/testing/place.js'
import { onNewestServer, type TestDatabase } from '../server/servers.js'
import { environmentOf, stubEnvironment } from '../store/open-s3-store.js'
import type { S3Server } from '../store/s3-server.js'
import { buildChild, type BuiltChild } from '../sync/build-child.js'
import { makeRandom } from '../sync/writers.js'
import { makeFilesPlace } from './files/files-place.js'
import type { KilledAt } from './killed-runs/killed-run-child.js'
import { runWatched, type Job, type JobPlace } from './killed-runs/watched-run.js'
import { makePostgresPlace } from './postgres/postgres-place.js'
import { makeS3Place, startBucket } from './s3-place.js'

const FULL = process.env['TRUNKLINE_ORACLE'] === 'full'
const SEED = Number(process.env['TRUNKLINE_CRASH_SEED'] ?? 1)
/** At effects that chance chooses, for each destination. */
const KILLS = FULL ? 20 : 1
const LONGEST_DELAY_MS = 20
if (FULL) vi.setConfig({ testTimeout: 900_000 })
const ROOT = path.resolve(import.meta.dirname, '../..')
const READER = pathToFileURL(path.join(ROOT, 'dist/source/reader-worker.js')).href
const SYNC = 'killed'
const TABLES = ['t', 'u'] as const

type Table = (typeof TABLES)[number]
/** Null: no table. */
type Content = readonly (readonly (string | null)[])[] | null
type Contents = Readonly<Record<Table, Content>>

const SCHEMA = `
  CREATE TABLE t (
    id bigint PRIMARY KEY, v integer NOT NULL, amount numeric(20, 4), note text, at timestamptz, raw bytea, ok boolean, ratio float8);
  CREATE TABLE u (id bigint PRIMARY KEY, v integer NOT NULL);
  ${insert(1, 3000)}`

/** Rows of which no two are alike, some values missing, in both tables. */
function insert(from: number, to: number): string {
  return `
    INSERT INTO t SELECT g, g % 97, g * 1.0001, nullif('ünïcödé "' || g || E'"\\n', 'x'), '2024-01-01Z'::timestamptz + g * interval '1.000001 s',
        decode(md5(g::text), 'hex'), CASE g % 3 WHEN 0 THEN NULL ELSE g % 3 = 1 END, 1 / g::float8
      FROM generate_series(${from}, ${to}) g;
    INSERT INTO u SELECT g, g % 89 FROM generate_series(${from}, ${to}) g WHERE g % 5 = 0`
}

/** A round's, of both tables. */
const onlyMore = (round: number): string => insert(10_000 * round, 10_000 * round + 1200)
const ofEveryKind = (round: number): string => `
  UPDATE t SET v = -${round}, note = NULL WHERE id % 40 = ${round % 40};
  DELETE FROM t WHERE id % 41 = ${round % 41};
  UPDATE u SET v = -${round} WHERE id % 4 = ${round % 4};
  DELETE FROM u WHERE id % 43 = ${round % 43};
  ${insert(10_000 * round, 10_000 * round + 200)}`

interface Candidate {
  readonly place: Place
  readonly job: Job
  readonly change: (round: number) => string
  /** Readers may see the version before the committed one until the next run. */
  readonly readersMayLag: boolean
  /** Resolves when everything that a dead process has sent was dealt with. */
  readonly settle: () => Promise<void>
}

const [parquet, jsonl] = await Promise.all([createParquetFormat({}), createJsonlFormat({})])

onNewestServer('runs that are killed', (server) => {
  let source: TestDatabase
  let target: TestDatabase
  let bucket: S3Server
  let child: BuiltChild
  let fields: Readonly<Record<Table, readonly Field[]>>

  beforeAll(async () => {
    child = await buildChild('killed-run-child', path.join(import.meta.dirname, 'killed-runs'))
    bucket = await startBucket()
    target = await server.createDatabase()
  })
  afterAll(async () => {
    await bucket[Symbol.asyncDispose]()
    await child.remove()
  })

  async function createSource(sql: string): Promise<void> {
    source = await server.createDatabase()
    await source.sql(sql)
    await using looked = await connect({ url: source.url })
    await using snapshot = await looked.snapshot(TABLES.map((table) => `public.${table}`))
    fields = { t: snapshot.fields('public.t'), u: snapshot.fields('public.u') }
    for (const table of TABLES) expect(fields[table].length).toBeGreaterThan(1)
  }

  /** What the server prints. */
  async function readSource(place: Place): Promise<Contents> {
    await source.sql(`SET TimeZone = 'UTC'; SET extra_float_digits = 3; SET bytea_output = 'hex'`)
    const read = async (table: Table): Promise<Content> => {
      const columns = fields[table]
      const rows = await source.sql(
        `SELECT ${columns.map(({ name }) => `${name}::text`).join(', ')} FROM ${table}`,
      )
      const values = rows.map((row) => columns.map(({ name }) => row[name] ?? null))
      return normalRows(place, columns, values)
    }
    return { t: await read('t'), u: await read('u') }
  }

  async function readLanded(place: Place): Promise<Contents> {
    const read = (table: Table): Promise<Content> =>
      readNormal(place, { schema: 'public', name: table }, fields[table])
    return { t: await read('t'), u: await read('u') }
  }

  async function readCommits({ place }: Candidate): Promise<Readonly<Record<Table, number>>> {
    await using destination = place.create()
    const [state] = await destination.readState(SYNC)
    const of = (table: Table): number => state?.streams.get(`public.${table}`)?.runSeq ?? 0
    return { t: of('t'), u: of('u') }
  }

  function candidateOf(place: Place, where: JobPlace, stated: Partial<SyncSpec>): Omit<Candidate, 'change'> {
    const spec: Partial<SyncSpec> = {
      name: SYNC,
      selection: { select: ['public.*'], exclude: [] },
      limits: { ...DEFAULT_LIMITS, batchRows: 500, firstRetryDelayMs: 100 },
      jobs: 1,
      allowMassDelete: true,
      ...stated,
    }
    return {
      place,
      job: { source: source.url, place: where, spec },
      readersMayLag: where.kind !== 'postgresql',
      async settle() {
        const sessions = `SELECT count(*) AS n FROM pg_stat_activity
          WHERE datname IN ('${source.name}', '${target.name}') AND application_name LIKE 'trunkline%'`
        await expect.poll(() => source.sql(sessions)).toEqual([{ n: '0' }])
        await expect.poll(() => bucket.connections).toBe(0)
      },
    }
  }

  /** What the run said before it died. */
  async function runAndDie(job: Job, at: KilledAt): Promise<readonly string[]> {
    const dying = spawn(process.execPath, [child.file], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: {
        ...process.env,
        KILLED_JOB: JSON.stringify({ ...job, reader: READER }),
        KILLED_AT: JSON.stringify(at),
      },
    })
    let said = ''
    dying.stdout.setEncoding('utf8').on('data', (text: string) => (said += text))
    const [, signal] = (await once(dying, 'close')) as [number | null, string | null]
    expect(signal).toBe('SIGKILL')
    return said.split('\n').filter((line) => line !== '')
  }

  /** @returns how many effects it had */
  async function runWhole(job: Job): Promise<{ readonly effects: number; readonly report: RunReport }> {
    let effects = 0
    const report = await runWatched(job, (moment) => {
      if (moment === 'effect') effects++
    })
    expect(report.streams.map(({ error }) => error)).toEqual(report.streams.map(() => null))
    expect(report.outcome).toBe('done')
    return { effects, report }
  }

  /** A run that dies, and what there is then: of each table what was there or what it landed, as it said. */
  async function dieAndLook(candidate: Candidate, at: KilledAt, before: Contents): Promise<void> {
    const { place, job, readersMayLag, settle } = candidate
    const [commits, now] = [await readCommits(candidate), await readSource(place)]
    const said = await runAndDie(job, at)
    await settle()
    const [commitsAfter, landed] = [await readCommits(candidate), await readLanded(place)]
    for (const table of TABLES) {
      const what = `${JSON.stringify(at)}: public.${table}`
      const made = commitsAfter[table] - commits[table]
      if (said.includes(`ended public.${table}`)) expect(made, what).toBe(1)
      else if (said.includes(`begun public.${table}`)) expect([0, 1], what).toContain(made)
      else expect(made, what).toBe(0)
      const old = differ(landed[table], before[table])
      const whole = differ(landed[table], now[table])
      if (made === 0) expect(old, what).toEqual([])
      else if (!readersMayLag) expect(whole, what).toEqual([])
      else expect([old, whole], what).toContainEqual([])
    }
  }

  /** The run after it. @returns what is there then, which is what the source has */
  async function makeGood(
    candidate: Candidate,
  ): Promise<{ readonly effects: number; readonly report: RunReport; readonly content: Contents }> {
    const result = await runWhole(candidate.job)
    const content = await readSource(candidate.place)
    const landed = await readLanded(candidate.place)
    for (const table of TABLES) expect(differ(landed[table], content[table]), table).toEqual([])
    return { ...result, content }
  }

  /** A first run is killed at its commit, then later ones at their commit and at effects that chance chooses. */
  async function killAgainAndAgain(candidate: Candidate, seed: number): Promise<void> {
    const random = makeRandom(SEED * 100 + seed)
    const delay = (): number => Math.floor(random() * LONGEST_DELAY_MS)
    await dieAndLook(candidate, { moment: 'begun', nth: 1, delayMs: delay() }, { t: null, u: null })
    await source.sql(candidate.change(1))
    let { effects, content } = await makeGood(candidate)
    for (let round = 2; round <= KILLS + 2; round++) {
      await source.sql(candidate.change(round))
      const nth = 1 + Math.floor(random() * effects)
      const at: KilledAt =
        round === 2
          ? { moment: 'begun', nth: 1 + Math.floor(random() * TABLES.length), delayMs: delay() }
          : { moment: 'effect', nth, delayMs: random() < 0.5 ? null : delay() }
      await dieAndLook(candidate, at, content)
      ;({ effects, content } = await makeGood(candidate))
    }
  }

  describe('whose rows land', () => {
    test('as Parquet in a folder, replaced by each run', async () => {
      await createSource(SCHEMA)
      const place = await makeFilesPlace(parquet)
      const where = { kind: 'folder', format: 'parquet', path: place.folder } as const
      const candidate = candidateOf(place, where, { defaults: { mode: 'full_refresh' } })
      await killAgainAndAgain({ ...candidate, change: ofEveryKind }, 1)
      await place.remove()
    })

    test('as JSON Lines in a folder, added by transaction id and by a cursor', async () => {
      await createSource(SCHEMA)
      const place = await makeFilesPlace(jsonl, { jsonByValue: true })
      const where = { kind: 'folder', format: 'jsonl', path: place.folder } as const
      const candidate = candidateOf(place, where, {
        defaults: { mode: 'incremental', landing: 'append' },
        streams: { 'public.u': { cursorField: 'id' } },
      })
      await killAgainAndAgain({ ...candidate, change: onlyMore }, 2)
      await place.remove()
    })

    test('in a database, as a mirror', async () => {
      await createSource(SCHEMA)
      const place = await makePostgresPlace(target, server.major)
      const where = { kind: 'postgresql', url: target.url } as const
      const candidate = candidateOf(place, where, { defaults: { mode: 'mirror' } })
      await killAgainAndAgain({ ...candidate, change: ofEveryKind }, 3)
    })

    test('as Parquet in a bucket, replaced by each run', async () => {
      await createSource(SCHEMA)
      const place = await makeS3Place(bucket)
      stubEnvironment(environmentOf(bucket))
      const where = { kind: 'bucket', endpoint: bucket.endpoint, prefix: 'shop/daily' } as const
      const candidate = candidateOf(place, where, { defaults: { mode: 'full_refresh' } })
      await killAgainAndAgain({ ...candidate, change: ofEveryKind }, 4)
    })
  })

  test('in a bucket on another machine: the next run goes on when the last sign of life is old', async () => {
    await createSource(SCHEMA)
    const place = await makeS3Place(bucket)
    stubEnvironment(environmentOf(bucket))
    const where = { kind: 'bucket', endpoint: bucket.endpoint, prefix: 'shop/daily' } as const
    const candidate = {
      ...candidateOf(place, where, { defaults: { mode: 'full_refresh' } }),
      change: ofEveryKind,
    }
    const elsewhere = { ...candidate.job, place: { ...where, host: 'elsewhere.invalid' } }
    const at: KilledAt = { moment: 'begun', nth: 1, delayMs: null }
    await dieAndLook({ ...candidate, job: elsewhere }, at, { t: null, u: null })
    // Nobody here can know that it is dead.
    await expect(runWatched(candidate.job, () => undefined)).rejects.toMatchObject({
      code: 'DESTINATION_LOCKED',
    })
    for (const [key, object] of bucket.objects) {
      bucket.objects.set(key, { ...object, modifiedAt: new Date(Date.now() - 3_600_000) })
    }
    await makeGood(candidate)
  })

  test('in a database, in a first load that is saved on its way: the next run goes on with it', async () => {
    // Few rows on many pages: large enough to be read in parts.
    await createSource(`
      CREATE TABLE t (id bigint PRIMARY KEY, v integer NOT NULL, pad text NOT NULL) WITH (fillfactor = 10);
      INSERT INTO t SELECT g, 0, repeat('x', 200) || g FROM generate_series(1, 20000) g;
      CREATE TABLE u (id bigint PRIMARY KEY, v integer NOT NULL);
      INSERT INTO u SELECT g, 0 FROM generate_series(1, 100) g`)
    const place = await makePostgresPlace(target, server.major)
    const where = { kind: 'postgresql', url: target.url } as const
    const { job, ...rest } = candidateOf(place, where, {
      defaults: { mode: 'mirror' },
      selection: { select: ['public.t'], exclude: [] },
    })
    const change = (round: number): string => `
      UPDATE t SET v = v + 1 WHERE id % 101 = ${round};
      DELETE FROM t WHERE id % 103 = ${round};
      UPDATE t SET id = id + 1000000 WHERE id % 107 = ${round};
      INSERT INTO t SELECT g, ${round}, 'new' FROM generate_series(${2_000_000 + round * 1000}, ${2_000_500 + round * 1000}) g`
    const candidate: Candidate = { ...rest, job: { ...job, saveEveryMs: 0 }, change }
    const nothing: Contents = { t: null, u: null }
    // As soon as a part is saved; then, in what goes on with it, while it commits but before it has.
    await dieAndLook(candidate, { moment: 'saved', nth: 1, delayMs: null }, nothing)
    await source.sql(change(1))
    await dieAndLook(candidate, { moment: 'begun', nth: 1, delayMs: null }, nothing)
    await source.sql(change(2))
    const { report } = await runWhole(candidate.job)
    expect(report.streams[0]?.fullLoadReason).toMatch(/Gone on with: [1-9]\d* of \d+ parts were there/)
    const [landed, content] = [await readLanded(place), await readSource(place)]
    expect(differ(landed.t, content.t)).toEqual([])
    await using destination = place.create()
    const [state] = await destination.readState(SYNC)
    expect(state?.streams.get('public.t')).toMatchObject({ runSeq: 1, partial: null })
  })
})

/** Where rows differ, in a few lines. */
function differ(found: Content, expected: Content): string[] {
  if (found === null || expected === null)
    return found === expected ? [] : [found === null ? 'no table' : 'a table where there was none']
  if (found.length !== expected.length) return [`${found.length} rows for ${expected.length}`]
  return expected
    .flatMap((row, at) => (JSON.stringify(row) === JSON.stringify(found[at]) ? [] : [`row ${row[0]}`]))
    .slice(0, 5)
}
