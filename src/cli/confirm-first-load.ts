/** A large first load is shown before it begins: it costs the source hours, and is often not what was meant. */
import { parseSize } from '../config/quantity.js'
import type { Destination } from '../destination/contract.js'
import { TrunklineError } from '../model/error.js'
import type { SyncSpec } from '../model/sync-spec.js'
import { CONFIRM_BYTES } from '../model/thresholds.js'
import type { Source } from '../source/contract.js'
import { planSync } from '../sync/plan-report.js'
import { openQuestions } from './ask.js'
import { formatBytes } from './format.js'
import { describePlan } from './plan-text.js'
import type { Terminal } from './terminal.js'

export interface ConfirmInput {
  readonly source: Source
  readonly destination: Destination
  readonly spec: SyncSpec
  /** From --confirm-above; null for the default. */
  readonly threshold: string | undefined
  readonly signal: AbortSignal
}

/**
 * Does nothing where the sync ran before.
 * @throws CONFIG_INVALID where nobody can be asked, ABORTED where the answer is no
 */
export async function confirmFirstLoad(terminal: Terminal, input: ConfirmInput): Promise<void> {
  const { source, destination, spec, signal } = input
  const [state] = await destination.readState(spec.name)
  if ((state?.streams.size ?? 0) > 0) return
  const limit = toThreshold(input.threshold)
  const plan = await planSync({ source, destination, spec, signal })
  if (plan.firstLoadBytes <= limit) return
  terminal.note(describePlan(plan))
  const size = formatBytes(plan.firstLoadBytes)
  if (!terminal.canAsk) {
    throw new TrunklineError(
      'CONFIG_INVALID',
      `The first load would read ${size}, and nobody is here to confirm it.`,
      {
        hint: 'Add --yes, narrow it with --select, or put the sync into trunkline.yaml.',
      },
    )
  }
  using questions = openQuestions(signal)
  if (await questions.confirm(`Load ${size}?`)) return
  throw new TrunklineError('ABORTED', 'Nothing was loaded.', {
    hint: 'Narrow it with --select or --exclude.',
  })
}

function toThreshold(stated: string | undefined): number {
  if (stated === undefined) return CONFIRM_BYTES
  const bytes = parseSize(stated)
  if (bytes !== null) return bytes
  throw new TrunklineError('CONFIG_INVALID', '--confirm-above: must be a size, such as 20GiB.', {
    hint: 'MB is 10⁶ bytes, MiB is 2²⁰.',
  })
}
