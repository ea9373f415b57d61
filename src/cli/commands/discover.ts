/** `trunkline discover`: the streams of a source, as a table, as JSON or as TypeScript. */
import { openSource, resolveSettings } from '../../connectors.js'
import type { CatalogStream } from '../../model/catalog.js'
import type { FileFlags } from '../arguments.js'
import { openSetting, toConnection } from '../arguments.js'
import { createCliLogger } from '../cli-logger.js'
import { escapeText } from '../escape.js'
import { EXIT } from '../exit-code.js'
import { formatBytes, formatCount, formatTable } from '../format.js'
import { watchInterrupt } from '../interrupt.js'
import { printJson } from '../json-result.js'
import type { OutputFlags, Terminal } from '../terminal.js'
import { writeInterfaces } from '../typescript-interfaces.js'

interface DiscoverFlags extends OutputFlags, FileFlags {
  readonly typescript?: boolean
  readonly select?: readonly string[]
  readonly exclude?: readonly string[]
}

export async function runDiscoverCommand(
  terminal: Terminal,
  args: readonly string[],
  flags: DiscoverFlags,
): Promise<number> {
  const setting = await openSetting(flags)
  const connection = await toConnection(setting, args[0], terminal)
  using interrupt = watchInterrupt(terminal)
  const logger = createCliLogger(terminal, terminal.note)
  const settings = await resolveSettings(connection, setting.env)
  await using source = await openSource(settings, { logger })
  const selection = { select: flags.select ?? [], exclude: flags.exclude ?? [] }
  const catalog = await source.discover(selection, { signal: interrupt.signal })
  if (terminal.json) {
    await printJson(terminal, { kind: 'catalog', catalog })
  } else if (flags.typescript === true) {
    await terminal.out(writeInterfaces(source, catalog.streams))
  } else {
    await terminal.out(`${describeStreams(catalog.streams)}\n`)
  }
  return EXIT.done
}

/** What is odd about it; on Greenplum how it is stored, where that is not as a heap. */
function kindOf({ oddity, kind, greenplum }: CatalogStream): string {
  if (greenplum === undefined || oddity !== 'greenplum') return oddity ?? kind
  const { storage, distribution } = greenplum
  const stored = storage === 'heap' || storage === 'other' ? [] : [storage]
  return [kind, ...stored, ...(distribution === 'replicated' ? [distribution] : [])].join(', ')
}

function describeStreams(streams: readonly CatalogStream[]): string {
  const heading = ['STREAM', 'KIND', 'ROWS', 'SIZE', 'COLUMNS', 'KEY']
  const rows = streams.map((stream) => [
    escapeText(stream.name),
    kindOf(stream),
    stream.estimatedRows === null ? '?' : `~${formatCount(stream.estimatedRows)}`,
    formatBytes(stream.bytes),
    formatCount(stream.columns.length),
    escapeText(stream.key?.columns.join(', ') ?? '–'),
  ])
  return formatTable([heading, ...rows], new Set([2, 3, 4]))
}
