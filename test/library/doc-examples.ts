/** The examples of the documentation: fenced blocks whose language is followed by `example`. */
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = fileURLToPath(new URL('../..', import.meta.url))

export interface DocExample {
  readonly file: string
  readonly language: 'ts' | 'sh' | 'yaml'
  /** Counted from 1 within its file and language. */
  readonly number: number
  readonly text: string
}

const FENCE = /^([ \t]*)```(ts|sh|yaml) example\n([^]*?)^[ \t]*```$/gm

export function findDocExamples(): readonly DocExample[] {
  const pages = readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' })
  const files = [
    'README.md',
    ...pages.filter((path) => path.endsWith('.md')).map((path) => join('docs', path)),
  ]
  return files.flatMap((file) => {
    const counts = { ts: 0, sh: 0, yaml: 0 }
    return [...readFileSync(join(root, file), 'utf8').matchAll(FENCE)].map((match) => {
      const language = match[2] as DocExample['language']
      const indent = match[1] ?? ''
      counts[language] += 1
      return {
        file,
        language,
        number: counts[language],
        text: (match[3] ?? '').replaceAll(new RegExp(`^${indent}`, 'gm'), ''),
      }
    })
  })
}
