/** What is wrong with a pipeline file, each thing with its place. */
import { TrunklineError, type ErrorCode } from '../model/error.js'
import { excerptOf, formatPlace, placeOf, type Place, type Span } from './source-text.js'

export interface Diagnostic {
  readonly code: ErrorCode
  readonly message: string
  readonly hint: string | null
  readonly span: Span
  readonly cause?: unknown
}

/** One thing that is wrong, as plain data. */
export interface PipelineProblem extends Place {
  readonly code: ErrorCode
  readonly file: string
  readonly message: string
  readonly hint: string | null
  /** The line of the file, and a line with a caret below the place. */
  readonly excerpt: readonly [line: string, caret: string]
}

const MULTIPLE = 'Multiple errors found:'
/** Beyond this, one mistake has most likely made the rest. */
const MAX_PROBLEMS = 20

/** Its code is that of the first problem; `problems` are in the order of the text. */
export class PipelineError extends TrunklineError {
  readonly problems: readonly PipelineProblem[]
  readonly diagnostics: readonly Diagnostic[]

  constructor(diagnostics: readonly [Diagnostic, ...Diagnostic[]]) {
    const [first] = diagnostics
    const lines = diagnostics.map(({ span, message }) => `${formatPlace(span)}: ${message}`)
    super(first.code, lines.length === 1 ? (lines[0] ?? '') : [MULTIPLE, ...lines].join('\n'), {
      ...(first.hint === null ? {} : { hint: first.hint }),
      ...(first.cause === undefined ? {} : { cause: first.cause }),
      ...(first.cause instanceof TrunklineError ? { retry: first.cause.retry } : {}),
      context: { path: first.span.source.file },
    })
    this.name = 'PipelineError'
    this.diagnostics = diagnostics
    this.problems = diagnostics.map(({ code, message, hint, span }) => ({
      code,
      file: span.source.file,
      ...placeOf(span),
      message,
      hint,
      excerpt: excerptOf(span),
    }))
  }
}

export interface FailureOptions {
  readonly code?: ErrorCode
  readonly hint?: string
  readonly cause?: unknown
}

/** An error with one problem; CONFIG_INVALID unless stated. */
export function failure(span: Span, message: string, options: FailureOptions = {}): PipelineError {
  return new PipelineError([toDiagnostic(span, message, options)])
}

function toDiagnostic(span: Span, message: string, options: FailureOptions): Diagnostic {
  const { code = 'CONFIG_INVALID', hint = null, cause } = options
  return { code, message, hint, span, ...(cause === undefined ? {} : { cause }) }
}

/** Gathers problems, so that all of a file are told at once. When there are very many, nothing more is attempted. */
export class ProblemList {
  readonly #diagnostics: Diagnostic[] = []

  /** Runs a part of the work; what is wrong with it is noted and null comes back. */
  attempt<T>(work: () => T): T | null {
    if (this.isFull) return null
    try {
      return work()
    } catch (error) {
      this.add(error)
      return null
    }
  }

  get isFull(): boolean {
    return this.#diagnostics.length >= MAX_PROBLEMS
  }

  /** @throws what is no {@link PipelineError} */
  add(error: unknown): void {
    if (!(error instanceof PipelineError)) throw error
    this.#diagnostics.push(...error.diagnostics.slice(0, MAX_PROBLEMS - this.#diagnostics.length))
  }

  /** @throws PipelineError when there is any problem */
  assertNone(): void {
    const [first, ...rest] = this.#diagnostics
    if (first !== undefined) throw new PipelineError([first, ...rest])
  }
}
