/** Keeps results in the repository: the numbers as JSON, and what documentation shows of them. */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { renderChart } from './render-chart.js'
import { renderMarkdown } from './render-table.js'
import type { BenchResults } from './results.js'

const BEGIN = '<!-- bench: begin, written by npm run bench -- --save -->'
const END = '<!-- bench: end -->'

/** Puts `section` between the marks. @throws Error where the page does not have both, in order. */
export function replaceSection(page: string, section: string): string {
  const begin = page.indexOf(BEGIN)
  const end = page.indexOf(END)
  if (begin < 0 || end < begin) throw new Error(`The page lacks the lines ${BEGIN} and ${END}.`)
  return `${page.slice(0, begin + BEGIN.length)}\n\n${section.trim()}\n\n${page.slice(end)}`
}

/** Returns the paths written, relative to the project. */
export async function saveResults(results: BenchResults, project: string): Promise<readonly string[]> {
  const name = `${results.startedAt.slice(0, 10)}-${results.commit.replace('+', '-changed')}.json`
  const json = `bench/results/${name}`
  const page = 'docs/performance.md'
  const chart = 'docs/performance.svg'
  await mkdir(join(project, 'bench/results'), { recursive: true })
  await writeFile(join(project, json), `${JSON.stringify(results, null, 2)}\n`)
  const text = await readFile(join(project, page), 'utf8')
  await writeFile(join(project, page), replaceSection(text, renderMarkdown(results)))
  await writeFile(join(project, chart), renderChart(results))
  return [json, page, chart]
}
