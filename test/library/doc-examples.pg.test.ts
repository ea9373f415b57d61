import { spawn } from 'node:child_process'
import { chmodSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { transform } from 'esbuild'
import ts from 'typescript'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { parseConfiguration } from '../../src/config/configuration.js'
import { toSyncSpec } from '../../src/config/sync-options.js'
import { startServer } from '../server/servers.js'
import type { SpecialServer, TestRole } from '../server/servers.js'
import { findDocExamples, root } from './doc-examples.js'
import { makeExampleShop } from './example-shop.js'
import { makeTemporaryFolder } from '../temporary-folder.js'

const examples = findDocExamples()
const named = (language: string) =>
  examples
    .filter((example) => example.language === language)
    .map((example) => [`${example.file} #${example.number}`, example] as const)

let server: SpecialServer
let reader: TestRole
let folder: string

beforeAll(async () => {
  server = await startServer({ major: 18 })
  const database = await server.createDatabase()
  await makeExampleShop(database)
  reader = await database.createRole()
  await database.sql(`GRANT SELECT ON ALL TABLES IN SCHEMA public TO ${reader.name}`)
  folder = makeTemporaryFolder('examples')
  mkdirSync(join(folder, 'node_modules'))
  symlinkSync(root, join(folder, 'node_modules', 'trunkline'))
  mkdirSync(join(folder, 'bin'))
  const shim = join(folder, 'bin', 'trunkline')
  writeFileSync(
    shim,
    `#!/bin/sh\nexec "${process.execPath}" "${join(root, 'dist', 'cli', 'main.js')}" "$@"\n`,
  )
  chmodSync(shim, 0o755)
})
afterAll(() => server.close())

test('the documentation has examples of each kind', () => {
  expect(named('ts').length).toBeGreaterThanOrEqual(5)
  expect(named('sh').length).toBeGreaterThanOrEqual(8)
  expect(named('yaml').length).toBeGreaterThanOrEqual(1)
})

test('every TypeScript example compiles under strict settings', () => {
  const programs = [
    join(root, 'examples', 'hooks', 'region.mjs'),
    join(root, 'examples', 'custom-destination', 'numbered-json-destination.ts'),
    join(root, 'examples', 'custom-destination', 'conformance.test.ts'),
  ]
  const files = [
    ...named('ts').map(([, { file, number, text }]) => ({
      path: join(root, 'docs', `${file.replaceAll(/[^a-z]/gi, '_')}_${number}.example.ts`),
      text: `${text}\nexport {}\n`,
    })),
    ...programs.map((path) => ({ path, text: readFileSync(path, 'utf8') })),
  ]
  const options: ts.CompilerOptions = {
    strict: true,
    allowJs: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    noEmit: true,
    skipLibCheck: true,
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    lib: ['lib.es2023.d.ts', 'lib.esnext.disposable.d.ts'],
    types: ['node'],
    typeRoots: [join(root, 'node_modules', '@types')],
    paths: {
      trunkline: [join(root, 'src', 'index.ts')],
      'trunkline/arrow': [join(root, 'src', 'arrow.ts')],
      'trunkline/destination': [join(root, 'src', 'destination', 'contract.ts')],
      'trunkline/testing': [join(root, 'src', 'testing', 'conformance.ts')],
    },
  }
  const host = ts.createCompilerHost(options)
  const texts = new Map(files.map(({ path, text }) => [path, text]))
  const { fileExists, readFile, getSourceFile } = host
  host.fileExists = (path) => texts.has(path) || fileExists.call(host, path)
  host.readFile = (path) => texts.get(path) ?? readFile.call(host, path)
  host.getSourceFile = (path, languageOrOptions, ...rest) => {
    const text = texts.get(path)
    return text === undefined
      ? getSourceFile.call(host, path, languageOrOptions, ...rest)
      : ts.createSourceFile(path, text, languageOrOptions)
  }
  const program = ts.createProgram([...texts.keys()], options, host)
  const problems = [...texts.keys()].flatMap((path) => {
    const source = program.getSourceFile(path)
    return [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)].map(
      ({ messageText }) =>
        `${path.slice(root.length)}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`,
    )
  })
  expect(problems).toEqual([])
})

test.each(named('ts'))('%s runs', async (_, example) => {
  const { code } = await transform(example.text, { loader: 'ts', format: 'esm', target: 'node20' })
  const path = join(folder, `${example.file.replaceAll(/[^a-z]/gi, '_')}_${example.number}.mjs`)
  writeFileSync(path, code)
  const result = await run(process.execPath, [path])
  expect(result.stderr).toBe('')
  expect(result.code).toBe(0)
  expect(result.stdout).not.toBe('')
})

test.each(named('sh'))('%s runs', async (_, example) => {
  const text = example.text.replaceAll('postgresql://reader@db/shop', reader.url)
  const result = await run('/bin/sh', ['-euc', text])
  expect(result.stderr).not.toContain('error:')
  expect(result.code).toBe(0)
})

test.each(named('yaml'))('%s is a configuration that is understood', (_, example) => {
  const env = { DATABASE_URL: 'postgresql://reader@db.example.com/shop' }
  const { syncs } = parseConfiguration(example.text, example.file, example.file, env)
  expect(syncs.size).toBeGreaterThan(0)
  for (const [name, { options }] of syncs) expect(toSyncSpec(options, 'x').name).toBe(name)
})

function run(
  command: string,
  args: readonly string[],
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd: folder,
      env: {
        PATH: `${join(folder, 'bin')}:${process.env['PATH'] ?? ''}`,
        HOME: folder,
        DATABASE_URL: reader.url,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let stdout = ''
    let stderr = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
    child.on('error', reject)
    child.on('close', (code) => {
      resolve({ code, stdout, stderr })
    })
  })
}
