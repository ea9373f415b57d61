/** Compiles the text of a pipeline file with nothing around it, and shows what is wrong with it as a person sees it. */
import { compilePipeline, type CompileOptions } from '../../src/pipeline/compile.js'
import { PipelineError } from '../../src/pipeline/pipeline-error.js'
import type { LoadStep, Pipeline } from '../../src/pipeline/pipeline.js'
import { TrunklineError } from '../../src/model/error.js'

export interface Around extends Partial<CompileOptions> {
  /** Files that can be included, by name. */
  readonly files?: Readonly<Record<string, string>>
}

export function compileText(text: string, around: Around = {}): Pipeline {
  const { files = {}, ...options } = around
  return compilePipeline(
    { file: 'shop.sf', text },
    {
      name: 'shop',
      variables: {},
      environment: {},
      connectors: new Map(),
      include: (path) => {
        const included = files[path]
        if (included === undefined) throw new TrunklineError('CONFIG_INVALID', `${path}: no such file.`)
        return { file: path, text: included }
      },
      ...options,
    },
  )
}

/** The problems of a text, each as `line:column message`, with the marked piece of the line. */
export function problemsOf(text: string, around: Around = {}): readonly string[] {
  return errorOf(text, around).problems.map(({ line, column, message }) => `${line}:${column} ${message}`)
}

export function errorOf(text: string, around: Around = {}): PipelineError {
  try {
    compileText(text, around)
  } catch (error) {
    if (error instanceof PipelineError) return error
    throw error
  }
  throw new Error('The text compiled.')
}

/** The first LOAD. */
export function loadOf(pipeline: Pipeline): LoadStep {
  const step = pipeline.steps.find((candidate) => candidate.kind === 'load')
  if (step === undefined) throw new Error('There is no LOAD.')
  return step
}

/** A source that is complete, for texts about something else. */
export const ORDERS =
  'SOURCE orders TYPE POSTGRES PARAMS {"host": "h", "database": "d", "username": "u", "table": "orders"};\n'
