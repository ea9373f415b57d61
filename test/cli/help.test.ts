import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { beforeAll, expect, test } from 'vitest'
import { refreshBuild } from '../../scripts/build.mjs'
import { makeTemporaryFolder } from '../temporary-folder.js'

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))

beforeAll(() => refreshBuild())

test('help loads nothing but the commands themselves', async () => {
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [MAIN, '--help'], {
    env: { ...process.env, NODE_DEBUG: 'esm' },
    maxBuffer: 64 * 1024 * 1024,
  })
  expect(stdout).toContain('Usage: trunkline')
  const loaded = new Set(stderr.match(/file:\/\/[^' ]*\.m?js/g))
  expect([...loaded].some((path) => path.endsWith('/dist/cli/program.js'))).toBe(true)
  const packages = new Set([...loaded].map((path) => /\/node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1]))
  packages.delete(undefined)
  expect([...packages]).toEqual(['commander'])
  expect(
    [...loaded].filter((path) => /\/dist\/(source|destination|sync|postgres|codec|config)\//.test(path)),
  ).toEqual([])
})

test.each([
  ['check', []],
  ['sync', ['shop.duckdb']],
])('%s on a connection string loads nothing that checks or reads files', async (command, args) => {
  const folder = makeTemporaryFolder('start')
  const source = 'postgresql://nobody@127.0.0.1:1/nothing?connect_timeout=1'
  const stderr = await promisify(execFile)(process.execPath, [MAIN, command, source, ...args], {
    cwd: folder,
    env: { ...process.env, NODE_DEBUG: 'esm' },
    maxBuffer: 64 * 1024 * 1024,
  }).then(
    () => '',
    (error: unknown) => String((error as { stderr?: unknown }).stderr),
  )
  const packages = new Set(
    [...stderr.matchAll(/\/node_modules\/((?:@[^/' ]+\/)?[^/' ]+)/g)].map((match) => match[1]),
  )
  expect(packages).toContain('pg')
  for (const heavy of ['zod', 'yaml', 'libpg-query']) expect(packages).not.toContain(heavy)
})

test('the reference names every command and every flag of them', async () => {
  const page = readFileSync(new URL('../../docs/reference/cli.md', import.meta.url), 'utf8')
  const help = async (...args: string[]): Promise<string> =>
    (await promisify(execFile)(process.execPath, [MAIN, ...args, '--help'])).stdout
  const commands = [...(await help()).matchAll(/^ {2}([a-z]+) /gm)].map((match) => match[1] ?? '')
  expect(commands).toContain('sync')
  for (const command of commands.filter((name) => name !== 'help' && name !== 'trunkline')) {
    expect(page).toContain(`trunkline ${command}`)
    const flags = (await help(command)).match(/--[a-z][a-z-]+/g) ?? []
    for (const flag of new Set(flags)) {
      if (flag !== '--help') expect(page, `${command} ${flag}`).toContain(flag)
    }
  }
})
