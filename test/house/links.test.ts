/** Every relative link of a page leads somewhere. */
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, test } from 'vitest'

const ROOT = path.resolve(import.meta.dirname, '../..')

function findPages(folder: string): string[] {
  return readdirSync(path.join(ROOT, folder), { withFileTypes: true }).flatMap((entry) => {
    const name = path.join(folder, entry.name)
    if (entry.isDirectory()) return findPages(name)
    return entry.name.endsWith('.md') ? [name] : []
  })
}

const pages = ['README.md', 'CHANGELOG.md', 'CONTRIBUTING.md', ...findPages('docs')]

describe('pages', () => {
  test.each(pages)('%s links only to what is there', (page) => {
    const text = readFileSync(path.join(ROOT, page), 'utf8').replaceAll(/```.*?```/gs, '')
    const broken = [...text.matchAll(/\]\(([^)\s]+)\)/g)]
      .map((match) => match[1] ?? '')
      .filter((link) => !/^[a-z]+:/.test(link) && !link.startsWith('#'))
      .filter((link) => !existsSync(path.join(ROOT, path.dirname(page), link.split('#')[0] ?? '')))
    expect(broken).toEqual([])
  })
})
