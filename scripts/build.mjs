// @ts-check
/**
 * Builds `dist/` with tsc, incrementally; does nothing when no source is newer than the last build.
 * `node scripts/build.mjs --force` builds anyway.
 */
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { chmod, mkdir, readFile, readdir, rename, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const src = join(root, 'src')
const dist = join(root, 'dist')
/** Not in dist, which is published. */
const buildInfo = join(root, 'node_modules', '.cache', 'trunkline', 'build.tsbuildinfo')
const stamp = join(root, 'node_modules', '.cache', 'trunkline', 'built')

/**
 * Type-checks and writes `dist/`. @throws with the compiler's messages.
 * @param {{ force?: boolean }} [options]
 */
export async function build(options = {}) {
  const sources = await listFiles(src)
  await removeOrphans(sources)
  const inputs = [
    ...sources.map((file) => join(src, file)),
    join(root, 'tsconfig.json'),
    join(root, 'tsconfig.build.json'),
  ]
  const outputs = sources
    .filter((file) => file.endsWith('.ts'))
    .map((file) => join(dist, file.replace(/\.ts$/, '.js')))
  const complete = outputs.every((file) => existsSync(file))
  if (!options.force && complete && (await newest(inputs)) < (await newest([stamp]))) return
  // With the notes of a build whose output is gone, tsc would write nothing.
  if (!complete || options.force) await rm(buildInfo, { force: true })
  await mkdir(dirname(stamp), { recursive: true })
  const startedAt = new Date()
  await runTsc()
  await makeExecutable()
  await writeFile(stamp, '')
  await utimes(stamp, startedAt, startedAt)
}

/**
 * Brings the JavaScript in `dist/` up to date without type check or declarations (0.1 s): for test runs, whose worker threads
 * load it. Sources are modules on their own (isolatedModules), so each is translated alone.
 */
export async function refreshBuild() {
  const { transform } = await import('esbuild')
  const sources = (await listFiles(src)).filter((file) => file.endsWith('.ts'))
  await removeOrphans(sources)
  await Promise.all(
    sources.map(async (file) => {
      const from = join(src, file)
      const to = join(dist, file.replace(/\.ts$/, '.js'))
      if ((await newest([from])) < (await newest([to]))) return
      const startedAt = new Date()
      const { code } = await transform(await readFile(from, 'utf8'), {
        loader: 'ts',
        format: 'esm',
        target: 'node20',
        sourcemap: 'inline',
        sourcefile: from,
        tsconfigRaw: { compilerOptions: { verbatimModuleSyntax: true } },
      })
      await mkdir(dirname(to), { recursive: true })
      const staging = `${to}.${process.pid}.tmp`
      await writeFile(staging, code)
      await utimes(staging, startedAt, startedAt)
      await rename(staging, to)
    }),
  )
  await makeExecutable()
}

/** @returns {Promise<void>} */
function runTsc() {
  return new Promise((resolve, reject) => {
    const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
    const args = [tsc, '-p', 'tsconfig.build.json', '--incremental', '--tsBuildInfoFile', buildInfo]
    const child = spawn(process.execPath, args, { cwd: root, stdio: ['ignore', 'pipe', 'inherit'] })
    let output = ''
    child.stdout.on('data', (chunk) => (output += chunk))
    child.on('error', reject)
    child.on('close', (code) => (code === 0 ? resolve() : reject(new Error(`The build failed.\n${output}`))))
  })
}

async function makeExecutable() {
  const main = join(dist, 'cli', 'main.js')
  if (existsSync(main)) await chmod(main, 0o755)
}

/**
 * Output whose source is gone would still be published, and found by imports.
 * @param {readonly string[]} sources
 */
async function removeOrphans(sources) {
  const known = new Set(sources.map((file) => file.replace(/\.ts$/, '')))
  for (const file of existsSync(dist) ? await listFiles(dist) : []) {
    // Another process is writing it at this moment, unless it is old.
    if (file.endsWith('.tmp') && Date.now() - (await newest([join(dist, file)])) < 60_000) continue
    if (!known.has(file.replace(/(\.d\.ts|\.js)(\.map)?$/, ''))) await rm(join(dist, file), { force: true })
  }
}

/**
 * @param {string} folder
 * @returns {Promise<string[]>} paths relative to the folder
 */
async function listFiles(folder) {
  const entries = await readdir(folder, { withFileTypes: true, recursive: true })
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
}

/**
 * Latest modification time; a file that does not exist counts as older than every other.
 * @param {readonly string[]} files
 */
async function newest(files) {
  let latest = 0
  for (const file of files) {
    const found = await stat(file).catch(() => null)
    if (found && found.mtimeMs > latest) latest = found.mtimeMs
  }
  return latest
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  await build({ force: process.argv.includes('--force') }).catch((error) => {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
    process.exitCode = 1
  })
}
