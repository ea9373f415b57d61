import { spawn } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { parseConfiguration } from '../../src/config/configuration.js'
import { PROFILE_NAMES } from '../../src/config/profiles/profile.js'
import { recognise } from '../../src/config/profiles/recognise.js'
import { ERROR_CODES } from '../../src/model/error.js'
import { startServer, type SpecialServer } from '../server/servers.js'
import { findDocExamples, root } from './doc-examples.js'
import { makeExampleShop } from './example-shop.js'
import { makeTemporaryFolder } from '../temporary-folder.js'

let server: SpecialServer
let url: string

beforeAll(async () => {
  server = await startServer({ major: 18 })
  const database = await server.createDatabase()
  await makeExampleShop(database)
  const reader = await database.createRole()
  await database.sql(`GRANT SELECT ON ALL TABLES IN SCHEMA public TO ${reader.name}`)
  url = reader.url
})
afterAll(() => server.close())

const guide = (name: string): string => readFileSync(join(root, 'docs', 'guides', `${name}.md`), 'utf8')

function run(args: readonly string[], cwd: string): Promise<{ code: number | null; stderr: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [join(root, 'dist', 'cli', 'main.js'), ...args], {
      cwd,
      env: { PATH: process.env['PATH'] ?? '', HOME: cwd, DATABASE_URL: url },
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    let stderr = ''
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
    child.on('error', reject)
    child.on('close', (code) => {
      resolve({ code, stderr })
    })
  })
}

const newFolder = (): string => makeTemporaryFolder('guides')

describe('the troubleshooting guide', () => {
  const text = guide('troubleshooting')
  const failures = [...text.matchAll(/```sh fails\ntrunkline (.*)\n```\n\n```text\n(\w+)\n```/g)].map(
    ([, command = '', code = '']) => [command, code] as const,
  )

  test('has a section for connection, driver, memory, performance and import problems', () => {
    const sections = [...text.matchAll(/^## (.*)$/gm)].map((match) => match[1])
    expect(sections).toEqual(
      expect.arrayContaining(['Connection', 'Driver', 'Memory', 'Performance', 'Import']),
    )
    expect(failures.length).toBe((text.match(/```sh fails/g) ?? []).length)
    expect(failures.length).toBeGreaterThanOrEqual(5)
  })

  test.each(failures)('%s fails with %s, as the guide says', async (command, code) => {
    const at = new URL(url)
    const args = command
      .replaceAll("'", '')
      .replaceAll(/postgresql:\/\/reader@db\/shop(?=[ ?]|$)/g, url)
      .replaceAll('postgresql://reader@db/', `postgresql://${at.username}@${at.host}/`)
      .split(' ')
      .map((part) => (part.match(/\?/g)?.length === 2 ? part.replace(/\?(?=[^?]*$)/, '&') : part))
    const { code: exit, stderr } = await run(args, newFolder())
    // Of a whole run on lines of its own, of one stream in a line.
    expect(stderr).toMatch(new RegExp(`→ .*(\\n {2}${code}|\\(${code}\\))\\n`))
    expect(exit).not.toBe(0)
  })

  test('names only error codes that exist, and says what can be imported as package.json does', () => {
    const named = [...text.matchAll(/`([A-Z]+(?:_[A-Z]+)+)`/g)].map((match) => match[1] ?? '')
    const nodes = named.filter((code) => code.startsWith('ERR_'))
    expect(nodes).toEqual(['ERR_REQUIRE_ESM', 'ERR_PACKAGE_PATH_NOT_EXPORTED'])
    const ours = named.filter((code) => !nodes.includes(code))
    expect(ours.length).toBeGreaterThan(20)
    expect(ours.filter((code) => !Object.hasOwn(ERROR_CODES, code))).toEqual([])
    const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
      exports: Record<string, unknown>
    }
    const line = text.split('\n').find((row) => row.includes('ERR_PACKAGE_PATH_NOT_EXPORTED')) ?? ''
    const offered = [...line.matchAll(/`(trunkline[\w/-]*)`/g)].map((match) => match[1])
    const real = Object.keys(exports).filter((name) => name !== './package.json')
    expect(offered.sort()).toEqual(real.map((name) => name.replace(/^\./, 'trunkline')).sort())
  })
})

describe('the customisation guide', () => {
  const text = guide('customisation')

  test.each([
    'config',
    'resource_monitor',
    'adaptive_processing',
    'table_analysis',
    'connection_manager',
    'schema_utils',
    'data_processor',
    '__init__',
  ])('says where what others call %s is, and there it is', (module) => {
    const row = text.split('\n').find((line) => line.startsWith(`| \`${module}\``)) ?? ''
    const files = [...row.matchAll(/\]\(([^)]+)\)/g)].map((match) => match[1] ?? '')
    expect(files.length).toBeGreaterThan(0)
    for (const file of files) {
      const first = readFileSync(join(root, 'docs', 'guides', file), 'utf8')
        .split('\n', 8)
        .join('\n')
      // Every module says in its first comment what it is.
      expect(first, file).toMatch(/^\/\*\*/)
    }
  })

  test('has a diagram of the modules, each of which is one', () => {
    const [, diagram = ''] = /```mermaid\n([^]*?)```/.exec(text) ?? []
    const parts = [...diagram.matchAll(/(\w+)\[([\w.]+)/g)].map((match) => match[2] ?? '')
    expect(parts).toEqual(
      expect.arrayContaining([
        'sync',
        'source',
        'codec',
        'batch',
        'transform',
        'destination',
        'postgres',
        'cli',
      ]),
    )
    for (const part of parts) expect(existsSync(join(root, 'src', part)), part).toBe(true)
  })
})

describe('the guide for those who come from another tool', () => {
  const text = guide('coming-from')

  test('names every profile of another tool, and shows configurations that are taken for theirs', () => {
    const table = text.slice(text.indexOf('## Configurations that run unchanged'))
    const named = [...table.matchAll(/^\|.*\| `([\w-]+)` +\|$/gm)].map((match) => match[1] ?? '')
    expect(named.sort()).toEqual([...PROFILE_NAMES].sort())
    const [, yaml = ''] = /```yaml\n(# postgres\.yaml\n[^]*?)```/.exec(table) ?? []
    const [, json = ''] = /```json\n([^]*?)```/.exec(table) ?? []
    const values = (parsed: unknown) => parsed as Record<string, unknown>
    expect(recognise({ values: values(parse(yaml)), file: 'postgres.yaml', json: false })).toBe('sqlflow')
    expect(recognise({ values: values(JSON.parse(json)), file: 'configuration.json', json: true })).toBe(
      'server-side-cursors',
    )
  })
})

describe('the tuning guide', () => {
  const examples = findDocExamples().filter(
    ({ file, language }) => file.endsWith('tuning.md') && language === 'yaml',
  )
  const syncsOf = (text: string) => [
    ...parseConfiguration(text, 'x.yaml', 'x.yaml', { DATABASE_URL: 'postgresql://reader@db/shop' }).syncs,
  ]

  test('advises 5,000 rows for wide tables, 50,000 for narrow ones, 10 to 20 connections for much and 1 or 2 for development', () => {
    const [batches, connections] = examples.map(({ text }) => syncsOf(text))
    const options = batches?.[0]?.[1].options
    expect(options?.defaults).toMatchObject({ readMethod: 'named', batchSize: 10_000 })
    expect(options?.streams).toMatchObject({
      'public.users': { batchSize: 5000 },
      'public.events': { batchSize: 50_000 },
    })
    expect(connections?.map(([name, sync]) => [name, sync.options.limits?.maxConnections])).toEqual([
      ['nightly', 16],
      ['development', 2],
    ])
    expect(guide('tuning')).toContain('**index the cursor field**')
  })

  test.each(examples.map((example) => [example.number, example.text] as const))(
    'its configuration %i runs',
    async (_, text) => {
      const folder = newFolder()
      writeFileSync(
        join(folder, 'trunkline.yaml'),
        text.replaceAll('sslmode: verify-full', 'sslmode: prefer'),
      )
      expect(await run(['sync', '-q'], folder)).toEqual({ code: 0, stderr: '' })
    },
  )
})
