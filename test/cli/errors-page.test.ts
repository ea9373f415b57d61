import { readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { ERROR_CODES } from '../../src/model/error.js'

const RETRY = {
  never: 'Not tried again by itself.',
  safe: 'Tried again at once.',
  backoff: 'Tried again after a pause.',
} as const

async function readSections(): Promise<ReadonlyMap<string, string>> {
  const page = await readFile(new URL('../../docs/reference/errors.md', import.meta.url), 'utf8')
  const sections = page.split(/^### /m).slice(1)
  return new Map(sections.map((section) => [section.slice(0, section.indexOf('\n')), section]))
}

test('every code is documented, in order, and every documented code exists', async () => {
  expect([...(await readSections()).keys()]).toEqual(Object.keys(ERROR_CODES))
})

test('every section says what it is, why, what to do, and whether it is tried again', async () => {
  for (const [code, section] of await readSections()) {
    const { summary, retry } = ERROR_CODES[code as keyof typeof ERROR_CODES]
    // The table wraps no lines; the page does.
    const text = section.replaceAll(/\s+/g, ' ')
    expect(text, code).toContain(summary)
    expect(text, code).toContain(RETRY[retry])
    expect(text, code).toMatch(/\*\*Cause\.\*\* \S.{20,}\*\*What to do\.\*\* .{8,}/)
  }
})
