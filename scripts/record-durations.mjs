// @ts-check
/** A vitest reporter that puts on record how long each test file took, for `longest-first.mjs`. */
import { writeFileSync } from 'node:fs'

/** Files that take less are not worth an order. */
const LEAST_SECONDS = 3

export default class RecordDurations {
  /** @param {readonly import('vitest/node').TestModule[]} modules */
  onTestRunEnd(modules) {
    const seconds = modules
      .map(
        (module) =>
          /** @type {const} */ ([module.relativeModuleId, Math.round(module.diagnostic().duration / 1000)]),
      )
      .filter(([, duration]) => duration >= LEAST_SECONDS)
      .sort(([one, a], [other, b]) => b - a || (one < other ? -1 : 1))
    const text = JSON.stringify(Object.fromEntries(seconds), null, 2)
    writeFileSync(new URL('test-durations.json', import.meta.url), `${text}\n`)
  }
}
