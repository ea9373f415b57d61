// @ts-check
/**
 * `node bench/peers/install.mjs [environment…]`: installs the programs that the benchmark compares with, under .bench/peers.
 *
 * Each requirements/<environment>.txt becomes a Python environment of its own, because the programs want different versions of
 * the same packages. Where a file cannot be installed as a whole, its lines are tried one by one, so that a package that is
 * missing for this system costs only what needs it. Versions, and what failed, are kept in installed.json for the report.
 */
import { spawnSync } from 'node:child_process'
import { copyFile, mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'

const here = fileURLToPath(new URL('.', import.meta.url))
const folder = fileURLToPath(new URL('../../.bench/peers', import.meta.url))
const record = join(folder, 'installed.json')

/**
 * @typedef {{ versions: Record<string, string>, failed: Record<string, string> }} Environment
 * @typedef {Record<string, Environment>} Installed
 */

/** @param {string} text */
const say = (text) => process.stderr.write(`${text}\n`)

/**
 * @param {string} file
 * @param {readonly string[]} args
 * @param {string} cwd
 */
function run(file, args, cwd = folder) {
  const { status, stdout, stderr, error } = spawnSync(file, args, { cwd, encoding: 'utf8' })
  if (error) return { done: false, output: error.message }
  return { done: status === 0, output: status === 0 ? stdout : lastLine(stderr || stdout) }
}

/** @param {string} text */
const lastLine = (text) => text.trim().split('\n').at(-1)?.trim() ?? ''

/**
 * @param {string} file
 * @returns {Promise<Environment>}
 */
async function installPython(file) {
  const home = join(folder, basename(file, '.txt'))
  await rm(home, { recursive: true, force: true })
  const made = run('python3', ['-m', 'venv', home])
  if (!made.done) return { versions: {}, failed: { python3: made.output } }
  const pip = (/** @type {string[]} */ ...args) =>
    run(join(home, 'bin/python'), ['-m', 'pip', '--disable-pip-version-check', '--no-input', ...args])
  const path = join(here, 'requirements', file)
  /** @type {Record<string, string>} */
  const failed = {}
  if (!pip('install', '-q', '-r', path).done) {
    const lines = (await readFile(path, 'utf8')).split('\n').map((line) => line.trim())
    for (const line of lines.filter((each) => each !== '' && !each.startsWith('#'))) {
      const { done, output } = pip('install', '-q', '-c', path, line)
      if (!done) failed[line.split('==')[0] ?? line] = output
    }
  }
  const list = pip('list', '--format=json')
  /** @type {{ name: string, version: string }[]} */
  const packages = list.done ? JSON.parse(list.output) : []
  return {
    versions: Object.fromEntries(packages.map(({ name, version }) => [normalized(name), version])),
    failed,
  }
}

/**
 * PyPI's own rule: `SQLAlchemy` and `sqlalchemy`, `a_b` and `a-b` are the same.
 * @param {string} name
 */
const normalized = (name) => name.toLowerCase().replaceAll(/[-_.]+/g, '-')

/** @returns {Promise<Environment>} */
async function installNode() {
  const home = join(folder, 'node')
  await rm(home, { recursive: true, force: true })
  await mkdir(home)
  await copyFile(join(here, 'requirements/package.json'), join(home, 'package.json'))
  /** @type {Environment} */
  const node = { versions: {}, failed: {} }
  const { dependencies } = JSON.parse(await readFile(join(home, 'package.json'), 'utf8'))
  const npm = (/** @type {string[]} */ ...names) =>
    run('npm', ['install', '--no-audit', '--no-fund', '--ignore-scripts', '--loglevel=error', ...names], home)
  const all = npm()
  if (!all.done) await writeFile(join(home, 'package.json'), '{ "private": true }')
  for (const [name, version] of Object.entries(dependencies)) {
    const { done, output } = all.done ? all : npm('--save-exact', `${name}@${version}`)
    if (done) node.versions[name] = version
    else node.failed[name] = output
  }
  // Scripts elsewhere in the project reach these packages through this module, because a package is looked for beside its user.
  await writeFile(join(home, 'load.mjs'), 'export const load = (name) => import(name)\n')
  return node
}

await mkdir(folder, { recursive: true })
/** @type {Installed} */
const installed = JSON.parse(await readFile(record, 'utf8').catch(() => '{}'))
const wanted = process.argv.slice(2)
const files = (await readdir(join(here, 'requirements'))).filter((file) => file.endsWith('.txt')).sort()
for (const file of [...files, 'node.txt']) {
  const name = basename(file, '.txt')
  if (wanted.length > 0 && !wanted.includes(name)) continue
  say(`installing ${name}`)
  const environment = name === 'node' ? await installNode() : await installPython(file)
  for (const [requirement, reason] of Object.entries(environment.failed)) say(`  ${requirement}: ${reason}`)
  installed[name] = environment
  await writeFile(record, `${JSON.stringify(installed, null, 2)}\n`)
}
say('System packages are only looked for: pgloader, and for pyodbc unixodbc and odbc-postgresql.')
