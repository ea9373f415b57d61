// @ts-check
/**
 * Makes a clone ready to run: packages and the platform's binaries. No dependencies: nothing is installed yet.
 * Quick when there is nothing to do. `node scripts/setup.mjs`
 */
import { existsSync } from 'node:fs'
import { readFile, stat } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { npm } from './servers/install.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const oldestNode = 20

/** @throws with what to do, in a sentence. */
export async function setup() {
  checkNode()
  if (await isStale()) {
    process.stderr.write('Installing packages (npm install)\n')
    // Not `npm ci`: it refuses a lock file that lacks other platforms' binaries, and one written on a single platform does.
    await npm(['install', '--no-audit', '--no-fund'], root)
  }
  await installMissingBinaries()
}

function checkNode() {
  const major = Number(process.versions.node.split('.')[0])
  if (major < oldestNode) {
    throw new Error(
      `Trunkline needs Node ${oldestNode} or newer; this is ${process.versions.node}. Install one from https://nodejs.org or with your version manager.`,
    )
  }
}

async function isStale() {
  // npm writes this file at the end of each install.
  const installed = await stat(join(root, 'node_modules', '.package-lock.json')).catch(() => null)
  if (installed === null) return true
  for (const name of ['package.json', 'package-lock.json']) {
    const wanted = await stat(join(root, name)).catch(() => null)
    if (wanted && wanted.mtimeMs > installed.mtimeMs) return !(await isSatisfied())
  }
  return false
}

/** A checkout touches files without changing them: then every direct dependency is there in its pinned version. */
async function isSatisfied() {
  const manifest = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'))
  for (const [name, version] of Object.entries({ ...manifest.dependencies, ...manifest.devDependencies })) {
    const found = await readManifest(join(root, 'node_modules', name))
    if (found?.version !== version) return false
  }
  return true
}

/**
 * Packages that ship a binary per platform as optional dependencies. npm leaves those out without a word when the lock
 * file was written where they could not be seen (npm/cli#4828), and the package then fails at its first import.
 * @type {readonly { name: string, binary: (platform: Platform) => string }[]}
 */
const binaries = [
  {
    name: '@duckdb/node-bindings',
    binary: ({ os, cpu, libc }) => `@duckdb/node-bindings-${os}-${cpu}${libc === 'musl' ? '-musl' : ''}`,
  },
  { name: 'esbuild', binary: ({ os, cpu }) => `@esbuild/${os}-${cpu}` },
  {
    name: 'rolldown',
    binary: ({ os, cpu, libc }) =>
      `@rolldown/binding-${os}-${cpu}${libc === null ? '' : libc === 'musl' ? '-musl' : '-gnu'}`,
  },
  {
    name: 'lightningcss',
    binary: ({ os, cpu, libc }) =>
      `lightningcss-${os}-${cpu}${libc === null ? '' : libc === 'musl' ? '-musl' : '-gnu'}`,
  },
  {
    name: 'oxc-parser',
    binary: ({ os, cpu, libc }) =>
      `@oxc-parser/binding-${os}-${cpu}${libc === null ? '' : libc === 'musl' ? '-musl' : '-gnu'}`,
  },
  {
    name: 'oxc-resolver',
    binary: ({ os, cpu, libc }) =>
      `@oxc-resolver/binding-${os}-${cpu}${libc === null ? '' : libc === 'musl' ? '-musl' : '-gnu'}`,
  },
]

/** @typedef {{ os: string, cpu: string, libc: 'glibc' | 'musl' | null }} Platform */

async function installMissingBinaries() {
  const platform = { os: process.platform, cpu: process.arch, libc: libc() }
  const missing = []
  for (const { name, binary } of binaries) {
    const folder = join(root, 'node_modules', name)
    const manifest = await readManifest(folder)
    if (manifest === null) continue
    const wanted = binary(platform)
    const version = manifest.optionalDependencies?.[wanted]
    if (version === undefined || resolves(folder, wanted)) continue
    missing.push(`${wanted}@${version}`)
  }
  if (missing.length === 0) return
  process.stderr.write(`Installing this platform's ${missing.join(', ')}\n`)
  // Neither manifest nor lock file is to change because of where somebody works.
  await npm(['install', '--no-audit', '--no-fund', '--no-save', '--no-package-lock', ...missing], root)
}

/** @returns {'glibc' | 'musl' | null} */
function libc() {
  if (process.platform !== 'linux') return null
  const report = /** @type {{ header: { glibcVersionRuntime?: string } }} */ (
    /** @type {unknown} */ (process.report.getReport())
  )
  return report.header.glibcVersionRuntime === undefined ? 'musl' : 'glibc'
}

/**
 * @param {string} folder
 * @param {string} name
 */
function resolves(folder, name) {
  const paths = createRequire(join(folder, 'package.json')).resolve.paths(name) ?? []
  return paths.some((path) => existsSync(join(path, name, 'package.json')))
}

/**
 * @param {string} folder
 * @returns {Promise<{ version: string, optionalDependencies?: Record<string, string> } | null>}
 */
async function readManifest(folder) {
  const text = await readFile(join(folder, 'package.json'), 'utf8').catch(() => null)
  return text === null ? null : JSON.parse(text)
}

/**
 * Runs the body of a script; an error becomes its message and exit code 1.
 * @param {() => Promise<void>} body
 */
export async function main(body) {
  try {
    await body()
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
    process.exitCode = 1
  }
}

/**
 * True for the module that node was started with.
 * @param {string} url
 */
export function isMain(url) {
  return process.argv[1] !== undefined && url === pathToFileURL(process.argv[1]).href
}

if (isMain(import.meta.url)) await main(setup)
