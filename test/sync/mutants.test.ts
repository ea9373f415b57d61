/**
 * Tests of the tests: each safety rule of the engine is broken in turn, and a scenario must notice.
 *
 * A mutant is the engine built with one piece of its source text replaced; it is built together with the model and the
 * scenarios, so that everything in it is of one piece.
 */
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import { build } from 'esbuild'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Scenario, ScenarioName } from './model/scenarios.js'

interface Mutant {
  /** The rule that is broken. */
  readonly rule: string
  readonly file: string
  readonly from: string
  readonly to: string
  /** A second replacement in the same file. */
  readonly also?: { readonly from: string; readonly to: string }
  readonly noticed: ScenarioName
}

const MUTANTS: readonly Mutant[] = [
  {
    rule: 'the window begins at the horizon itself, not above it',
    file: 'fingerprint.ts',
    from: 'window: { horizon, xmax,',
    to: 'window: { horizon: (horizon + 1n) as Xid8, xmax,',
    noticed: 'an update that commits after the snapshot arrives with the next run',
  },
  {
    rule: 'the saved horizon is the oldest running transaction, not the newest id',
    file: 'stream-landing.ts',
    from: 'horizon: formatXid8(horizon),',
    to: 'horizon: position.xmax === "" ? formatXid8(horizon) : position.xmax,',
    noticed: 'an update that commits after the snapshot arrives with the next run',
  },
  {
    rule: 'the horizon is not advanced past what a crash can undo',
    file: 'stream-run.ts',
    from: 'const { durable, waitedMs } = await fence()',
    to: 'const { durable, waitedMs } = { durable: true, waitedMs: 0 }; void fence',
    noticed: 'a commit that a crash undid leaves no id to be missed',
  },
  {
    rule: 'what may never have happened is not landed',
    file: 'stream-run.ts',
    from: 'if (durable) return waitedMs',
    to: 'if (durable || waitedMs > 0) return waitedMs',
    noticed: 'an update that a crash undid is undone at the destination',
  },
  {
    rule: 'what may never have happened is not landed, not even with the old horizon',
    file: 'stream-run.ts',
    from: 'if (durable) return waitedMs',
    to: 'if (durable) return waitedMs; this.lazy = true; if (waitedMs > 0) return waitedMs',
    also: {
      from: "if (plan.landing !== 'append') return checkpoint",
      to: `const saved = this.#input.state?.checkpoint
        if (this.lazy && saved?.kind === 'horizon') return { ...checkpoint, horizon: saved.horizon }
        if (plan.landing !== 'append') return checkpoint`,
    },
    noticed: 'an update that a crash undid is undone at the destination',
  },
  {
    rule: 'an append remembers only transactions that are on the disk',
    file: 'stream-run.ts',
    from: 'if (durable) return waitedMs',
    to: 'if (durable || waitedMs > 0) return waitedMs',
    noticed: 'an append is not remembered for transactions that a crash undid',
  },
  {
    rule: 'leaves that joined are read whole',
    file: 'fingerprint.ts',
    from: 'wholeLeaves: [...present].filter((oid) => !known.has(oid))',
    to: 'wholeLeaves: []',
    noticed: 'a partition exchanged for another with the same keys is read whole',
  },
  {
    rule: 'the partitions at the commit are those of the snapshot',
    file: 'stream-run.ts',
    from: 'await snapshot.assertUnchanged(plan.stream)',
    to: '',
    noticed: 'a partition that joins during the run is not half read',
  },
  {
    rule: 'counts that differ make keys be compared',
    file: 'stream-run.ts',
    from: 'if (this.#live === this.#total && !forced) return false',
    to: 'if (!forced) return false',
    noticed: 'a deleted row goes, and so does a row whose key changed',
  },
  {
    rule: 'fewer rows than the snapshot holds are never accepted',
    file: 'stream-run.ts',
    from: 'if (this.#live < this.#total) throw this.#unequal(this.#live)',
    to: 'if (this.#live < this.#total) return false',
    noticed: 'a row that somebody removed from the destination comes back',
  },
  {
    rule: 'a full read is as long as the table',
    file: 'stream-run.ts',
    from: 'if (arrived !== expected) {',
    to: 'if (arrived > (expected ?? 0)) { this.#total = 0',
    noticed: 'changed rows lost on the way are not taken for all',
  },
  {
    rule: 'a table of another oid is another table',
    file: 'fingerprint.ts',
    from: 'saved.stream.oid !== plan.stream.oid',
    to: 'saved.stream.oid < 0',
    noticed: 'a table dropped and created again is loaded anew',
  },
  {
    rule: 'a lower log position is a rewind',
    file: 'fingerprint.ts',
    from: 'if (lsnLower) return',
    to: 'if (lsnLower && now.xmax === "") return',
    noticed: 'a server restored from a backup is read anew',
  },
  {
    rule: 'a lower transaction id is a rewind',
    file: 'fingerprint.ts',
    from: 'if (xmax < floor) return',
    to: 'if (xmax < 0n) return',
    noticed: 'a server restored from a backup with a longer log is read anew',
  },
  {
    rule: 'another timeline is another history',
    file: 'fingerprint.ts',
    from: 'then.timeline !== now.timeline',
    to: 'then.timeline > now.timeline',
    noticed: 'a promoted standby is read anew',
  },
  {
    rule: 'another system is another source',
    file: 'fingerprint.ts',
    from: 'if (differ(then.systemIdentifier, now.systemIdentifier)) {',
    to: 'if (then.systemIdentifier === "") {',
    noticed: 'another server is never taken for the same',
  },
  {
    rule: 'a standby behind the last run is not read',
    file: 'fingerprint.ts',
    from: "if (time.kind === 'behind') throw behind(plan)",
    to: '',
    noticed: 'a standby that lags behind the last run is waited for',
  },
  {
    rule: 'a new column is filled for rows that did not change',
    file: 'schema-change.ts',
    from: 'return { ...base, reload: describeChanges(columns), change }',
    to: 'return { ...base, change }',
    noticed: 'a new column fills the rows that did not change',
  },
  {
    rule: 'a column is known by its number, not its name',
    file: 'schema-change.ts',
    from: 'old.number !== column.number',
    to: 'old.number < 0',
    noticed: 'a column dropped and added again under its name is another',
  },
  {
    rule: 'keys are compared under the condition of the stream',
    file: 'stream-run.ts',
    from: 'where: plan.where,\n      withXmin,',
    to: 'where: this.#live === null ? plan.where : null,\n      withXmin,',
    noticed: 'rows that stop matching the condition go',
  },
  {
    rule: 'another condition selects other rows',
    file: 'schema-change.ts',
    from: "if (saved.where !== plan.where) return 'The condition `where` changed.'",
    to: '',
    noticed: 'another condition is another copy',
  },
  {
    rule: 'a window of 2^31 ids or more is not used',
    file: 'fingerprint.ts',
    from: 'if (!isWindowUsable(horizon, xmax)) {',
    to: 'if (xmax < horizon) {',
    noticed: 'more than 2^31 transactions between two runs make a full load',
  },
  {
    rule: 'deletes beyond the guard need a word',
    file: 'stream-run.ts',
    from: 'const guarded = !allowMassDelete &&',
    to: 'const guarded = allowMassDelete &&',
    noticed: 'a table emptied at the source does not empty the destination without a word',
  },
  {
    rule: 'rows of a transaction that was landed are dropped',
    file: 'append-filter.ts',
    from: 'id !== null && !seen.has(id)',
    to: 'id !== null',
    noticed: 'append lands each row version once',
  },
  {
    rule: 'transactions above the new horizon are remembered',
    file: 'append-filter.ts',
    from: 'if (upcoming !== null) this.#remember(upcoming)',
    to: '',
    noticed: 'append lands each row version once',
  },
  {
    rule: 'rows of a joined leaf are not dropped for an id seen elsewhere',
    file: 'append-filter.ts',
    from: 'this.passes = [{ window }, ...joined]',
    to: 'this.passes = [{ window }]',
    noticed: 'append lands the rows of a joined partition although their ids were seen elsewhere',
  },
  {
    rule: 'a reload keeps marked rows',
    file: 'fingerprint.ts',
    from: "const keepsRows = plan.landing === 'append' || plan.deletes !== 'hard'",
    to: "const keepsRows = plan.landing === 'append'",
    noticed: 'a reload keeps rows that were soft-deleted',
  },
  {
    rule: 'an error of the destination as a whole ends the run',
    file: 'retry.ts',
    from: 'STOPS_THE_RUN.has(error.code)',
    to: 'STOPS_THE_RUN.has(error.code) && error.code === "FENCED"',
    noticed: 'a full destination ends the run',
  },
]

const ROOT = path.resolve(import.meta.dirname, '../..')
const SYNC = path.join(ROOT, 'src/sync')
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

async function loadScenarios(mutant: Mutant | null, name: string): Promise<Record<string, Scenario>> {
  const outfile = path.join(folder, `${name}.mjs`)
  await build({
    entryPoints: [path.join(import.meta.dirname, 'model/scenarios.ts')],
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
  const built = (await import(pathToFileURL(outfile).href)) as { scenarios: Record<string, Scenario> }
  return built.scenarios
}

function replaceOnce(text: string, { from, to }: { readonly from: string; readonly to: string }): string {
  const parts = text.split(from)
  if (parts.length !== 2) throw new Error(`${parts.length - 1} x ${from}`)
  return parts.join(to)
}

describe('a broken rule is noticed', () => {
  test('the engine as it is passes when it is built the same way', async () => {
    const scenarios = await loadScenarios(null, 'whole')
    for (const scenario of Object.values(scenarios)) await scenario()
  })

  for (const [index, mutant] of MUTANTS.entries()) {
    test(`without: ${mutant.rule}`, async () => {
      const scenarios = await loadScenarios(mutant, `mutant-${index}`)
      await expect(scenarios[mutant.noticed]?.()).rejects.toThrow()
    })
  }
})
