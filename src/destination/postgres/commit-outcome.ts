/** Whether a commit took place whose answer was lost: asked until somebody answers. */
import { setTimeout as sleep } from 'node:timers/promises'
import { TrunklineError } from '../../model/error.js'
import { isLost } from './errors.js'
import { outcomeUnknown } from './refusals.js'

const FIRST_PAUSE_MS = 250
const LONGEST_PAUSE_MS = 5000
/** As long as a server takes to be restarted, or another to take its place. */
const GIVE_UP_AFTER_MS = 60_000

/**
 * After a commit that failed: returns if it took place all the same.
 * @throws the failure, if it did not; DESTINATION_UNREACHABLE, not to be tried again, where nobody can be asked
 */
export async function settleCommit(
  stream: string,
  failure: unknown,
  ask: () => Promise<boolean>,
): Promise<void> {
  if (!isLost(failure)) throw failure
  const tookPlace = await ask().catch((cause: unknown) => {
    throw outcomeUnknown(stream, cause)
  })
  if (!tookPlace) throw failure
}

/**
 * What `ask` answers; what fails and may succeed later is asked again for about a minute.
 * @throws what the last attempt did
 */
export async function askUntilAnswered(
  ask: () => Promise<boolean>,
  { signal, giveUpAfterMs = GIVE_UP_AFTER_MS }: { signal?: AbortSignal | undefined; giveUpAfterMs?: number },
): Promise<boolean> {
  const deadline = performance.now() + giveUpAfterMs
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS)) {
    try {
      return await ask()
    } catch (error) {
      const mayPass = error instanceof TrunklineError && error.retry !== 'never'
      if (!mayPass || performance.now() >= deadline) throw error
    }
    await sleep(pauseMs, undefined, signal === undefined ? {} : { signal }).catch(() => undefined)
    signal?.throwIfAborted()
  }
}
