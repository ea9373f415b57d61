/**
 * A mutant is the engine built with one piece of its source text replaced; it is built together with the model and the
 * scenarios, so that everything in it is of one piece.
 */
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import { build } from 'esbuild'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Scenario } from './model/scenarios.js'

export interface Mutant<Name extends string> {
  /** The rule that is broken. */
  readonly rule: string
  readonly file: string
  readonly from: string
  readonly to: string
  /** A second replacement in the same file. */
  readonly also?: { readonly from: string; readonly to: string }
  readonly noticed: Name
}

export interface Mutants<Name extends string> {
  /** File of the scenarios, in `model/`, and what it exports them as. */
  readonly entry: string
  readonly export: string
  readonly mutants: readonly Mutant<Name>[]
}

const ROOT = path.resolve(import.meta.dirname, '../..')
const SYNC = path.join(ROOT, 'src/sync')

/** Every scenario passes as it is, and each mutant fails the one that it names. */
export function describeMutants<Name extends string>(title: string, of: Mutants<Name>): void {
  describe(title, () => {
    let folder = ''
    beforeAll(async () => {
      // Inside the project, so that what is built finds its packages.
      const cache = path.join(ROOT, 'node_modules/.cache')
      await mkdir(cache, { recursive: true })
      folder = await mkdtemp(path.join(cache, 'trunkline-mutants-'))
    })
    afterAll(async () => {
      await rm(folder, { recursive: true, force: true })
    })

    async function load(mutant: Mutant<Name> | null, name: string): Promise<Record<string, Scenario>> {
      const outfile = path.join(folder, `${name}.mjs`)
      await buildMutant(path.join(import.meta.dirname, 'model', of.entry), mutant, outfile)
      const built = (await import(pathToFileURL(outfile).href)) as Record<string, Record<string, Scenario>>
      return built[of.export] ?? {}
    }

    test('the engine as it is passes when it is built the same way', async () => {
      const scenarios = Object.values(await load(null, 'whole'))
      expect(scenarios.length).toBeGreaterThan(0)
      for (const scenario of scenarios) await scenario()
    })

    for (const [index, mutant] of of.mutants.entries()) {
      test(`without: ${mutant.rule}`, async () => {
        const scenarios = await load(mutant, `mutant-${index}`)
        await expect(scenarios[mutant.noticed]?.()).rejects.toThrow()
      })
    }
  })
}

async function buildMutant(entry: string, mutant: Mutant<string> | null, outfile: string): Promise<void> {
  await build({
    entryPoints: [entry],
    bundle: true,
    packages: 'external',
    platform: 'node',
    target: 'es2022',
    format: 'esm',
    outfile,
    logLevel: 'silent',
    plugins: [
      {
        name: 'mutate',
        setup({ onLoad }) {
          if (mutant === null) return
          const target = path.join(SYNC, mutant.file)
          onLoad({ filter: /\.ts$/ }, async ({ path: file }) => {
            if (file !== target) return null
            const text = await readFile(file, 'utf8')
            const changed = replaceOnce(text, mutant)
            const contents = mutant.also === undefined ? changed : replaceOnce(changed, mutant.also)
            return { contents, loader: 'ts' }
          })
        },
      },
    ],
  })
}

function replaceOnce(text: string, { from, to }: { readonly from: string; readonly to: string }): string {
  const parts = text.split(from)
  if (parts.length !== 2) throw new Error(`${parts.length - 1} x ${from}`)
  return parts.join(to)
}
