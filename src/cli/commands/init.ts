/** `trunkline init`: writes a commented trunkline.yaml, from flags or after asking. */
import { open } from 'node:fs/promises'
import { resolve } from 'node:path'
import { parseConfiguration } from '../../config/configuration.js'
import { holdsPassword, isConnectionString, isLocal } from '../../config/connection-input.js'
import { parseDestination } from '../../config/destination-text.js'
import { TrunklineError } from '../../model/error.js'
import { openQuestions } from '../ask.js'
import { escapeText } from '../escape.js'
import { EXIT } from '../exit-code.js'
import { watchInterrupt } from '../interrupt.js'
import type { OutputFlags, Terminal } from '../terminal.js'

interface InitFlags extends OutputFlags {
  readonly config?: string
  readonly name?: string
  readonly select?: readonly string[]
}

interface Answers {
  readonly url: string
  readonly name: string
  readonly destination: string
  readonly select: readonly string[]
}

export async function runInitCommand(
  terminal: Terminal,
  args: readonly string[],
  flags: InitFlags,
): Promise<number> {
  const path = resolve(flags.config ?? 'trunkline.yaml')
  using interrupt = watchInterrupt(terminal)
  const answers = await collectAnswers(terminal, args, flags, interrupt.signal)
  const text = writeConfiguration(answers)
  // What is written must be what is read: a slip here is ours, and shows before the file is there.
  parseConfiguration(text, 'trunkline.yaml', path, { DATABASE_URL: answers.url })
  await writeNew(path, text)
  terminal.note(`Wrote ${escapeText(path)}. Look at it, then:`)
  await terminal.out(holdsPassword(answers.url) ? 'export DATABASE_URL=…\n' : '')
  await terminal.out('trunkline plan\ntrunkline sync\n')
  return EXIT.done
}

async function collectAnswers(
  terminal: Terminal,
  args: readonly string[],
  flags: InitFlags,
  signal: AbortSignal,
): Promise<Answers> {
  const [statedUrl, statedDestination] = args
  if (statedUrl !== undefined) {
    const url = checkUrl(statedUrl)
    const name = flags.name ?? databaseOf(url) ?? 'main'
    const destination = statedDestination ?? `duckdb:${name}.duckdb`
    parseDestination(destination)
    return { url, name, destination, select: flags.select ?? [] }
  }
  if (!terminal.canAsk) {
    throw new TrunklineError('CONFIG_INVALID', 'Nobody is here to answer questions.', {
      hint: "Say it all: trunkline init postgresql://user@host/shop duckdb:shop.duckdb --select 'public.*'",
    })
  }
  using questions = openQuestions(signal)
  const url = checkUrl(await questions.ask('Database (postgresql://user@host:port/database)', ''))
  const name = flags.name ?? (await questions.ask('Name of the sync', databaseOf(url) ?? 'main'))
  const destination = await questions.ask('Destination', `duckdb:${name}.duckdb`)
  parseDestination(destination)
  const select = await questions.ask('Streams, as public.* (empty: everything the role may read)', '')
  return { url, name, destination, select: select === '' ? [] : select.split(/[\s,]+/) }
}

function writeConfiguration({ url, name, destination, select }: Answers): string {
  const secret = holdsPassword(url)
  const host = hostOf(url)
  const needsMode = host !== null && !isLocal(host) && !/[?&\s]sslmode=/.test(url)
  return [
    '# Trunkline: what is copied, and where to. docs/reference/configuration.md lists every key.',
    '# yaml-language-server: $schema=./node_modules/trunkline/docs/reference/trunkline.schema.json',
    'version: 1',
    '',
    'connections:',
    `  ${quote(name)}:`,
    ...(secret
      ? [
          '    # Holds a password: kept out of this file, in the environment or in .env beside it.',
          '    url: ${DATABASE_URL}',
        ]
      : [`    url: ${quote(escapeReferences(url))}`]),
    ...(needsMode
      ? [
          "    # The server's certificate is verified. With a private authority, name its file:",
          '    sslmode: verify-full',
          '    # sslrootcert: /path/to/ca.crt',
        ]
      : []),
    '    # The password comes from PGPASSWORD, ~/.pgpass, or a command that prints it:',
    '    # password_command: "vault kv get -field=password secret/shop"',
    '',
    'syncs:',
    `  ${quote(name)}:`,
    `    source: ${quote(name)}`,
    `    destination: ${quote(escapeReferences(destination))}`,
    ...writeStreams(select),
    '    # limits: { max_connections: 4, max_snapshot_age: 2h }',
    '',
  ].join('\n')
}

const STREAM_EXAMPLES = [
  "'public.audit_*': { disabled: true }",
  'public.users: { exclude_columns: [ssn] }',
  'public.events: { mode: incremental, landing: append }',
  'public.invoices: { types: { amount: "decimal(18,2)" } }',
  'recent_orders: { sql: "select * from public.orders where total > 0", primary_key: [id], mode: full_refresh }',
]

/** Nothing listed is everything: then the whole block is a comment. */
function writeStreams(select: readonly string[]): readonly string[] {
  const start = select.length === 0 ? '    # streams:' : '    streams:'
  return [
    '    # Pattern: options. What is listed is copied; of the patterns that match a stream, the most specific wins, key by key.',
    start,
    ...select.map((pattern) => `      ${quote(pattern)}: {}`),
    ...STREAM_EXAMPLES.map((example) => (select.length === 0 ? `    #   ${example}` : `      # ${example}`)),
  ]
}

/** A double-quoted YAML scalar where a plain one could be read as something else. */
function quote(text: string): string {
  return /^[A-Za-z_][\w.-]*$/.test(text) && !/^(true|false|null|yes|no|on|off)$/i.test(text)
    ? text
    : JSON.stringify(text)
}

function escapeReferences(text: string): string {
  return text.replaceAll('${', '$${')
}

function checkUrl(url: string): string {
  if (isConnectionString(url)) return url
  throw new TrunklineError('CONFIG_INVALID', 'The database is not a connection string.', {
    hint: 'Write postgresql://user@host:port/database, or keywords as in "host=db dbname=shop".',
  })
}

function databaseOf(url: string): string | null {
  const name =
    /^postgres(?:ql)?:\/\/[^/?]*\/([^?]+)/.exec(url)?.[1] ?? /(?:^|\s)dbname\s*=\s*'?([^\s']+)/.exec(url)?.[1]
  if (name === undefined) return null
  try {
    return decodeURIComponent(name)
  } catch {
    return name
  }
}

function hostOf(url: string): string | null {
  const authority = /^postgres(?:ql)?:\/\/(?:[^/?@]*@)?([^/?]*)/.exec(url)?.[1]
  const host =
    authority === undefined
      ? /(?:^|\s)host(?:addr)?\s*=\s*'?([^\s']+)/.exec(url)?.[1]
      : authority.split(',')[0]?.replace(/:\d*$/, '')
  return host === undefined || host === '' ? null : decodeURIComponent(host)
}

/** Created exclusively: a file that is there is never touched. */
async function writeNew(path: string, text: string): Promise<void> {
  try {
    const file = await open(path, 'wx', 0o600)
    try {
      await file.writeFile(text)
    } finally {
      await file.close()
    }
  } catch (cause) {
    const exists = (cause as NodeJS.ErrnoException).code === 'EEXIST'
    throw new TrunklineError(
      'CONFIG_INVALID',
      exists ? `${path} is already there.` : `${path} cannot be written.`,
      {
        hint: exists
          ? 'Edit it, or move it away; it is never overwritten.'
          : 'Choose a directory that you may write.',
        context: { path },
        cause,
      },
    )
  }
}
