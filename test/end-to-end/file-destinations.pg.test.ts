import { readFile, readdir } from 'node:fs/promises'
import path from 'node:path'
import { DuckDBInstance, type DuckDBValue } from '@duckdb/node-api'
import { beforeAll, expect, test } from 'vitest'
import { makeFolder, parseLines, runCli } from '../cli/run-cli.js'
import { makeShop } from '../cli/shop.js'
import type { TestDatabase } from '../server/servers.js'
import { onNewestServer } from '../server/servers.js'

/** A plain DuckDB in `cwd`, with the views of the place if `views` is told. */
async function queryFiles(
  sql: string,
  options: { readonly views?: string } = {},
): Promise<readonly (readonly DuckDBValue[])[]> {
  const instance = await DuckDBInstance.create(':memory:')
  const connection = await instance.connect()
  try {
    if (options.views !== undefined) await connection.run(await readFile(options.views, 'utf8'))
    return (await connection.runAndReadAll(sql)).getRows()
  } finally {
    connection.closeSync()
    instance.closeSync()
  }
}

onNewestServer('a sync into files', (server) => {
  let database: TestDatabase
  let cwd: string
  beforeAll(async () => {
    database = await server.createDatabase()
    await makeShop(database)
    cwd = makeFolder()
  })

  test.each(['parquet', 'csv', 'jsonl'])(
    'lands as %s what the source has, and the views are all of it',
    async (format) => {
      const place = `${format}:./${format}-lake`
      const { code, stdout, stderr } = await runCli(['sync', database.url, place, '--verify'], { cwd })
      expect({ code, stderr }).toMatchObject({ code: 0 })
      expect(stdout).toContain('3 streams, 1,103 rows landed')
      const views = path.join(cwd, `${format}-lake`, 'latest.sql')
      expect(await queryFiles('SELECT count(*), sum(id) FROM public.orders', { views })).toEqual([
        [1000n, 500500n],
      ])
      const [read, query = ''] = stdout.trimEnd().split('\n').slice(-2)
      expect(read).toBe(`.read ${views}`)
      expect(await queryFiles(query, { views })).toHaveLength(1000)
    },
  )

  test('replaces what is there in the next run, keeps what was there until gc, and tells its state', async () => {
    const place = 'parquet:./second'
    const views = path.join(cwd, 'second', 'latest.sql')
    const only = ['--select', 'public.notes', '--name', 'notes']
    const folder = path.join(cwd, 'second', 'public.notes')
    await runCli(['sync', database.url, place, ...only], { cwd })
    await database.sql(`INSERT INTO notes VALUES ('late')`)
    const { code, stderr } = await runCli(['sync', database.url, place, ...only], { cwd })
    expect({ code, stderr }).toMatchObject({ code: 0 })
    await database.sql(`DELETE FROM notes WHERE body = 'late'`)
    expect(await queryFiles('SELECT count(*) FROM public.notes', { views })).toEqual([[4n]])
    expect(await readdir(folder)).toEqual(['gen-1', 'gen-2'])

    const status = await runCli(['status', place, '--json'], { cwd })
    expect(parseLines(status.stdout)).toMatchObject([
      {
        kind: 'status',
        running: null,
        streams: [{ stream: 'public.notes', generation: 2, runSeq: 2, state: 'ok' }],
      },
    ])
    const young = await runCli(['gc', place], { cwd })
    expect(young.stdout).toContain('0 files')
    const dry = await runCli(['gc', place, '--older-than', '0s', '--dry-run'], { cwd })
    expect(dry.stdout).toMatch(/: 1 file \(.*\), 0 manifests, 0 leftovers would be removed/)
    expect(await readdir(folder)).toEqual(['gen-1', 'gen-2'])
    const gc = await runCli(['gc', place, '--older-than', '0s', '--json'], { cwd })
    expect(parseLines(gc.stdout)).toMatchObject([{ kind: 'gc', dryRun: false, files: 1, leftovers: 0 }])
    expect(await readdir(folder)).toEqual(['gen-2'])
    expect(await queryFiles('SELECT count(*) FROM public.notes', { views })).toEqual([[4n]])

    await runCli(['state', 'pause', 'public.notes', place], { cwd })
    const paused = await runCli(['status', place], { cwd })
    expect(paused.stdout).toContain('paused')
  })

  test('adds to what is there where a stream only grows, each row once', async () => {
    await database.sql(`
      CREATE TABLE events (id bigint PRIMARY KEY, at timestamptz NOT NULL);
      INSERT INTO events SELECT g, now() FROM generate_series(1, 50) g;`)
    const args = [
      'sync',
      database.url,
      'jsonl:./events',
      '--select',
      'public.events',
      '--mode',
      'incremental',
    ]
    const first = await runCli([...args, '--cursor-field', 'public.events=id'], { cwd })
    expect({ code: first.code, stderr: first.stderr }).toMatchObject({ code: 0 })
    await database.sql(`INSERT INTO events SELECT g, now() FROM generate_series(51, 60) g`)
    const second = await runCli([...args, '--cursor-field', 'public.events=id'], { cwd })
    expect({ code: second.code, stderr: second.stderr }).toMatchObject({ code: 0 })
    const views = path.join(cwd, 'events', 'latest.sql')
    expect(await queryFiles('SELECT count(*), count(DISTINCT id) FROM public.events', { views })).toEqual([
      [60n, 60n],
    ])
  })
})
