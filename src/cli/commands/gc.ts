/** `trunkline gc`: removes files at a destination that no table needs any more. */
import { parseDuration } from '../../config/quantity.js'
import { removeGarbage, redact } from '../../connectors.js'
import { TrunklineError } from '../../model/error.js'
import type { FileFlags } from '../arguments.js'
import { openSetting, toDestinationText } from '../arguments.js'
import { escapeText } from '../escape.js'
import { EXIT } from '../exit-code.js'
import { formatBytes, formatNoun } from '../format.js'
import { watchInterrupt } from '../interrupt.js'
import { printJson } from '../json-result.js'
import type { OutputFlags, Terminal } from '../terminal.js'

interface GcFlags extends OutputFlags, FileFlags {
  readonly olderThan?: string
  readonly dryRun?: boolean
  readonly sync?: string
}

const DEFAULT_AGE = '24h'

export async function runGcCommand(
  terminal: Terminal,
  args: readonly string[],
  flags: GcFlags,
): Promise<number> {
  const olderThanMs = toAge(flags.olderThan ?? DEFAULT_AGE)
  const dryRun = flags.dryRun === true
  const setting = await openSetting(flags)
  const { destination } = await toDestinationText(setting, args[0], flags.sync)
  using interrupt = watchInterrupt(terminal)
  const garbage = await removeGarbage(destination, { olderThanMs, dryRun, signal: interrupt.signal })
  if (terminal.json) {
    await printJson(terminal, { kind: 'gc', dryRun, ...garbage })
    return EXIT.done
  }
  const { files, bytes, manifests, leftovers } = garbage
  const what = [
    `${formatNoun(files, 'file')} (${formatBytes(bytes)})`,
    formatNoun(manifests, 'manifest'),
    formatNoun(leftovers, 'leftover'),
  ].join(', ')
  const verb = dryRun ? 'would be removed' : 'removed'
  await terminal.out(`${escapeText(redact(destination))}: ${what} ${verb}.\n`)
  return EXIT.done
}

function toAge(text: string): number {
  const milliseconds = parseDuration(text)
  if (milliseconds !== null) return milliseconds
  throw new TrunklineError('CONFIG_INVALID', '--older-than: must be a duration with its unit.', {
    hint: 'Write --older-than 24h, or 30m.',
  })
}
