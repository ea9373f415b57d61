import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtempSync, rmdirSync } from 'node:fs'
import { chmod, copyFile, mkdir, readFile, readdir, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import type { TrunklineError } from '../../src/model/error.js'
import type { RunReport } from '../../src/model/report.js'
import { onNewestServer, type TestDatabase } from '../server/servers.js'
import { expectSameRows } from './compare.js'
import { CopyFile, failuresOf, refusalOf } from './copy-file.js'
import { pauseOnce } from './pausing-source.js'

/** Whether a small disk can be made for a test; the limit of a file's size stands in for it elsewhere. */
const canMount = tryMount()

onNewestServer('a destination that cannot be had', (server) => {
  let db: TestDatabase
  let copy: CopyFile
  beforeAll(async () => {
    db = await server.createDatabase()
    await db.sql(`
      CREATE TABLE t (id int PRIMARY KEY, v text);
      INSERT INTO t SELECT g, md5(g::text) FROM generate_series(1, 1000) g`)
  })
  beforeEach(async () => {
    copy = await CopyFile.create(db.url)
  })
  afterEach(() => copy.remove())

  test('a directory, a file of another kind, a folder that is missing', async () => {
    const folder = path.join(copy.folder, 'folder')
    await mkdir(folder)
    expect(await refusalOf(copy.run({ file: folder }))).toMatchObject({
      code: 'DESTINATION_INVALID',
      message: expect.stringContaining('directory') as string,
    })
    const text = path.join(copy.folder, 'notes.txt')
    await writeFile(text, 'my notes, not a database')
    expect(await refusalOf(copy.run({ file: text }))).toMatchObject({
      code: 'DESTINATION_INVALID',
      message: expect.stringContaining('not a DuckDB file') as string,
    })
    expect(await readFile(text, 'utf8')).toBe('my notes, not a database')
    expect(await refusalOf(copy.run({ file: path.join(copy.folder, 'no', 'such.duckdb') }))).toMatchObject({
      code: 'DESTINATION_INVALID',
      hint: expect.stringContaining('mkdir -p') as string,
    })
    expect((await readdir(copy.folder)).sort()).toEqual(['folder', 'notes.txt'])
  })

  test('a file, or a folder, that may only be read', async () => {
    await copy.sync()
    const before = await digest(copy.file)
    await chmod(copy.file, 0o444)
    expect((await copy.runInChild({}, AS_PLAIN_USER)).error).toMatchObject({ code: 'DESTINATION_READ_ONLY' })
    await chmod(copy.file, 0o600)
    await chmod(copy.folder, 0o555)
    expect((await copy.runInChild({}, AS_PLAIN_USER)).error).toMatchObject({ code: 'DESTINATION_READ_ONLY' })
    await chmod(copy.folder, 0o700)
    expect(await digest(copy.file)).toBe(before)
    await db.sql('UPDATE t SET v = v WHERE id = 1')
    await copy.sync()
    await expectSameRows(db, copy, 'public.t')
  })

  test('held by another program, and by another run in this process or another: each says who', async () => {
    await copy.sync()
    const instance = await DuckDBInstance.create(copy.file)
    const held = await copy.runInChild()
    expect(held.error).toMatchObject({ code: 'DESTINATION_LOCKED', retry: 'backoff' })
    expect(held.error?.message).toContain(String(process.pid))
    instance.closeSync()

    await db.sql('UPDATE t SET v = v WHERE id < 10')
    let inProcess: unknown
    let inChild: unknown
    const pause = pauseOnce('reading', async () => {
      inProcess = await refusalOf(copy.run())
      inChild = (await copy.runInChild()).error
    })
    await copy.sync({ wrap: pause.wrap })
    expect(inProcess).toMatchObject({ code: 'DESTINATION_LOCKED' })
    expect(inChild).toMatchObject({
      code: 'DESTINATION_LOCKED',
      message: expect.stringContaining(`process ${process.pid}`) as string,
    })
    await expectSameRows(db, copy, 'public.t')
  })

  test('two runs that begin together: one is done, the other waits or says that it is held', async () => {
    const results = await Promise.all([copy.runInChild(), copy.runInChild()])
    for (const { report, error } of results) {
      if (error === null) expect(report?.outcome).toBe('done')
      else expect(error.code).toBe('DESTINATION_LOCKED')
    }
    expect(results.some(({ error }) => error === null)).toBe(true)
    await expectSameRows(db, copy, 'public.t')
  })

  test('a file that may grow no more: what was committed stays, and with room the next run goes on', async () => {
    await createBig()
    await copy.sync({ select: ['public.t'] })
    await db.sql(`UPDATE t SET v = 'after' WHERE id = 1`)
    const { report, error } = await copy.runInChild({ select: ['public.*'] }, withLargestFile(8 * MIB))
    expect(error).toBeNull()
    expect(failuresOf(report as RunReport)['public.big']).toMatch(/^DESTINATION_(FULL|FAILED)$/)
    await expectIntact()
  })

  test.runIf(canMount)('a disk that is full is called so', async () => {
    await createBig()
    const disk = path.join(copy.folder, 'disk')
    await mkdir(disk)
    mount('-t', 'tmpfs', '-o', 'size=12m', 'tmpfs', disk)
    const file = path.join(disk, 'copy.duckdb')
    try {
      await copy.sync({ select: ['public.t'], file })
      await db.sql(`UPDATE t SET v = 'after' WHERE id = 1`)
      // Where not even the log can be written into the file at the end, the run as a whole is refused.
      const codes = await copy.run({ select: ['public.*'], file }).then(
        (report) => Object.values(failuresOf(report)),
        (error: unknown) => [(error as TrunklineError).code],
      )
      expect(new Set(codes)).toEqual(new Set(['DESTINATION_FULL']))
      // Nothing is left over that would keep the disk full.
      expect((await readdir(disk)).filter((name) => name.includes('trunkline'))).toEqual([])
      mount('-o', 'remount,size=200m', disk)
      await copy.sync({ select: ['public.*'], file })
      await copyFile(file, copy.file)
    } finally {
      spawnSync('umount', [disk])
    }
    await expectSameRows(db, copy, 'public.t')
    await expectSameRows(db, copy, 'public.big')
    await db.sql('DROP TABLE big')
  })

  /** Some 25 MiB that do not compress. */
  async function createBig(): Promise<void> {
    await db.sql(`
      CREATE TABLE big (id int PRIMARY KEY, v text);
      INSERT INTO big SELECT g, string_agg(md5(g::text || k), '')
        FROM generate_series(1, 20000) g, generate_series(1, 40) k GROUP BY g`)
  }

  async function expectIntact(): Promise<void> {
    expect(await copy.rows('SELECT count(*) AS n FROM public.t')).toEqual([{ n: '1000' }])
    expect(await copy.rows(`SELECT 1 FROM duckdb_tables() WHERE table_name = 'big'`)).toEqual([])
    await copy.sync({ select: ['public.*'] })
    await expectSameRows(db, copy, 'public.t')
    await expectSameRows(db, copy, 'public.big')
    await db.sql('DROP TABLE big')
  }
})

const MIB = 1024 * 1024

function withLargestFile(bytes: number): string[] {
  // In blocks of 512 bytes, as POSIX has it.
  return ['/bin/sh', '-c', `ulimit -f ${bytes / 512} && exec "$@"`, 'sh']
}

/** Takes from root what lets it write where it may not; anybody else is plain already. */
const AS_PLAIN_USER =
  process.getuid?.() === 0 ? ['setpriv', '--inh-caps=-all', '--bounding-set=-all', '--'] : []

async function digest(file: string): Promise<string> {
  return createHash('sha256')
    .update(await readFile(file))
    .digest('hex')
}

function mount(...args: string[]): void {
  const { status, stderr } = spawnSync('mount', args, { encoding: 'utf8' })
  if (status !== 0) throw new Error(`mount: ${stderr}`)
}

function tryMount(): boolean {
  if (process.getuid?.() !== 0) return false
  const place = mkdtempSync(path.join(tmpdir(), 'trunkline-mount-'))
  try {
    mount('-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', place)
    spawnSync('umount', [place])
    return true
  } catch {
    return false
  } finally {
    rmdirSync(place)
  }
}
