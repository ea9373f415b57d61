/** `trunkline read`: the rows of one stream to stdout, as one snapshot has them. */
import { openSource, resolveSettings } from '../../connectors.js'
import { TrunklineError } from '../../model/error.js'
import { DEFAULT_LIMITS } from '../../model/thresholds.js'
import type { StreamOptions } from '../../model/sync-spec.js'
import { createReadableSource } from '../../reading.js'
import { toCsvHeading, toCsvLines, toJsonLines } from '../../row-text.js'
import type { FileFlags } from '../arguments.js'
import { openSetting, toConnection } from '../arguments.js'
import { createCliLogger } from '../cli-logger.js'
import { escapeLines } from '../escape.js'
import { EXIT } from '../exit-code.js'
import { formatNoun } from '../format.js'
import { watchInterrupt } from '../interrupt.js'
import type { OutputFlags, Terminal } from '../terminal.js'

interface ReadFlags extends OutputFlags, FileFlags {
  readonly format?: 'jsonl' | 'csv'
  readonly columns?: readonly string[]
  readonly excludeColumns?: readonly string[]
  readonly where?: string
  readonly limit?: string
  readonly readMethod?: string
  readonly batchSize?: string
}

/** Small enough that the first rows show at once and a slow reader of the pipe holds little. */
const BATCH_BYTES = 1024 * 1024

export async function runReadCommand(
  terminal: Terminal,
  args: readonly string[],
  flags: ReadFlags,
): Promise<number> {
  const setting = await openSetting(flags)
  const [source, stream] = args.length === 1 ? [undefined, args[0]] : args
  if (stream === undefined) {
    throw new TrunklineError('CONFIG_INVALID', 'Say which STREAM to read.', {
      hint: 'trunkline read postgresql://user@host/shop public.orders',
    })
  }
  const connection = await toConnection(setting, source, terminal)
  const limit = flags.limit === undefined ? Infinity : toLimit(flags.limit)
  using interrupt = watchInterrupt(terminal)
  const signal = AbortSignal.any([interrupt.signal, terminal.outClosed])
  const settings = await resolveSettings(connection, setting.env)
  const limits = { ...DEFAULT_LIMITS, batchBytes: BATCH_BYTES }
  const logger = createCliLogger(terminal, terminal.note)
  await using readable = createReadableSource(await openSource(settings, { logger, limits }), limits)
  await using snapshot = await readable.snapshot([stream], { signal })

  const csv = flags.format === 'csv'
  const [found] = snapshot.streams
  if (found === undefined) throw new TrunklineError('STREAM_MISSING', `${stream} is not there.`)
  const options = {
    signal,
    ...(flags.columns === undefined ? {} : { columns: splitNames(flags.columns) }),
    ...(flags.excludeColumns === undefined ? {} : { excludeColumns: splitNames(flags.excludeColumns) }),
    ...(flags.where === undefined ? {} : { where: flags.where }),
    ...(await checkHow(flags)),
  }
  if (csv) await write(terminal, toCsvHeading(snapshot.fields(found.name, options)), csv)
  let rowsLeft = limit
  let written = 0
  for await (const batch of snapshot.read(found.name, options)) {
    const shown = batch.rowCount <= rowsLeft ? batch : { ...batch, rowCount: rowsLeft }
    await write(terminal, csv ? toCsvLines(shown) : toJsonLines(shown), csv)
    rowsLeft -= shown.rowCount
    written += shown.rowCount
    if (rowsLeft === 0 || terminal.outClosed.aborted) break
  }
  if (terminal.verbose) terminal.note(formatNoun(written, 'row'))
  return EXIT.done
}

/** @throws CONFIG_INVALID naming the flag */
async function checkHow({ readMethod, batchSize }: ReadFlags): Promise<StreamOptions> {
  if (readMethod === undefined && batchSize === undefined) return {}
  const { checkStreamFlags } = await import('../../config/check-options.js')
  return checkStreamFlags({ readMethod, batchSize })
}

/** Exact to a pipe or a file; on a terminal nothing in it may act. */
async function write(terminal: Terminal, text: string, csv: boolean): Promise<void> {
  if (!terminal.outIsTerminal) return terminal.out(text)
  return terminal.out(escapeLines(text, csv ? 'text' : 'json'))
}

function splitNames(values: readonly string[]): readonly string[] {
  return values.flatMap((value) => value.split(',').map((name) => name.trim()))
}

function toLimit(text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text)
  throw new TrunklineError('CONFIG_INVALID', '--limit: must be a whole number of rows.', {
    hint: 'Write --limit 10.',
  })
}
