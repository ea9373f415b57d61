// @ts-check
/**
 * The order of test files: those that take longest first, so that at the end no worker is left alone with one of them, and pure ones
 * between those that wait for a server. How long each takes is on record in `test-durations.json`, because where tests run for the first
 * time nobody has measured yet; `npm test -- --record` writes it anew.
 */
import { readFileSync } from 'node:fs'
import { relative, sep } from 'node:path'
import { BaseSequencer } from 'vitest/node'

/** Of a file that is not on record: it is new, or takes next to nothing. */
const ASSUMED_SECONDS = 3

/** @type {Record<string, number | undefined>} */
const recorded = JSON.parse(readFileSync(new URL('test-durations.json', import.meta.url), 'utf8'))

export class LongestFirst extends BaseSequencer {
  /**
   * @override
   * @param {import('vitest/node').TestSpecification[]} files
   */
  async sort(files) {
    const { root } = this.ctx.config
    /** @param {import('vitest/node').TestSpecification} file */
    const secondsOf = (file) =>
      recorded[relative(root, file.moduleId).split(sep).join('/')] ?? ASSUMED_SECONDS
    return [...files].sort((a, b) => secondsOf(b) - secondsOf(a))
  }
}
