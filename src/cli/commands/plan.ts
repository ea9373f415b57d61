/** `trunkline plan`: what a sync would do and promise, stream by stream, without doing it. */
import { toSyncSpec } from '../../config/sync-options.js'
import { openDestination, openSource, resolveSettings } from '../../connectors.js'
import { planSync } from '../../sync/plan-report.js'
import type { FileFlags } from '../arguments.js'
import { openSetting, toRequestedSyncs } from '../arguments.js'
import { createCliLogger } from '../cli-logger.js'
import { EXIT } from '../exit-code.js'
import { watchInterrupt } from '../interrupt.js'
import { printJson } from '../json-result.js'
import { describePlan } from '../plan-text.js'
import { inProfileWords } from '../profile-errors.js'
import type { SyncFlags } from '../declare-sync-flags.js'
import { applyFlags } from '../sync-flags.js'
import type { OutputFlags, Terminal } from '../terminal.js'

export async function runPlanCommand(
  terminal: Terminal,
  args: readonly string[],
  flags: OutputFlags & FileFlags & SyncFlags,
): Promise<number> {
  const setting = await openSetting(flags)
  const requests = await toRequestedSyncs(setting, args, terminal)
  const logger = createCliLogger(terminal, terminal.note)
  using interrupt = watchInterrupt(terminal)
  const exitCodes: number[] = []
  for (const request of requests) {
    const exitCode = await inProfileWords(request.profile, async () => {
      const options = await applyFlags(request.options, flags)
      const settings = await resolveSettings(request.connection, setting.env)
      const spec = toSyncSpec(options, settings.database)
      await using destination = await openDestination(request.destination, {
        logger,
        env: setting.env,
        place: request.destinationPlace,
      })
      await using source = await openSource(settings, {
        logger,
        limits: spec.limits,
        searchPath: request.connection.searchPath,
      })
      const plan = await planSync({ source, destination, spec, signal: interrupt.signal })
      if (terminal.json) await printJson(terminal, { kind: 'plan', plan })
      else await terminal.out(`${describePlan(plan)}\n`)
      return plan.streams.some(({ kind }) => kind === 'refused') ? EXIT.someFailed : EXIT.done
    })
    exitCodes.push(exitCode)
  }
  return exitCodes.find((code) => code !== EXIT.done) ?? EXIT.done
}
