/** Keeps results in the repository: the numbers as JSON, and what documentation shows of them. */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { format, resolveConfig } from 'prettier'
import { mergeResults } from './merge-results.js'
import { renderChart } from './render-chart.js'
import { renderMarkdown } from './render-table.js'
import type { BenchResults } from './results.js'

const BEGIN = '<!-- bench: begin, written by npm run bench -- --save -->'
const END = '<!-- bench: end -->'

const JSON_FILE = 'bench/results/latest.json'
const PAGE = 'docs/performance.md'
const CHART = 'docs/performance.svg'

/** Puts `section` between the marks. @throws Error where the page does not have both, in order. */
export function replaceSection(page: string, section: string): string {
  const begin = page.indexOf(BEGIN)
  const end = page.indexOf(END)
  if (begin < 0 || end < begin) throw new Error(`The page lacks the lines ${BEGIN} and ${END}.`)
  return `${page.slice(0, begin + BEGIN.length)}\n\n${section.trim()}\n\n${page.slice(end)}`
}

/** With what earlier runs found and this one did not look at. @throws Error where theirs are of another machine */
export async function mergeWithSaved(
  results: BenchResults,
  project: string,
  order: readonly string[],
): Promise<BenchResults> {
  const text = await readFile(join(project, JSON_FILE), 'utf8').catch(() => null)
  if (text === null) return results
  return mergeResults(JSON.parse(text) as BenchResults, results, order)
}

/** Returns the paths written, relative to the project. */
export async function saveResults(results: BenchResults, project: string): Promise<readonly string[]> {
  await mkdir(join(project, 'bench/results'), { recursive: true })
  await writeFile(join(project, JSON_FILE), `${JSON.stringify(results, null, 2)}\n`)
  const text = await readFile(join(project, PAGE), 'utf8')
  await writeFile(
    join(project, PAGE),
    await inHouseStyle(replaceSection(text, renderMarkdown(results)), project),
  )
  await writeFile(join(project, CHART), renderChart(results))
  return [JSON_FILE, PAGE, CHART]
}

/** Tables lined up, as the linter wants every page to be. */
async function inHouseStyle(page: string, project: string): Promise<string> {
  const filepath = join(project, PAGE)
  return format(page, { ...(await resolveConfig(filepath)), filepath })
}

/** The same into a folder of its own, for results that are not to be published. */
export async function writeResults(results: BenchResults, folder: string): Promise<readonly string[]> {
  await mkdir(folder, { recursive: true })
  const files = {
    'results.json': `${JSON.stringify(results, null, 2)}\n`,
    'performance.md': renderMarkdown(results),
    'performance.svg': renderChart(results),
  }
  for (const [name, content] of Object.entries(files)) await writeFile(join(folder, name), content)
  return Object.keys(files).map((name) => join(folder, name))
}
