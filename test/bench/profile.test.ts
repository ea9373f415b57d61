import { expect, it } from 'vitest'
import { selfTimes } from '../../bench/profile.js'

it('adds the time of the samples up by function and names the place', () => {
  const times = selfTimes({
    nodes: [
      { id: 1, callFrame: { functionName: '(idle)', url: '', lineNumber: -1 } },
      { id: 2, callFrame: { functionName: 'decode', url: 'file:///a/b/codec.js', lineNumber: 9 } },
      { id: 3, callFrame: { functionName: '', url: 'file:///a/main.js', lineNumber: 0 } },
      // The same function, called from elsewhere.
      { id: 4, callFrame: { functionName: 'decode', url: 'file:///a/b/codec.js', lineNumber: 9 } },
    ],
    samples: [1, 2, 4, 3, 2],
    timeDeltas: [500_000, 100_000, 200_000, 100_000, 100_000],
  })
  expect(times).toEqual([
    { place: '(idle)', seconds: 0.5, share: 0.5 },
    { place: 'decode codec.js:10', seconds: 0.4, share: 0.4 },
    { place: '(anonymous) main.js:1', seconds: 0.1, share: 0.1 },
  ])
})

it('counts no time backwards, which profiles hold where the clock was read late', () => {
  const times = selfTimes({
    nodes: [{ id: 1, callFrame: { functionName: 'f', url: '', lineNumber: -1 } }],
    samples: [1, 1],
    timeDeltas: [-5, 1_000_000],
  })
  expect(times).toEqual([{ place: 'f', seconds: 1, share: 1 }])
})
