/** Ctrl-C: the first asks for an orderly end, the second ends at once. */
import { TrunklineError } from '../model/error.js'
import { EXIT } from './exit-code.js'
import type { Terminal } from './terminal.js'

export interface Interrupt extends Disposable {
  readonly signal: AbortSignal
}

export function watchInterrupt(terminal: Terminal): Interrupt {
  const controller = new AbortController()
  const onSignal = (): void => {
    if (controller.signal.aborted) process.exit(EXIT.interrupted)
    terminal.note(
      'Stopping: what is committed stays, the next run goes on from there. Press Ctrl-C again to exit at once.',
    )
    controller.abort(
      new TrunklineError('ABORTED', 'Interrupted.', {
        hint: 'Nothing is half done: run the same command again to go on.',
      }),
    )
  }
  process.on('SIGINT', onSignal)
  process.on('SIGTERM', onSignal)
  return {
    signal: controller.signal,
    [Symbol.dispose]: () => {
      process.off('SIGINT', onSignal)
      process.off('SIGTERM', onSignal)
    },
  }
}
