/** `trunkline run`: checks a pipeline file, then does its steps; `--plan` only shows them. */
import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import {
  openDestination,
  openSource,
  openSqlRehearsal,
  openSqlSession,
  redact,
  resolveSettings,
} from '../../connectors.js'
import { TrunklineError, toErrorData } from '../../model/error.js'
import { compilePipeline } from '../../pipeline/compile.js'
import { PipelineError } from '../../pipeline/pipeline-error.js'
import type { Pipeline, PipelineSource, Step } from '../../pipeline/pipeline.js'
import { formatPlace, type SourceText } from '../../pipeline/source-text.js'
import type { PipelineConnections, PlannedStep, StepReport } from '../../sync/pipeline-runner.js'
import { planPipeline, runPipeline } from '../../sync/pipeline-runner.js'
import type { FileFlags, Setting } from '../arguments.js'
import { configurationOf, openSetting } from '../arguments.js'
import { createCliLogger } from '../cli-logger.js'
import { escapeText } from '../escape.js'
import { EXIT, exitCodeOfError } from '../exit-code.js'
import { formatNoun, formatSeconds } from '../format.js'
import { watchInterrupt } from '../interrupt.js'
import { printJson } from '../json-result.js'
import { createProgressView, formatEvent, type ProgressView } from '../progress-view.js'
import type { OutputFlags, Terminal } from '../terminal.js'

interface RunFlags extends OutputFlags, FileFlags {
  readonly var?: readonly string[]
  readonly plan?: boolean
  readonly allowFolder?: readonly string[]
  readonly adopt?: boolean
  readonly allowPrivilegedRole?: boolean
}

const DEFAULT_DESTINATION = 'warehouse.duckdb'
const IN_MEMORY = ':memory:'

export async function runRunCommand(
  terminal: Terminal,
  args: readonly string[],
  flags: RunFlags,
): Promise<number> {
  const [file = '', stated = DEFAULT_DESTINATION] = args
  const setting = await openSetting(flags)
  await using place = await openPlace(stated)
  try {
    const pipeline = await compileFile(file, setting, flags)
    for (const { span, message } of pipeline.warnings) {
      terminal.note(`${terminal.style.yellow('warning:')} ${escapeText(`${formatPlace(span)}: ${message}`)}`)
    }
    return await (flags.plan === true
      ? showPlan(terminal, pipeline, setting, flags, place.destination)
      : execute(terminal, pipeline, setting, flags, place.destination))
  } catch (error) {
    if (!(error instanceof PipelineError)) throw error
    await reportProblems(terminal, error)
    return exitCodeOfError(error)
  }
}

interface Place extends AsyncDisposable {
  readonly destination: string
}

/** In memory is a private file that goes when the pipeline is done: every step opens it anew. */
async function openPlace(stated: string): Promise<Place> {
  if (stated !== IN_MEMORY) return { destination: stated, [Symbol.asyncDispose]: () => Promise.resolve() }
  const folder = await mkdtemp(path.join(tmpdir(), 'trunkline-run-'))
  return {
    destination: `duckdb:${path.join(folder, 'memory.duckdb')}`,
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  }
}

async function compileFile(file: string, setting: Setting, flags: RunFlags): Promise<Pipeline> {
  const source = readPipelineFile(file)
  const configuration = await configurationOf(setting)
  const connections = [...(configuration?.connections.keys() ?? [])]
  return compilePipeline(source, {
    name: path.basename(file).replace(/\.sf$/i, ''),
    variables: toVariables(flags.var ?? []),
    environment: setting.env,
    connectors: new Map(connections.map((name) => [name, { kind: 'connection' as const }])),
    include: (wanted, from) =>
      readPipelineFile(path.isAbsolute(wanted) ? wanted : path.join(path.dirname(from.file), wanted)),
    adopt: flags.adopt === true,
    allowPrivilegedRole: flags.allowPrivilegedRole === true,
  })
}

function readPipelineFile(file: string): SourceText {
  try {
    return { file: path.normalize(file), text: readFileSync(file, 'utf8') }
  } catch (cause) {
    const missing = (cause as NodeJS.ErrnoException).code === 'ENOENT'
    throw new TrunklineError(
      'CONFIG_INVALID',
      missing ? `${file}: no such file.` : `${file} cannot be read.`,
      {
        hint: 'Name a pipeline file, as pipeline.sf.',
        context: { path: file },
        cause,
      },
    )
  }
}

function toVariables(stated: readonly string[]): Readonly<Record<string, string>> {
  const pairs = stated.map((text) => {
    const match = /^([A-Za-z_]\w*)=([^]*)$/.exec(text)
    if (match !== null) return [match[1] ?? '', match[2] ?? ''] as const
    throw new TrunklineError('CONFIG_INVALID', '--var: write NAME=VALUE.', { hint: 'As in --var region=eu.' })
  })
  return Object.fromEntries(pairs)
}

function makeConnections(
  setting: Setting,
  flags: RunFlags,
  destination: string,
  logger: ReturnType<typeof createCliLogger>,
): PipelineConnections {
  const sql = {
    allowedFolders: [process.cwd(), ...(flags.allowFolder ?? [])],
    adopt: flags.adopt === true,
  }
  return {
    openSource: async (source, limits) => {
      const settings = await resolveSettings(await toInput(source, setting), setting.env)
      return openSource(settings, { logger, limits, searchPath: [source.schema] })
    },
    openDestination: () => openDestination(destination, { logger, env: setting.env }),
    openSession: () => openSqlSession(destination, sql),
    openRehearsal: () => openSqlRehearsal(destination, sql),
  }
}

/** A connection of the configuration with what the pipeline says laid over it, or what the pipeline says alone. */
async function toInput(
  { connection, options }: PipelineSource,
  setting: Setting,
): Promise<Parameters<typeof resolveSettings>[0]> {
  if (connection === null) return { options, place: null }
  const known = (await configurationOf(setting))?.connections.get(connection)
  return known === undefined
    ? { options, place: null }
    : { ...known, options: { ...known.options, ...options } }
}

async function showPlan(
  terminal: Terminal,
  pipeline: Pipeline,
  setting: Setting,
  flags: RunFlags,
  destination: string,
): Promise<number> {
  const logger = createCliLogger(terminal, terminal.note)
  using interrupt = watchInterrupt(terminal)
  const steps = await planPipeline({
    pipeline,
    connections: makeConnections(setting, flags, destination, logger),
    signal: interrupt.signal,
    logger,
  })
  if (terminal.json)
    await printJson(terminal, {
      kind: 'pipeline_plan',
      pipeline: pipeline.name,
      destination: redact(destination),
      steps,
    })
  else await terminal.out(steps.map((step) => describePlanned(step, terminal)).join(''))
  return EXIT.done
}

function describePlanned(step: PlannedStep, { style }: Terminal): string {
  const mode = step.mode === null ? '' : `, ${step.mode}`
  const heading = `${step.index + 1}. ${style.bold(`${NAMES[step.kind]} ${escapeText(step.target)}`)}${mode}`
  const lines = [style.dim(step.place)]
  if (step.source !== null) lines.push(`from ${escapeText(step.source)}`)
  if (step.stream !== null) lines.push(escapeText(`${step.stream.stream}: ${step.stream.promise}`))
  for (const warning of step.stream?.warnings ?? []) lines.push(escapeText(warning))
  if (step.sql !== null) lines.push(...step.sql.split(/\r\n|\r|\n/).map((line) => escapeText(line)))
  return `${heading}\n${lines.map((line) => `     ${line}\n`).join('')}`
}

const NAMES: Readonly<Record<Step['kind'], string>> = {
  load: 'LOAD',
  create: 'CREATE TABLE',
  export: 'EXPORT',
}

async function execute(
  terminal: Terminal,
  pipeline: Pipeline,
  setting: Setting,
  flags: RunFlags,
  destination: string,
): Promise<number> {
  using interrupt = watchInterrupt(terminal)
  let view: ProgressView | null = null
  const note = (line: string): void => {
    if (view === null) terminal.note(line)
    else view.note(line)
  }
  const logger = createCliLogger(terminal, note)
  const closeView = async (): Promise<void> => {
    await view?.close()
    view = null
  }
  try {
    const report = await runPipeline({
      pipeline,
      connections: makeConnections(setting, flags, destination, logger),
      signal: interrupt.signal,
      logger,
      onStepStarted: (step) => {
        if (step.kind !== 'load') return
        view = createProgressView(terminal)
        view.start()
      },
      onProgress: (event) => view?.onProgress(event),
      onStepFinished: async (step) => {
        await closeView()
        if (!terminal.json) await terminal.out(`${describeStep(step)}\n`)
      },
    })
    if (terminal.json) {
      const steps = report.steps.map(({ run, ...step }) => ({ ...step, runId: run?.runId ?? null }))
      await printJson(terminal, { kind: 'pipeline', ...report, steps })
    } else {
      const steps = formatNoun(report.steps.length, 'step')
      await terminal.out(`${escapeText(pipeline.name)}: ${steps} in ${formatSeconds(report.seconds)}\n`)
    }
    return EXIT.done
  } finally {
    await closeView()
  }
}

function describeStep({ kind, target, rows, seconds }: StepReport): string {
  return `${NAMES[kind]} ${escapeText(target)}: ${formatNoun(rows, 'row')} in ${formatSeconds(seconds)}`
}

/** Each problem with the line of the file and a caret under the place. */
async function reportProblems(terminal: Terminal, error: PipelineError): Promise<void> {
  const { style } = terminal
  if (error.problems.length > 1) terminal.note(style.red('Multiple errors found:'))
  for (const { code, file, line, column, message, hint, excerpt } of error.problems) {
    terminal.note(`${style.red('error:')} ${escapeText(`${file}:${line}:${column}: ${message}`)}`)
    for (const shown of excerpt) terminal.note(`  ${shown.split('\t').map(escapeText).join('\t')}`)
    if (hint !== null) terminal.note(`  ${style.bold('→')} ${escapeText(hint)}`)
    terminal.note(style.dim(`  ${code}`))
  }
  if (!terminal.json) return
  const { stack: _, ...data } = toErrorData(error)
  await terminal.out(formatEvent({ kind: 'error', error: data }))
}
