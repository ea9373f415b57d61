import { readFile, readdir, stat } from 'node:fs/promises'
import path from 'node:path'
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { runFilePath } from '../../src/destination/duckdb/run-file.js'
import { type SpecialServer, startServer, type TestDatabase } from '../server/servers.js'
import { expectSameRows } from './compare.js'
import { CopyFile } from './copy-file.js'
import { pauseOnce } from './pausing-source.js'

const CANARY = 'canary-7d1e%40s3cr3t'
/** As it is in the connection string, and as the server knows it. */
const FORMS = [
  CANARY,
  decodeURIComponent(CANARY),
  's3cr3t',
  Buffer.from(decodeURIComponent(CANARY)).toString('base64'),
]

let server: SpecialServer
let db: TestDatabase
let copy: CopyFile
let url: string
beforeAll(async () => {
  server = await startServer({ major: 15, hba: ['host all all all scram-sha-256'] })
  db = await server.createDatabase()
  const role = await db.createRole(`PASSWORD '${decodeURIComponent(CANARY)}'`)
  url = role.url.replace('@', `:${CANARY}@`)
  copy = await CopyFile.create(url)
  await db.sql(`
    CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT g, 'v' FROM generate_series(1, 5000) g;
    CREATE TABLE forbidden (id int PRIMARY KEY); GRANT SELECT ON t TO ${role.name}`)
})
afterAll(async () => {
  await copy.remove()
  await server.close()
})

test('the password is nowhere: not in reports, events, state, notes of the run, or any byte that is written', async () => {
  const said: string[] = []
  // What stands on disk while rows are on their way; the file itself is read when nobody has it open any more.
  const pause = pauseOnce('reading', async () => {
    said.push(...(await filesOf(copy.folder, (name) => name !== path.basename(copy.file))))
  })
  const report = await copy.run({
    wrap: (source) => {
      said.push(source.description)
      return pause.wrap(source)
    },
    onProgress: (event) => said.push(JSON.stringify(event)),
  })
  expect(pause.reached()).toBe(true)
  expect(report.outcome).toBe('some_failed')
  await expectSameRows(db, copy, 'public.t')
  const state = await copy.rows('SELECT * FROM _trunkline.tables')
  expect(state.length).toBeGreaterThan(0)
  said.push(JSON.stringify(report), JSON.stringify(state), ...(await filesOf(copy.folder)))
  for (const form of FORMS) for (const text of said) expect(text.includes(form)).toBe(false)
})

test.each([
  ['a sync', ['sync']],
  ['a sync with everything that it can say', ['sync', '-vv']],
  ['a sync as events', ['sync', '--json']],
  ['a plan', ['plan']],
  ['a check', ['check']],
])('the command line: %s', async (_, [command = '', ...flags]) => {
  const place = command === 'check' ? [] : [path.join(copy.folder, 'cli.duckdb')]
  const { output } = await runCli([command, url, ...place, ...flags])
  expect(output.length).toBeGreaterThan(0)
  for (const form of FORMS) expect(output.includes(form)).toBe(false)
})

test.each([
  ['a wrong password', () => url.replace('canary', 'wrong')],
  ['a database that is missing', () => `${url}_missing`],
  ['a port where nobody is', () => url.replace(/:\d+\//, ':1/')],
  ['a string that is no connection string', () => `${url}?sslmode=perhaps`],
])('the command line, failing: %s', async (_, makeUrl) => {
  const { output, code } = await runCli(['sync', makeUrl(), path.join(copy.folder, 'no.duckdb'), '-vv'])
  expect(code).not.toBe(0)
  for (const form of FORMS) expect(output.includes(form)).toBe(false)
})

test('files of a run are for their owner alone, and the note of a run is gone after it', async () => {
  await copy.run()
  expect((await stat(copy.file)).mode & 0o077).toBe(0)
  await expect(stat(runFilePath(copy.file))).rejects.toThrow('ENOENT')
})

/** The bytes of every file, as Latin-1. */
async function filesOf(folder: string, take: (name: string) => boolean = () => true): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile() && take(entry.name))
  return Promise.all(files.map((entry) => readFile(path.join(entry.parentPath, entry.name), 'latin1')))
}

function runCli(args: readonly string[]): Promise<{ readonly code: number | null; readonly output: string }> {
  const program = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))
  const child = spawn(process.execPath, [program, ...args], {
    cwd: copy.folder,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()))
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code) => {
      resolve({ code, output })
    })
  })
}
