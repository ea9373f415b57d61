import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { tableFromIPC } from 'apache-arrow'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { runReadCommand } from '../../src/cli/commands/read.js'
import { openTerminal } from '../../src/cli/terminal.js'
import { TEXT_SETTINGS } from '../codec/capture.js'
import { seededRandom, typeCases } from '../codec/every-type.js'
import { onOldestAndNewestServer, onNewestServer, type TestDatabase } from '../server/servers.js'
import { parseLines, runCli, type CliResult } from './run-cli.js'

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))
const SECOND = 1000

let folder: string
const run = (...args: string[]): Promise<CliResult> => runCli(args, { cwd: folder })

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'trunkline-read-'))
  // The server, which may run as somebody else, reads and writes here, too.
  chmodSync(folder, 0o777)
})
afterAll(() => {
  rmSync(folder, { recursive: true })
})

function start(...args: string[]): ChildProcess & { readonly stdout: NonNullable<ChildProcess['stdout']> } {
  const child = spawn(process.execPath, [MAIN, ...args], {
    cwd: folder,
    env: { PATH: process.env['PATH'] ?? '', HOME: folder },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  return child
}

async function bytesOf(...args: string[]): Promise<Buffer> {
  const child = start(...args)
  const pieces: Buffer[] = []
  child.stdout.on('data', (piece: Buffer) => pieces.push(piece))
  const [code] = (await once(child, 'close')) as [number]
  expect(code).toBe(0)
  return Buffer.concat(pieces)
}

onOldestAndNewestServer('rows of every type', (server) => {
  let database: TestDatabase
  const cases = typeCases(server.major)

  beforeAll(async () => {
    database = await server.createDatabase()
    await database.sql(TEXT_SETTINGS)
    const random = seededRandom(41)
    const inputs = cases.map((each) =>
      Array.from({ length: 300 }, (_, row) =>
        row < each.extremes.length ? each.extremes[row]! : random.next() < 0.1 ? null : each.random(random),
      ),
    )
    await database.sql(
      `CREATE TABLE t (${cases.map(({ column, sqlType }) => `"${column.name}" ${sqlType}`).join(', ')})`,
    )
    await database.sql(
      `INSERT INTO t SELECT ${cases.map(({ sqlType }, i) => `v${i}::${sqlType}`).join(', ')}
         FROM unnest(${cases.map((_, i) => `$${i + 1}::text[]`).join(', ')})
              WITH ORDINALITY AS u(${cases.map((_, i) => `v${i}`).join(', ')}, n)`,
      inputs,
    )
    await database.sql(`CREATE TABLE back (LIKE t)`)
  })

  /** As of SELECT. */
  const texts = cases.map(({ column }) => `"${column.name}"::text`).join(', ')

  test('are COPY text byte for byte as the server has it', async () => {
    const oracle = join(folder, `oracle-${server.major}.copy`)
    await database.sql(`COPY t TO '${oracle}'`)
    const ours = await bytesOf('read', database.url, 'public.t', '--format', 'copy')
    expect(ours.equals(readFileSync(oracle))).toBe(true)
    expect(ours.length).toBeGreaterThan(100_000)
  })

  test.each([
    ['copy', [], 'FORMAT text'],
    ['csv', [], 'FORMAT csv, HEADER'],
    [
      'csv',
      ['delimiter=tab', "quote='", 'null_text=NULL', 'header=false'],
      `FORMAT csv, DELIMITER E'\\t', QUOTE '''', NULL 'NULL'`,
    ],
  ])('as %s (%j) are taken back by COPY FROM, every value', async (format, options, form) => {
    const path = join(folder, `rows-${server.major}.${format}`)
    const flags = options.flatMap((option) => ['--format-option', option])
    const { code } = await run('read', database.url, 'public.t', '--format', format, ...flags, '-o', path)
    expect(code).toBe(0)
    chmodSync(path, 0o644)
    await database.sql('TRUNCATE back')
    await database.sql(`COPY back FROM '${path}' (${form})`)
    const [both] = await database.sql(
      `SELECT (SELECT count(*) FROM back) AS n, (SELECT count(*) FROM (SELECT ${texts} FROM t EXCEPT ALL SELECT ${texts} FROM back) d) AS lost`,
    )
    expect(both).toEqual({ n: '300', lost: '0' })
  })
})

onNewestServer('trunkline read', (server) => {
  let database: TestDatabase
  const ROWS = 50_000

  beforeAll(async () => {
    database = await server.createDatabase()
    await database.sql(
      `CREATE TABLE numbers AS SELECT g AS id, 'text ' || g AS note, g * 1.5 AS amount FROM generate_series(1, ${ROWS}) g`,
    )
  })

  /** How many sessions of the command there are. */
  const sessions = async (): Promise<number> => {
    const rows = await database.sql(
      `SELECT count(*) AS n FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'trunkline'`,
    )
    return Number(rows[0]?.n)
  }

  test('writes an Arrow stream that is whole', async () => {
    const table = tableFromIPC(await bytesOf('read', database.url, 'public.numbers', '--format', 'arrow'))
    expect(table.numRows).toBe(ROWS)
    expect(table.getChild('id')!.get(ROWS - 1)).toBe(ROWS)
    expect(table.getChild('note')!.get(0)).toBe('text 1')
  })

  test('reads a query, in any format, and not as a role that could do more than read', async () => {
    const sql = `SELECT id, note FROM public.numbers WHERE id <= 2 ORDER BY id`
    const refused = await run('read', database.url, '--sql', sql)
    expect(refused).toMatchObject({
      code: 1,
      stdout: '',
      stderr: expect.stringContaining('PRIVILEGED_ROLE') as string,
    })
    const role = await database.createRole()
    await database.sql(`GRANT SELECT ON numbers TO "${role.name}"`)
    expect((await run('read', role.url, '--sql', sql, '--format', 'copy')).stdout).toBe(
      '1\ttext 1\n2\ttext 2\n',
    )
    const allowed = await run('read', database.url, '--sql', sql, '--allow-privileged-role', '--limit', '1')
    expect(parseLines(allowed.stdout)).toEqual([{ id: 1, note: 'text 1' }])
  })

  test('takes options of CSV, and names those there are where one is not known', async () => {
    const csv = await run(
      'read',
      database.url,
      'public.numbers',
      '--limit',
      '1',
      '--format',
      'csv',
      '--format-option',
      'header=false',
      '--format-option',
      'delimiter=;',
    )
    expect(csv).toMatchObject({ code: 0, stdout: '1;text 1;1.5\n' })
    for (const [flags, words] of [
      [['--format', 'csv', '--format-option', 'headr=false'], 'Did you mean `header`?'],
      [['--format', 'copy', '--format-option', 'header=false'], 'It has no options.'],
      [['--format', 'csv', '--format-option', 'header'], '--format-option header=false'],
      [['--sql', 'SELECT 1'], 'Leave one of the two out.'],
    ] as const) {
      const wrong = await run('read', database.url, 'public.numbers', ...flags)
      expect(wrong).toMatchObject({ code: 2, stdout: '', stderr: expect.stringContaining(words) as string })
    }
  })

  test('writes no binary to a terminal', async () => {
    const terminal = { ...openTerminal({}, {}), outIsTerminal: true }
    await expect(
      runReadCommand(terminal, [database.url, 'public.numbers'], { format: 'arrow' }),
    ).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      hint: expect.stringContaining('-o rows.arrows') as string,
    })
  })

  test.each(['jsonl', 'csv', 'arrow', 'copy'])(
    'ends quietly, here and at the server, when the reader of %s leaves',
    async (format) => {
      const sql = `SELECT a.id, repeat('x', 1000) AS filler FROM public.numbers a, public.numbers b`
      const child = start('read', database.url, '--sql', sql, '--allow-privileged-role', '--format', format)
      let stderr = ''
      child.stderr!.on('data', (piece: Buffer) => (stderr += piece.toString()))
      await once(child.stdout, 'data')
      child.stdout.destroy()
      const [code, signal] = (await once(child, 'close')) as [number | null, string | null]
      expect({ code, signal, stderr }).toEqual({ code: 0, signal: null, stderr: '' })
      await vi.waitFor(async () => expect(await sessions()).toBe(0), { timeout: 60 * SECOND, interval: 100 })
    },
  )

  test('`| head -1` is a line and no error', async () => {
    const command = `"${process.execPath}" "${MAIN}" read "$1" public.numbers --format csv | head -1`
    const { stdout, stderr } = await promisify(execFile)('sh', ['-c', command, 'sh', database.url], {
      env: { PATH: process.env['PATH'] ?? '', HOME: folder },
    })
    expect({ stdout, stderr }).toEqual({ stdout: 'id,note,amount\n', stderr: '' })
  })

  test('reads no more than little ahead of whoever takes its rows', async () => {
    const sql = `SELECT g AS id, repeat('x', 2000) AS filler FROM generate_series(1, 120000) g`
    const child = start('read', database.url, '--sql', sql, '--allow-privileged-role', '--format', 'copy')
    const waiting = async (): Promise<unknown> => {
      const rows = await database.sql(
        `SELECT wait_event FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'trunkline' AND wait_event = 'ClientWrite'`,
      )
      return rows.length
    }
    // Nobody reads the pipe: the server has to wait, and the process holds little of the 240 MB.
    await vi.waitFor(async () => expect(await waiting()).toBe(1), { timeout: 60 * SECOND, interval: 100 })
    const status = readFileSync(`/proc/${child.pid}/status`, 'utf8')
    expect(Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1])).toBeLessThan(220 * 1024)
    let bytes = 0
    child.stdout.on('data', (piece: Buffer) => (bytes += piece.length))
    const [code] = (await once(child, 'close')) as [number]
    const numbers = Array.from({ length: 120_000 }, (_, row) => String(row + 1).length).reduce(
      (sum, each) => sum + each,
    )
    expect({ code, bytes }).toEqual({ code: 0, bytes: numbers + 120_000 * (2000 + 2) })
  })

  test('-o writes a file that is there when it is whole, for its owner alone, and leaves what was there otherwise', async () => {
    const place = join(folder, 'output')
    mkdirSync(place)
    const path = join(place, 'rows.csv')
    const read = (...flags: string[]): Promise<CliResult> =>
      run('read', database.url, '--allow-privileged-role', '--format', 'csv', '-o', path, ...flags)
    const done = await read('--sql', 'SELECT 1 AS a')
    expect(done).toMatchObject({ code: 0, stdout: '' })
    expect(readFileSync(path, 'utf8')).toBe('a\n1\n')
    expect(statSync(path).mode & 0o777).toBe(0o600)
    const failed = await read('--sql', 'SELECT 1 / (50000 - g) AS a FROM generate_series(1, 50000) g')
    expect(failed).toMatchObject({ code: 1, stderr: expect.stringContaining('division by zero') as string })
    expect(readFileSync(path, 'utf8')).toBe('a\n1\n')
    writeFileSync(path, 'something longer than what comes')
    await read('--sql', 'SELECT 2 AS a')
    expect(readFileSync(path, 'utf8')).toBe('a\n2\n')
    expect(readdirSync(place)).toEqual(['rows.csv'])
    const nowhere = await run('read', database.url, 'public.numbers', '-o', join(place, 'no', 'rows.csv'))
    expect(nowhere).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('DESTINATION_FAILED') as string,
    })
  })

  test('a full disk is an error, whoever opened the file', async () => {
    const own = await run('read', database.url, 'public.numbers', '-o', '/dev/full')
    expect(own).toMatchObject({ code: 1, stderr: expect.stringContaining('DESTINATION_FULL') as string })
    const command = `"${process.execPath}" "${MAIN}" read "$1" public.numbers > /dev/full`
    const env = { PATH: process.env['PATH'] ?? '', HOME: folder }
    await expect(
      promisify(execFile)('sh', ['-c', command, 'sh', database.url], { env }),
    ).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringContaining('DESTINATION_FULL') as string,
    })
  })
})
