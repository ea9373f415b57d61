/** The destination of examples/custom-destination, as somebody has it who installed the package. */
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import { build } from 'esbuild'
import type { Destination, TableName } from '../../src/destination/contract.js'
import type { Place, Plain } from '../../src/testing/conformance.js'

const ROOT = path.resolve(import.meta.dirname, '../..')

interface Example {
  createNumberedJsonDestination(folder: string): Destination
  readTable(
    folder: string,
    table: TableName,
  ): Promise<{
    readonly columns: Readonly<Record<string, string>>
    readonly rows: readonly (readonly Plain[])[]
  } | null>
}

let loaded: Promise<Example> | null = null

/** Compiled with the package's own name standing for its sources. */
export function loadExample(): Promise<Example> {
  loaded ??= compile()
  return loaded
}

async function compile(): Promise<Example> {
  // Inside the project, so that what is built finds its packages.
  const cache = path.join(ROOT, 'node_modules/.cache')
  await mkdir(cache, { recursive: true })
  const folder = await mkdtemp(path.join(cache, 'trunkline-custom-'))
  try {
    const outfile = path.join(folder, 'example.mjs')
    await build({
      entryPoints: [path.join(ROOT, 'examples/custom-destination/numbered-json-destination.ts')],
      alias: { trunkline: path.join(ROOT, 'src/index.ts') },
      bundle: true,
      packages: 'external',
      platform: 'node',
      target: 'es2022',
      format: 'esm',
      outfile,
      logLevel: 'silent',
    })
    return (await import(pathToFileURL(outfile).href)) as Example
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

export async function makeCustomPlace(): Promise<Place & { readonly folder: string }> {
  const { createNumberedJsonDestination, readTable } = await loadExample()
  const folder = await mkdtemp(path.join(tmpdir(), 'trunkline-custom-'))
  return {
    folder,
    create: () => createNumberedJsonDestination(folder),
    async readRows(table, columns) {
      const found = await readTable(folder, table)
      if (found === null) return null
      const names = Object.keys(found.columns)
      return found.rows.map((row) => columns.map(({ name }) => row[names.indexOf(name)] ?? null))
    },
    readableDuringRuns: true,
    remove: () => rm(folder, { recursive: true, force: true }),
  }
}
