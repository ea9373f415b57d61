import { expect, test } from 'vitest'
import { LONG_STREAM_BYTES } from '../../src/model/thresholds.js'
import { StreamOrder, streamsAtOnce } from '../../src/sync/stream-order.js'

const stream = (name: string, megabytes: number, full = true) => ({ name, bytes: megabytes * 1e6, full })
const names = (streams: readonly { readonly name: string }[]): string[] => streams.map(({ name }) => name)

/** In the order of being taken, when each ends before the next is taken. */
function takeAll(order: StreamOrder<ReturnType<typeof stream>>, readers: number): string[] {
  const taken: string[] = []
  for (;;) {
    const next = order.take(new Set(), { readers, most: 4 })
    if (next === null) return taken
    taken.push(next.name)
  }
}

test('the largest long stream is first, small ones come smallest first, a long count last', () => {
  expect(LONG_STREAM_BYTES).toBeGreaterThan(500e6)
  const order = new StreamOrder([
    stream('middle', 90),
    stream('long', 900),
    stream('counted', 5000, false),
    stream('small', 1),
    stream('longest', 2000),
  ])
  expect(names(order.rest)).toEqual(['small', 'middle', 'counted', 'longest', 'long'])
  expect(takeAll(order, 1)).toEqual(['longest', 'long', 'small', 'middle', 'counted'])
  expect(order.isEmpty).toBe(true)
})

test('no more long streams run than readers, small ones go beside them', () => {
  const order = new StreamOrder([stream('one', 900), stream('two', 900), stream('small', 1)])
  const running = new Set<ReturnType<typeof stream>>()
  const taken: string[] = []
  for (;;) {
    const next = order.take(running, { readers: 1, most: 4 })
    if (next === null) break
    running.add(next)
    taken.push(next.name)
  }
  expect(taken).toEqual(['two', 'small'])
  expect(names(order.rest)).toEqual(['one'])
  expect(order.take(running, { readers: 2, most: 4 })?.name).toBe('one')
})

test('streams of one size keep their order', () => {
  const order = new StreamOrder(['a', 'b', 'c'].map((name) => stream(name, 1)))
  expect(takeAll(order, 1)).toEqual(['a', 'b', 'c'])
})

test('as many run as there are readers and one more, within bounds', () => {
  expect([0, 1, 2, 3, 8].map(streamsAtOnce)).toEqual([1, 2, 3, 4, 4])
})
