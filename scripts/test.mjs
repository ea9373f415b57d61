// @ts-check
/**
 * `npm test -- [--all] [--no-servers] [--record] [vitest arguments]`: sets up, builds, and runs the tests. Server tests run on the
 * majors of TRUNKLINE_TEST_PG (default 12,15,18), on all seven with `--all`, not at all with `--no-servers`. `--record` puts on record
 * how long each file took, which is the order of later runs.
 * The last line is `N passed, N failed`.
 */
import { chmod, mkdtemp, readFile, readdir, rm, statfs } from 'node:fs/promises'
import { freemem, tmpdir } from 'node:os'
import { join } from 'node:path'
import { build } from './build.mjs'
import { runNode } from './run-program.mjs'
import { allMajors, installServers, isAlive, parseMajors } from './servers/install.mjs'
import { main, setup } from './setup.mjs'

/** What the tests write at a time is well below this. */
const ENOUGH_BYTES = 4 * 1024 ** 3

await main(async () => {
  const own = ['--all', '--no-servers', '--record']
  const given = process.argv.slice(2)
  const passedOn = given.filter((argument) => !own.includes(argument))
  const servers = !given.includes('--no-servers')
  const majors = given.includes('--all') ? allMajors : parseMajors(process.env['TRUNKLINE_TEST_PG'])
  await setup()
  if (servers) await installServers(majors)
  await build()

  const folder = await makeFolder()
  try {
    const results = join(folder, 'results.json')
    const args = [
      join('node_modules', 'vitest', 'vitest.mjs'),
      'run',
      '--reporter=default',
      '--reporter=json',
      `--outputFile.json=${results}`,
      ...(given.includes('--record') ? ['--reporter=./scripts/record-durations.mjs'] : []),
      ...(servers ? [] : ['--project', 'pure']),
      ...passedOn,
    ]
    const code = await runNode(args, {
      ...process.env,
      TRUNKLINE_TEST_PG: majors.join(','),
      TMPDIR: folder,
      // Servers write too much for memory, and flush nothing; and what is kept of a failure must outlive this.
      TRUNKLINE_SERVERS_TMPDIR: tmpdir(),
    })
    const { passed, failed } = await count(results)
    // A failure outside of any test (an unhandled error, a server that did not start) must not read as a success.
    const shown = code !== 0 && failed === 0 ? 1 : failed
    process.stdout.write(`${passed} passed, ${shown} failed\n`)
    process.exitCode = code
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
})

/**
 * For all that the tests write: in memory where there is enough of it, because they would mostly wait for fsync otherwise. Processes of
 * ours that die lose nothing there, either, and what a machine loses no test can show.
 */
async function makeFolder() {
  const memory = '/dev/shm'
  const found = await statfs(memory).catch(() => null)
  const freeBytes = found === null ? 0 : found.bavail * found.bsize
  const place = Math.min(freeBytes, freemem() / 2) >= ENOUGH_BYTES ? memory : tmpdir()
  for (const name of await readdir(place)) {
    const [, pid] = /^trunkline-test-(\d+)-/.exec(name) ?? []
    // Of a run that was killed.
    if (pid !== undefined && !isAlive(Number(pid)))
      await rm(join(place, name), { recursive: true, force: true })
  }
  const folder = await mkdtemp(join(place, `trunkline-test-${process.pid}-`))
  // Servers and poolers of tests run as somebody else where we are root.
  await chmod(folder, 0o711)
  return folder
}

/**
 * Failed counts tests, and files that failed without a failed test (they did not load, or a hook threw).
 * @param {string} path
 */
async function count(path) {
  const text = await readFile(path, 'utf8').catch(() => null)
  if (text === null) return { passed: 0, failed: 0 }
  /** @type {{ numPassedTests: number, testResults: { status: string, assertionResults: { status: string }[] }[] }} */
  const results = JSON.parse(text)
  let failed = 0
  for (const file of results.testResults) {
    const tests = file.assertionResults.filter((test) => test.status === 'failed').length
    failed += tests === 0 && file.status === 'failed' ? 1 : tests
  }
  return { passed: results.numPassedTests, failed }
}
