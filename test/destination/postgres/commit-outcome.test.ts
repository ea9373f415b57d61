import { expect, test } from 'vitest'
import { askUntilAnswered, settleCommit } from '../../../src/destination/postgres/commit-outcome.js'
import { TrunklineError } from '../../../src/model/error.js'

/** Fails so many times, then answers. */
function answering(failures: number, error: Error): { asked: number; ask: () => Promise<boolean> } {
  const told = {
    asked: 0,
    ask: (): Promise<boolean> => (told.asked++ < failures ? Promise.reject(error) : Promise.resolve(true)),
  }
  return told
}
const away = new TrunklineError('CONNECT_FAILED', 'away')

test('a server that is away is asked again until it answers', async () => {
  const told = answering(2, away)
  expect(await askUntilAnswered(told.ask, {})).toBe(true)
  expect(told.asked).toBe(3)
})

test('asking ends with the last failure when time is up, at once where it can never succeed, and with the run', async () => {
  await expect(askUntilAnswered(answering(9, away).ask, { giveUpAfterMs: 0 })).rejects.toBe(away)
  const denied = new TrunklineError('AUTH_FAILED', 'no')
  const told = answering(1, denied)
  await expect(askUntilAnswered(told.ask, {})).rejects.toBe(denied)
  expect(told.asked).toBe(1)
  const stop = new AbortController()
  const asking = askUntilAnswered(answering(9, away).ask, { signal: stop.signal })
  const reason = new Error('stopped')
  stop.abort(reason)
  await expect(asking).rejects.toBe(reason)
})

test('a commit whose answer was lost took place, did not, or leaves the stream to the next run', async () => {
  const lost = new TrunklineError('CONNECTION_LOST', 'x')
  await settleCommit('public.t', lost, () => Promise.resolve(true))
  await expect(settleCommit('public.t', lost, () => Promise.resolve(false))).rejects.toBe(lost)
  await expect(
    settleCommit('public.t', lost, () => Promise.reject(new TrunklineError('CONNECT_FAILED', 'x'))),
  ).rejects.toMatchObject({
    code: 'DESTINATION_UNREACHABLE',
    retry: 'never',
    context: { stream: 'public.t' },
  })
  // What the server refused needs no asking.
  const refused = new TrunklineError('QUERY_FAILED', 'x')
  await expect(settleCommit('public.t', refused, () => Promise.resolve(true))).rejects.toBe(refused)
})
