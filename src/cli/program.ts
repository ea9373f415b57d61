/** The commands. What one needs is imported when it runs, so that `--help` is fast. */
import { readFileSync } from 'node:fs'
import { Argument, Command, Option } from 'commander'
import { reportError } from './error-report.js'
import { EXIT, exitCodeOfError } from './exit-code.js'
import { addSyncFlags, collect } from './declare-sync-flags.js'
import type { OutputFlags, Terminal } from './terminal.js'
import { openTerminal } from './terminal.js'

/** Runs the command line; gives the exit code. */
export async function run(argv: readonly string[]): Promise<number> {
  let exitCode: number = EXIT.done
  const start = <Flags extends OutputFlags>(
    action: (terminal: Terminal, args: readonly string[], flags: Flags) => Promise<number>,
  ) =>
    async function (this: Command): Promise<void> {
      const flags = this.optsWithGlobals<Flags>()
      const terminal = openTerminal(flags, process.env)
      try {
        exitCode = await action(terminal, this.args, flags)
      } catch (error) {
        exitCode = terminal.outClosed.aborted ? EXIT.done : exitCodeOfError(error)
        if (!terminal.outClosed.aborted) await reportFailure(terminal, error)
      }
      await terminal.flush()
    }

  const program = createProgram(start)
  try {
    await program.parseAsync([...argv], { from: 'user' })
  } catch (error) {
    const { code, exitCode: stated } = error as { code?: unknown; exitCode?: unknown }
    // Commander has said what is wrong, or has printed the help that was asked for.
    if (typeof code === 'string' && code.startsWith('commander.'))
      return stated === 0 ? EXIT.done : EXIT.configuration
    throw error
  }
  return exitCode
}

type Start = <Flags extends OutputFlags>(
  action: (terminal: Terminal, args: readonly string[], flags: Flags) => Promise<number>,
) => (this: Command) => Promise<void>

function createProgram(start: Start): Command {
  const program = new Command('trunkline')
    .description('Copies PostgreSQL tables into DuckDB, PostgreSQL and files, again and again, exactly.')
    .version(readVersion(), '--version')
    .exitOverride()
    .showHelpAfterError('(--help tells more)')
    .addHelpText('after', EXAMPLES)

  addSyncFlags(command(program, 'sync', 'copy what changed; the first time, everything'))
    .argument('[source]', SOURCE)
    .argument('[destination...]', DESTINATION)
    .option('-c, --config <file>', CONFIG)
    .option('--yes', 'do not ask before a large first load')
    .option('--confirm-above <size>', 'ask before a first load larger than this (default: 10GiB)')
    .action(start(async (...call) => (await import('./commands/sync.js')).runSyncCommand(...call)))

  addSyncFlags(command(program, 'plan', 'show what a sync would do and promise, stream by stream'))
    .argument('[source]', SOURCE)
    .argument('[destination...]', DESTINATION)
    .option('-c, --config <file>', CONFIG)
    .action(start(async (...call) => (await import('./commands/plan.js')).runPlanCommand(...call)))

  command(program, 'run', 'run a pipeline file of SOURCE, LOAD, CREATE TABLE and EXPORT')
    .argument('<pipeline>', 'FILE.sf')
    .argument('[destination]', `${DESTINATION}, or :memory: (default: warehouse.duckdb)`)
    .option('--var <name=value>', 'a variable of the pipeline (repeatable)', collect)
    .option('--plan', 'check everything and show the steps, without doing them')
    .option('--allow-folder <folder>', 'SQL may read and write there, too (repeatable)', collect)
    .option('--adopt', 'take over tables that the pipeline did not make')
    .option('--allow-privileged-role', 'let queries run under a role that can do more than read')
    .option('-c, --config <file>', CONFIG)
    .action(start(async (...call) => (await import('./commands/run.js')).runRunCommand(...call)))

  addSelection(command(program, 'check', 'connect and say what is found there'))
    .argument('[source]', SOURCE)
    .option('-c, --config <file>', CONFIG)
    .option('--grants', 'print the privileges needed, as SQL for an administrator')
    .option('--role <name>', 'the role that --grants is for')
    .option('--stats', 'say how much there is to copy, by schema and table')
    .option('--health', 'print whether it can be used now, as JSON for monitoring; exit 1 where not')
    .option('--schema <name>', 'whose tables --health counts (default: public)')
    .action(start(async (...call) => (await import('./commands/check.js')).runCheckCommand(...call)))

  addSelection(command(program, 'discover', 'list the streams of a database'))
    .argument('[source]', SOURCE)
    .option('-c, --config <file>', CONFIG)
    .option('--typescript', 'as interfaces of the rows that the library gives')
    .action(start(async (...call) => (await import('./commands/discover.js')).runDiscoverCommand(...call)))

  command(program, 'read', 'write the rows of one stream, or of a query, to stdout')
    .argument('[source]', SOURCE)
    .argument('[stream]', 'schema.table')
    .option('-c, --config <file>', CONFIG)
    .addOption(
      new Option('--format <format>', 'how rows are written')
        .choices(['jsonl', 'csv', 'arrow', 'copy'])
        .default('jsonl'),
    )
    .option('--format-option <name=value>', 'how exactly, as header=false for csv (repeatable)', collect)
    .option('-o, --output <file>', 'write to this file instead; it is there when it is whole')
    .option('--sql <query>', 'one SELECT, instead of a stream')
    .option('--columns <names>', 'only these columns, separated by commas (repeatable)', collect)
    .option('--exclude-columns <names>', 'all columns but these (repeatable)', collect)
    .option('--where <condition>', 'only rows that satisfy it')
    .option('--limit <rows>', 'stop after so many rows')
    .option('--read-method <method>', 'copy, named (a cursor at the server) or client (one query)')
    .option('--batch-size <rows>', 'most rows in a batch, and in a FETCH of a cursor')
    .option('--allow-privileged-role', 'let --sql run under a role that can do more than read')
    .action(start(async (...call) => (await import('./commands/read.js')).runReadCommand(...call)))

  command(program, 'status', 'show how fresh a destination is')
    .argument('[destination]', DESTINATION)
    .option('-c, --config <file>', CONFIG)
    .option('--sync <name>', 'only this sync')
    .option('--max-age <duration>', 'exit with 1 when a stream is older, as 2h')
    .action(start(async (...call) => (await import('./commands/status.js')).runStatusCommand(...call)))

  command(program, 'gc', 'remove files that no table of a destination of files needs any more')
    .argument('[destination]', DESTINATION)
    .option('-c, --config <file>', CONFIG)
    .option('--sync <name>', 'the destination of this sync')
    .option('--older-than <age>', 'leave younger files alone (default: 24h)')
    .option('--dry-run', 'only say what would be removed')
    .action(start(async (...call) => (await import('./commands/gc.js')).runGcCommand(...call)))

  addStateCommands(program, start)

  command(program, 'serve', 'serve rows, health, metrics and runs over HTTP')
    .argument('[source]', `${SOURCE} (default: all of the configuration)`)
    .option('-c, --config <file>', CONFIG)
    .option('--port <port>', 'where to listen (default: 8080, or PORT)')
    .option('--host <address>', 'where to listen (default: 127.0.0.1)')
    .option('--open <what>', 'health, metrics or both: answered without a token (repeatable)', collect)
    .option('--no-token', 'ask for no token: whoever can connect may do everything')
    .option('--max-extractions <n>', 'extractions at the same time (default: 4)')
    .option('--max-runs <n>', 'runs at the same time (default: 1)')
    .option('--grace <duration>', 'how long extractions may go on after a stop (default: 30s)')
    .option('--client-timeout <duration>', 'leave a client that takes nothing for so long (default: 2m)')
    .addOption(
      new Option('--log-level <level>', 'how much is logged').choices(['error', 'warn', 'info', 'debug']),
    )
    .option('--allow-inline', 'let requests bring SQL, and connections to hosts of --allow-host')
    .option('--allow-host <host>', 'name, address or network of inline connections (repeatable)', collect)
    .option('--allow-privileged-role', 'read as a role that can do more than read')
    .action(start(async (...call) => (await import('./commands/serve.js')).runServeCommand(...call)))

  command(program, 'init', 'write a commented trunkline.yaml')
    .argument('[source]', SOURCE)
    .argument('[destination]', DESTINATION)
    .option('-c, --config <file>', 'where to write it (default: trunkline.yaml)')
    .option('-s, --select <pattern>', "streams to read, as 'public.*' (repeatable)", collect)
    .option('--name <name>', 'name of the sync (default: the database)')
    .action(start(async (...call) => (await import('./commands/init.js')).runInitCommand(...call)))

  command(program, 'schema', 'print a JSON Schema: of trunkline.yaml, or of the events of --json')
    .addArgument(
      new Argument('[which]', 'which schema').choices(['configuration', 'events']).default('configuration'),
    )
    .action(
      start(async (terminal, args) =>
        (await import('./commands/schema.js')).runSchemaCommand(terminal, args),
      ),
    )

  return program
}

function addStateCommands(program: Command, start: Start): void {
  const state = program.command('state').description('show and change what is saved of a stream')
  command(state, 'show', 'what is saved of each stream')
    .argument('[stream]', 'only this stream')
    .argument('[destination]', DESTINATION)
    .option('-c, --config <file>', CONFIG)
    .option('--sync <name>', 'only this sync')
    .action(start(async (...call) => (await import('./commands/state.js')).runStateShowCommand(...call)))
  const edits = {
    pause: 'leave the stream out of runs',
    resume: 'take a paused stream into runs again',
    skip: "keep the stream's present rows and read it no more until it is resumed",
    resync: 'load the stream anew in the next run',
  } as const
  for (const [name, description] of Object.entries(edits) as [keyof typeof edits, string][]) {
    command(state, name, description)
      .argument('<stream>', 'schema.table')
      .argument('[destination]', DESTINATION)
      .option('-c, --config <file>', CONFIG)
      .option('--sync <name>', 'the sync, where several have this stream')
      .action(
        start(async (...call) => (await import('./commands/state.js')).runStateEditCommand(name, ...call)),
      )
  }
}

const SOURCE = 'postgresql://user@host/database, or a name of trunkline.yaml'
const DESTINATION =
  'FILE.duckdb, parquet:DIR, arrow:, csv: or jsonl:DIR, each also as parquet:s3://…, or postgresql://…'
const CONFIG = 'configuration file (default: trunkline.yaml here)'

function addSelection(command: Command): Command {
  return command
    .option('-s, --select <pattern>', "streams, as 'public.*' (repeatable)", collect)
    .option('--exclude <pattern>', 'streams to leave out (repeatable)', collect)
}

function command(program: Command, name: string, description: string): Command {
  return program
    .command(name)
    .description(description)
    .option('--json', 'JSON on stdout, a document a line')
    .option('-q, --quiet', 'no progress')
    .option('-v, --verbose', 'log more, and what caused an error')
}

async function reportFailure(terminal: Terminal, error: unknown): Promise<void> {
  const { reportInWords } = await import('./profile-errors.js')
  if (!reportInWords(terminal, error)) reportError(terminal, error)
  if (!terminal.json) return
  const [{ toErrorData }, { formatEvent }] = await Promise.all([
    import('../model/error.js'),
    import('./progress-view.js'),
  ])
  const { stack: _, ...data } = toErrorData(error)
  await terminal.out(formatEvent({ kind: 'error', error: data }))
}

function readVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
  return (JSON.parse(text) as { version: string }).version
}

const EXAMPLES = `
Examples:
  trunkline sync postgresql://reader@db/shop shop.duckdb
  trunkline sync postgresql://reader@db/shop shop.duckdb -s 'public.*' --exclude '*.audit_*'
  trunkline plan postgresql://reader@db/shop shop.duckdb
`
