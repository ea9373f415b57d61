import { expect, test } from 'vitest'
import { sortCases } from '../../src/testing/conformance.js'
import { makeCustomPlace } from './custom-destination.js'
import { describeDestination } from './describe-destination.js'

await describeDestination('the example of a destination of one’s own', makeCustomPlace)

test('the suite lists what a destination does not offer as not offered, and asks for its refusal', async () => {
  const { offers, offered, notOffered } = await sortCases(makeCustomPlace)
  expect([...offers].sort()).toEqual(['append', 'readers', 'replace'])
  expect(notOffered.map(({ name }) => name)).toContain('replaces by key on upsert and keeps the rest')
  expect(offered.filter(({ topic }) => topic === 'refusals').map(({ name }) => name)).toEqual([
    'refuses to land by upsert, as it says that it cannot',
    'refuses to compare rows, as it says that it cannot, and lands them all the same',
    'refuses to delete by key, as it says that it cannot, and lands the rest',
    'refuses to save a load and to go on in one, as it says that it cannot',
  ])
})
