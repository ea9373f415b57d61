/** A program that a test starts and kills. */
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import path from 'node:path'
import { build } from 'esbuild'

const ROOT = path.resolve(import.meta.dirname, '../..')

export interface BuiltChild {
  /** To be run by node. */
  readonly file: string
  readonly remove: () => Promise<void>
}

/** Bundles `NAME.ts` of this folder, or of another one. */
export async function buildChild(name: string, from: string = import.meta.dirname): Promise<BuiltChild> {
  // Inside the project, so that what is built finds its packages.
  const cache = path.join(ROOT, 'node_modules/.cache')
  await mkdir(cache, { recursive: true })
  const folder = await mkdtemp(path.join(cache, `trunkline-${name}-`))
  const file = path.join(folder, `${name}.mjs`)
  await build({
    entryPoints: [path.join(from, `${name}.ts`)],
    bundle: true,
    packages: 'external',
    platform: 'node',
    target: 'es2022',
    format: 'esm',
    outfile: file,
    logLevel: 'silent',
  })
  return { file, remove: () => rm(folder, { recursive: true, force: true }) }
}
