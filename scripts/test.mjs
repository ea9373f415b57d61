// @ts-check
/**
 * `npm test -- [--all] [--no-servers] [vitest arguments]`: sets up, builds, and runs the tests. Server tests run on the majors
 * of TRUNKLINE_TEST_PG (default 12,15,18), on all seven with `--all`, not at all with `--no-servers`.
 * The last line is `N passed, N failed`.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { build } from './build.mjs'
import { runNode } from './run-program.mjs'
import { allMajors, installServers, parseMajors } from './servers/install.mjs'
import { main, setup } from './setup.mjs'

await main(async () => {
  const own = ['--all', '--no-servers']
  const given = process.argv.slice(2)
  const passedOn = given.filter((argument) => !own.includes(argument))
  const servers = !given.includes('--no-servers')
  const majors = given.includes('--all') ? allMajors : parseMajors(process.env['TRUNKLINE_TEST_PG'])
  await setup()
  if (servers) await installServers(majors)
  await build()

  const folder = await mkdtemp(join(tmpdir(), 'trunkline-test-'))
  try {
    const results = join(folder, 'results.json')
    const args = [
      join('node_modules', 'vitest', 'vitest.mjs'),
      'run',
      '--reporter=default',
      '--reporter=json',
      `--outputFile.json=${results}`,
      ...(servers ? [] : ['--project', 'pure']),
      ...passedOn,
    ]
    const code = await runNode(args, { ...process.env, TRUNKLINE_TEST_PG: majors.join(',') })
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
