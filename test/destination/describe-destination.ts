/** The conformance suite under vitest: one test for each case that the destination offers. */
import { describe, it } from 'vitest'
import { runCase, sortCases, type Place, type Topic } from '../../src/testing/conformance.js'

/**
 * Asks a destination at such a place what it can do, and tests that. What it does not offer is no test.
 * @param topics all unless said: for what differs from another that is tested whole
 */
export async function describeDestination(
  name: string,
  makePlace: () => Promise<Place>,
  topics?: readonly Topic[],
): Promise<void> {
  const { offered } = await sortCases(makePlace)
  describe(`${name} keeps the promises of a destination`, () => {
    for (const one of offered) {
      if (topics?.includes(one.topic) === false) continue
      it(one.name, () => runCase(one, makePlace))
    }
  })
}
