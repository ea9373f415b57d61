/** docs/coverage.md: every number is there, and what it names is. */
import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, test } from 'vitest'

const ROOT = path.resolve(import.meta.dirname, '../..')
const PAGE = readFileSync(path.join(ROOT, 'docs/coverage.md'), 'utf8')
const BEHAVIOURS = 292
/** Numbers that may have a reason in place of a test. */
const MOST_REASONS = 10

interface Entry {
  readonly number: number
  readonly words: string
  readonly links: readonly { readonly name: string; readonly file: string }[]
  /** What stands in place of links. */
  readonly reason: string
}

const LINK = /\[((?:\\.|[^\]\\])*)\]\(([^)]*)\)/g

const entries: readonly Entry[] = PAGE.split('\n').flatMap((line) => {
  const match = /^\| *(\d+) \| (.*?) +\| (.*?) +\|$/.exec(line)
  if (match === null) return []
  const [, number = '', words = '', shown = ''] = match
  const links = [...shown.matchAll(LINK)].map(([, name = '', file = '']) => ({
    name: name.replaceAll(/\\(.)/g, '$1'),
    file: path.join('docs', file),
  }))
  return [{ number: Number(number), words, links, reason: links.length === 0 ? shown : '' }]
})

const shown = entries.filter(({ links }) => links.length > 0)
const reasoned = entries.filter(({ reason }) => reason.startsWith('Reason: '))

describe('the coverage page', () => {
  test('has each number once, in order, with words', () => {
    expect(entries.map(({ number }) => number)).toEqual(Array.from({ length: BEHAVIOURS }, (_, i) => i + 1))
    expect(entries.filter(({ words }) => words.trim().length < 3)).toEqual([])
  })

  test('counts right what is shown by a test and what has a reason', () => {
    expect(PAGE).toContain(
      `Shown by a test: ${shown.length} of ${BEHAVIOURS}. With a reason in place of a test: ${reasoned.length}.`,
    )
    expect(reasoned.length).toBeLessThanOrEqual(MOST_REASONS)
    for (const { reason } of reasoned) expect(reason.length).toBeGreaterThan('Reason: '.length + 30)
  })

  test('leaves nothing without either', () => {
    expect(entries.filter((entry) => !shown.includes(entry) && !reasoned.includes(entry))).toEqual([])
  })

  test('names only tests that are there, in their words', () => {
    const texts = new Map<string, string>()
    const broken = shown.flatMap(({ number, links }) =>
      links.flatMap(({ name, file }) => {
        if (!/^test\/.*\.ts$/.test(file) || !existsSync(path.join(ROOT, file)))
          return [`${number}: no test file ${file}`]
        const text = texts.get(file) ?? readFileSync(path.join(ROOT, file), 'utf8')
        texts.set(file, text)
        const found = [`'${name.replaceAll("'", "\\'")}'`, `"${name}"`, `\`${name}\``].some((quoted) =>
          text.includes(quoted),
        )
        return found ? [] : [`${number}: ${file} has no test ${name}`]
      }),
    )
    expect(broken).toEqual([])
  })
})
