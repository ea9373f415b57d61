/**
 * `trunkline check`: connects and says what it found; `--grants` prints the privileges it needs, `--stats` the sizes, `--health`
 * the object that monitoring reads.
 */
import { openSource, resolveSettings } from '../../connectors.js'
import type { Catalog } from '../../model/catalog.js'
import { TrunklineError } from '../../model/error.js'
import type { SchemaStatistics, Source, SourceCheck } from '../../source/contract.js'
import type { FileFlags, Setting } from '../arguments.js'
import { openSetting, toConnection } from '../arguments.js'
import { createCliLogger } from '../cli-logger.js'
import { escapeText } from '../escape.js'
import { EXIT } from '../exit-code.js'
import { formatBytes, formatCount, formatNoun, formatTable } from '../format.js'
import { writeGrants } from '../grants.js'
import { watchInterrupt } from '../interrupt.js'
import { printJson } from '../json-result.js'
import { inProfileWords } from '../profile-errors.js'
import type { OutputFlags, Terminal } from '../terminal.js'

interface CheckFlags extends OutputFlags, FileFlags {
  readonly grants?: boolean
  readonly stats?: boolean
  readonly health?: boolean
  /** Whose tables the health object counts. */
  readonly schema?: string
  readonly role?: string
  readonly select?: readonly string[]
  readonly exclude?: readonly string[]
}

/** Name proposed where the connection's own role is an administrator's. */
const PROPOSED_ROLE = 'trunkline_reader'
const LARGEST_SHOWN = 10

export async function runCheckCommand(
  terminal: Terminal,
  args: readonly string[],
  flags: CheckFlags,
): Promise<number> {
  const setting = await openSetting(flags)
  return inProfileWords(setting.configuration?.profile, () => runCheck(terminal, setting, args, flags))
}

async function runCheck(
  terminal: Terminal,
  setting: Setting,
  args: readonly string[],
  flags: CheckFlags,
): Promise<number> {
  const connection = await toConnection(setting, args[0], terminal)
  using interrupt = watchInterrupt(terminal)
  const { signal } = interrupt
  const logger = createCliLogger(terminal, terminal.note)
  const settings = await resolveSettings(connection, setting.env)
  await using source = await openSource(settings, { logger })
  const schema = flags.schema === undefined ? {} : { schema: flags.schema }
  if (flags.health === true) {
    const health = await source.health({ signal, ...schema })
    await terminal.out(`${JSON.stringify(health, null, 2)}\n`)
    return health.status === 'healthy' ? EXIT.done : EXIT.failed
  }
  const check = await source.check({ signal, statistics: flags.stats === true })
  const catalog = flags.grants === true || flags.stats === true ? await discover(source, flags, signal) : null

  for (const warning of check.warnings)
    terminal.note(`${terminal.style.yellow('warning:')} ${escapeText(warning)}`)
  if (flags.grants === true) {
    await terminal.out(writeGrantsFor(source, check, catalog, flags))
    return EXIT.done
  }
  if (terminal.json) {
    await printJson(terminal, {
      kind: 'check',
      check,
      health: await source.health({ signal, ...schema }),
      ...(catalog === null ? {} : { stats: summarize(catalog) }),
    })
    return EXIT.done
  }
  await terminal.out(`${describeCheck(check)}\n`)
  if (catalog !== null) {
    const chosen = new Set(catalog.streams.map((stream) => stream.schema))
    const schemas = (check.statistics ?? []).filter((statistics) => chosen.has(statistics.schema))
    await terminal.out(`\n${describeStats(catalog)}\n\n${describeSchemas(schemas)}\n`)
  }
  return EXIT.done
}

async function discover(source: Source, flags: CheckFlags, signal: AbortSignal): Promise<Catalog | null> {
  try {
    return await source.discover({ select: flags.select ?? [], exclude: flags.exclude ?? [] }, { signal })
  } catch (error) {
    // A role that sees nothing yet is the very one that needs the script.
    if (flags.grants === true && error instanceof TrunklineError && error.code === 'SELECTION_EMPTY')
      return null
    throw error
  }
}

function describeCheck(check: SourceCheck): string {
  const rows = [
    [
      'server',
      `${shortVersion(check.serverVersionText)}${check.standby ? ', standby' : ', primary'}${check.pooled ? ', behind a pooler' : ''}`,
    ],
    ['connected', check.description],
    ['encryption', check.tls ?? 'none'],
    ['answers', `connected in ${formatMs(check.connectMs)}, a query takes ${formatMs(check.queryMs)}`],
    ['role', `${check.role}${check.privilegedRole ? ' (can do more than read)' : ''}`],
  ]
  return formatTable(
    rows.map(([label, value]) => [label ?? '', escapeText(value ?? '')]),
    new Set(),
  )
}

/** `version()` goes on with compiler and machine. */
function shortVersion(text: string): string {
  const short = /^.*?(?= on \S+, compiled by )/.exec(text)?.[0] ?? text
  return /^\d/.test(short) ? `PostgreSQL ${short}` : short
}

interface CatalogSummary {
  readonly streams: number
  readonly bytes: number
  readonly estimatedRows: number
  readonly neverAnalyzed: number
  readonly withoutKey: readonly string[]
  readonly largest: readonly {
    readonly stream: string
    readonly bytes: number
    readonly estimatedRows: number | null
  }[]
}

function summarize({ streams }: Catalog): CatalogSummary {
  return {
    streams: streams.length,
    bytes: streams.reduce((sum, { bytes }) => sum + bytes, 0),
    estimatedRows: streams.reduce((sum, { estimatedRows }) => sum + (estimatedRows ?? 0), 0),
    neverAnalyzed: streams.filter(({ estimatedRows }) => estimatedRows === null).length,
    withoutKey: streams.filter(({ key }) => key === null).map(({ name }) => name),
    largest: [...streams]
      .sort((a, b) => b.bytes - a.bytes)
      .slice(0, LARGEST_SHOWN)
      .map(({ name, bytes, estimatedRows }) => ({ stream: name, bytes, estimatedRows })),
  }
}

function describeStats(catalog: Catalog): string {
  const summary = summarize(catalog)
  const rows = summary.largest.map(({ stream, bytes, estimatedRows }) => [
    escapeText(stream),
    formatBytes(bytes),
    estimatedRows === null ? 'not analyzed' : `~${formatNoun(estimatedRows, 'row')}`,
  ])
  const notes = [
    `${formatNoun(summary.streams, 'stream')}, ${formatBytes(summary.bytes)}, ~${formatNoun(summary.estimatedRows, 'row')}`,
    ...(summary.neverAnalyzed === 0
      ? []
      : [`${formatCount(summary.neverAnalyzed)} never analyzed: no row estimate`]),
    ...(summary.withoutKey.length === 0
      ? []
      : [`without a key, read in full each run: ${escapeText(summary.withoutKey.join(', '))}`]),
  ]
  return [...notes, '', formatTable(rows, new Set([1, 2]))].join('\n')
}

function describeSchemas(schemas: readonly SchemaStatistics[]): string {
  const heading = ['SCHEMA', 'TABLES', 'SIZE', 'ROWS', 'DEAD ROWS', 'LAST ANALYZE']
  const rows = schemas.map(({ schema, tables, bytes, estimatedRows, deadRows, ...analyzed }) => [
    escapeText(schema),
    formatCount(tables),
    formatBytes(bytes),
    `~${formatCount(estimatedRows)}`,
    `~${formatCount(deadRows)}`,
    `${analyzed.lastAnalyzedAt ?? 'never'}${analyzed.neverAnalyzed === 0 ? '' : ` (${formatCount(analyzed.neverAnalyzed)} never)`}`,
  ])
  return formatTable([heading, ...rows], new Set([1, 2, 3, 4]))
}

function formatMs(milliseconds: number): string {
  return `${milliseconds < 10 ? milliseconds.toFixed(1) : milliseconds.toFixed(0)} ms`
}

function writeGrantsFor(
  source: Source,
  check: SourceCheck,
  catalog: Catalog | null,
  flags: CheckFlags,
): string {
  const role = flags.role ?? (check.privilegedRole ? PROPOSED_ROLE : check.role)
  const streams = catalog?.streams ?? []
  const schemas = [
    ...new Set(streams.length > 0 ? streams.map(({ schema }) => schema) : literalSchemas(flags)),
  ]
  const chosen = flags.select !== undefined && flags.select.every((pattern) => !/[*?]/.test(pattern))
  return writeGrants({
    database: source.database,
    role,
    create: role !== check.role,
    schemas: schemas.length > 0 ? schemas : ['public'],
    tables: chosen && streams.length > 0 ? streams : null,
  })
}

function literalSchemas(flags: CheckFlags): readonly string[] {
  return (flags.select ?? []).flatMap((pattern) => {
    const schema = /^([^"*?.]+)\./.exec(pattern)?.[1]
    return schema === undefined ? [] : [schema]
  })
}
