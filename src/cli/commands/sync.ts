/** `trunkline sync`: runs one sync, or those of a file one after another. */
import { toSyncSpec } from '../../config/sync-options.js'
import { openDestination, openSource, resolveSettings } from '../../connectors.js'
import type { RunReport } from '../../model/report.js'
import { runSync } from '../../sync/engine.js'
import type { FileFlags, RequestedSync, Setting } from '../arguments.js'
import { openSetting, toRequestedSyncs } from '../arguments.js'
import { createCliLogger } from '../cli-logger.js'
import { confirmFirstLoad } from '../confirm-first-load.js'
import { EXIT, exitCodeOfRun } from '../exit-code.js'
import { watchInterrupt } from '../interrupt.js'
import { inProfileWords } from '../profile-errors.js'
import { followProfileRun } from '../profile-run.js'
import { createProgressView } from '../progress-view.js'
import { printRunResult } from '../run-result.js'
import type { SyncFlags } from '../declare-sync-flags.js'
import { applyFlags } from '../sync-flags.js'
import type { OutputFlags, Terminal } from '../terminal.js'

export interface SyncCommandFlags extends OutputFlags, FileFlags, SyncFlags {
  readonly yes?: boolean
  readonly confirmAbove?: string
}

export async function runSyncCommand(
  terminal: Terminal,
  args: readonly string[],
  flags: SyncCommandFlags,
): Promise<number> {
  const setting = await openSetting(flags)
  const requests = await toRequestedSyncs(setting, args, terminal)
  using interrupt = watchInterrupt(terminal)
  const exitCodes: number[] = []
  for (const request of requests) {
    const exitCode = await inProfileWords(request.profile, () =>
      runOne(terminal, setting, request, flags, interrupt.signal),
    )
    if (exitCode === EXIT.interrupted) return exitCode
    exitCodes.push(exitCode)
  }
  return exitCodes.find((code) => code !== EXIT.done) ?? EXIT.done
}

async function runOne(
  terminal: Terminal,
  setting: Setting,
  request: RequestedSync,
  flags: SyncCommandFlags,
  signal: AbortSignal,
): Promise<number> {
  const options = await applyFlags(request.options, flags)
  const settings = await resolveSettings(request.connection, setting.env)
  const spec = toSyncSpec(options, settings.database)
  const view = createProgressView(terminal)
  const { profile } = request
  const following = followProfileRun(terminal, view, profile)
  const logger = createCliLogger(
    profile?.debug === true ? { ...terminal, verbose: true } : terminal,
    view.note,
    spec.wording,
  )
  let report: RunReport
  try {
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
    if (!request.configured && flags.yes !== true) {
      const threshold = flags.confirmAbove
      await confirmFirstLoad(terminal, { source, destination, spec, threshold, signal })
    }
    view.start()
    report = await runSync({ source, destination, spec, signal, logger, onProgress: following.onProgress })
    await source.close()
    following.sourceClosed()
    await view.close()
    if (!terminal.json) await printRunResult(terminal, report, destination)
  } finally {
    await view.close()
  }
  return exitCodeOfRun(report)
}
