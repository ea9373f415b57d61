/** `trunkline read`: the rows of one stream, or of a query, to stdout or a file, as one snapshot has them. */
import { StringDecoder } from 'node:string_decoder'
import { openSource, resolveSettings } from '../../connectors.js'
import type { Field } from '../../model/column-type.js'
import { TrunklineError } from '../../model/error.js'
import { DEFAULT_LIMITS } from '../../model/thresholds.js'
import type { StreamOptions } from '../../model/sync-spec.js'
import { createReadableSource } from '../../reading.js'
import { createRowOutput, type RowFormat, type RowOutput } from '../../row-output.js'
import type { FileFlags } from '../arguments.js'
import { openSetting, toConnection } from '../arguments.js'
import { createCliLogger } from '../cli-logger.js'
import { escapeLines } from '../escape.js'
import { EXIT } from '../exit-code.js'
import { formatNoun } from '../format.js'
import { watchInterrupt } from '../interrupt.js'
import { openOutputFile, type OutputFile } from '../output-file.js'
import type { OutputFlags, Terminal } from '../terminal.js'

interface ReadFlags extends OutputFlags, FileFlags {
  readonly format?: RowFormat
  readonly formatOption?: readonly string[]
  readonly output?: string
  readonly sql?: string
  readonly allowPrivilegedRole?: boolean
  readonly columns?: readonly string[]
  readonly excludeColumns?: readonly string[]
  readonly where?: string
  readonly limit?: string
  readonly readMethod?: string
  readonly batchSize?: string
}

/** Small enough that the first rows show at once and a slow reader of the pipe holds little. */
const BATCH_BYTES = 1024 * 1024
/** What a query is called in messages. */
const QUERY = 'query'

export async function runReadCommand(
  terminal: Terminal,
  args: readonly string[],
  flags: ReadFlags,
): Promise<number> {
  const setting = await openSetting(flags)
  const { source, stream } = toPlace(args, flags)
  const limit = flags.limit === undefined ? Infinity : toLimit(flags.limit)
  const createOutput = toOutput(terminal, flags)
  const connection = await toConnection(setting, source, terminal)
  using interrupt = watchInterrupt(terminal)
  const signal = AbortSignal.any([interrupt.signal, terminal.outClosed])
  const settings = await resolveSettings(connection, setting.env)
  const limits = { ...DEFAULT_LIMITS, batchBytes: BATCH_BYTES }
  const logger = createCliLogger(terminal, terminal.note)
  await using readable = createReadableSource(await openSource(settings, { logger, limits }), limits)
  await using snapshot = await readable.snapshot(stream === null ? [] : [stream], {
    signal,
    ...(flags.sql === undefined ? {} : { queries: [{ name: QUERY, sql: flags.sql, primaryKey: null }] }),
    ...(flags.allowPrivilegedRole === true ? { allowPrivilegedRole: true } : {}),
  })

  const [found] = snapshot.streams
  if (found === undefined) throw new TrunklineError('STREAM_MISSING', `${stream ?? QUERY} is not there.`)
  const options = {
    signal,
    ...(flags.columns === undefined ? {} : { columns: splitNames(flags.columns) }),
    ...(flags.excludeColumns === undefined ? {} : { excludeColumns: splitNames(flags.excludeColumns) }),
    ...(flags.where === undefined ? {} : { where: flags.where }),
    ...(await checkHow(flags)),
  }
  const output = createOutput(snapshot.fields(found.name, options))
  const target = await openTarget(terminal, flags)
  try {
    let written = 0
    if (limit > 0) {
      for await (const batch of snapshot.read(found.name, options)) {
        const count = Math.min(batch.rowCount, limit - written)
        await writeAll(target, output.add({ batch, start: 0, count }))
        written += count
        if (written === limit || terminal.outClosed.aborted) break
      }
    }
    await writeAll(target, output.end())
    await target.finish()
    if (terminal.verbose) terminal.note(formatNoun(written, 'row'))
  } finally {
    await target.discard()
  }
  return EXIT.done
}

/** What is read: a stream, or, with `--sql`, null. */
function toPlace(
  args: readonly string[],
  { sql }: ReadFlags,
): { readonly source: string | undefined; readonly stream: string | null } {
  if (sql !== undefined) {
    if (args.length <= 1) return { source: args[0], stream: null }
    throw new TrunklineError(
      'CONFIG_INVALID',
      'There is a STREAM and a --sql: one of them is what to read.',
      {
        hint: 'Leave one of the two out.',
      },
    )
  }
  const [source, stream] = args.length === 1 ? [undefined, args[0]] : args
  if (stream !== undefined) return { source, stream }
  throw new TrunklineError('CONFIG_INVALID', 'Say which STREAM to read.', {
    hint: 'trunkline read postgresql://user@host/shop public.orders',
  })
}

/** Makes the bytes of the rows. @throws CONFIG_INVALID, CONFIG_UNKNOWN_KEY, before anything is connected to */
function toOutput(
  terminal: Terminal,
  { format = 'jsonl', formatOption = [], output }: ReadFlags,
): (fields: readonly Field[]) => RowOutput {
  if (format === 'arrow' && output === undefined && terminal.outIsTerminal) {
    throw new TrunklineError('CONFIG_INVALID', 'An Arrow stream is binary, and stdout is a terminal.', {
      hint: 'Write it to a file or a program: -o rows.arrows, or > rows.arrows.',
    })
  }
  const options = Object.fromEntries(
    formatOption.map((text) => {
      const [, key, value] = /^([^=]+)=([^]*)$/.exec(text) ?? []
      if (key !== undefined && value !== undefined) return [key, value]
      throw new TrunklineError(
        'CONFIG_INVALID',
        `--format-option ${JSON.stringify(text)} is no NAME=VALUE.`,
        {
          hint: 'Write, for example, --format-option header=false.',
        },
      )
    }),
  )
  createRowOutput(format, [], options)
  return (fields) => createRowOutput(format, fields, options)
}

async function openTarget(terminal: Terminal, { output, format }: ReadFlags): Promise<OutputFile> {
  if (output !== undefined && output !== '-') return openOutputFile(output)
  const nothing = (): Promise<void> => Promise.resolve()
  const shown = terminal.outIsTerminal ? escapedFor(format) : (piece: Uint8Array) => piece
  return { write: (piece) => terminal.out(shown(piece)), finish: nothing, discard: nothing }
}

/** Exact to a pipe or a file; on a terminal nothing in it may act. */
function escapedFor(format: RowFormat = 'jsonl'): (piece: Uint8Array) => string {
  const decoder = new StringDecoder('utf8')
  const escape = (text: string): string => escapeLines(text, format === 'jsonl' ? 'json' : 'text')
  return (piece) =>
    decoder
      .write(Buffer.from(piece.buffer, piece.byteOffset, piece.byteLength))
      .split('\t')
      .map(escape)
      .join('\t')
}

async function writeAll(target: OutputFile, encoded: Iterable<readonly Uint8Array[]>): Promise<void> {
  for (const pieces of encoded) for (const piece of pieces) await target.write(piece)
}

/** @throws CONFIG_INVALID naming the flag */
async function checkHow({ readMethod, batchSize }: ReadFlags): Promise<StreamOptions> {
  if (readMethod === undefined && batchSize === undefined) return {}
  const { checkStreamFlags } = await import('../../config/check-options.js')
  return checkStreamFlags({ readMethod, batchSize })
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
