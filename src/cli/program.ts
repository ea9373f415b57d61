/** The commands. What one needs is imported when it runs, so that `--help` is fast. */
import { readFileSync } from 'node:fs'
import { Command } from 'commander'
import { reportError } from './error-report.js'
import { EXIT, exitCodeOfError } from './exit-code.js'
import { addSyncFlags } from './sync-flags.js'
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
    .description('Copies PostgreSQL tables into DuckDB, again and again, exactly.')
    .version(readVersion(), '--version')
    .exitOverride()
    .showHelpAfterError('(--help tells more)')
    .addHelpText('after', EXAMPLES)

  addSyncFlags(command(program, 'sync', 'copy what changed (the first time: everything)'))
    .argument('[source]', 'postgresql://user@host/database, or a sync of trunkline.yaml')
    .argument('[destination...]', 'FILE.duckdb or duckdb:FILE?publish=atomic')
    .option('-c, --config <file>', 'configuration file (default: trunkline.yaml here)')
    .option('--yes', 'do not ask before a large first load')
    .option('--confirm-above <size>', 'ask before a first load larger than this (default: 10GiB)')
    .action(start(async (...call) => (await import('./commands/sync.js')).runSyncCommand(...call)))

  return program
}

function command(program: Command, name: string, description: string): Command {
  return program
    .command(name)
    .description(description)
    .option('--json', 'newline-delimited JSON on stdout')
    .option('-q, --quiet', 'no progress')
    .option('-v, --verbose', 'log more, and what caused an error')
}

async function reportFailure(terminal: Terminal, error: unknown): Promise<void> {
  reportError(terminal, error)
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
