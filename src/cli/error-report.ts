/** An error as a person reads it: what and where, what to do next, the code; with -v what caused it. */
import type { ErrorContext, ErrorData } from '../model/error.js'
import { TrunklineError, toErrorData } from '../model/error.js'
import { escapeText } from './escape.js'
import type { Terminal } from './terminal.js'

const MAX_CAUSES = 10

export function reportError(terminal: Terminal, error: unknown): void {
  const { message } = toErrorData(error)
  terminal.note(`${terminal.style.red('error:')} ${escapeText(message)}`)
  reportDetails(terminal, error)
}

/** What stands below the sentence that says what went wrong. */
export function reportDetails(terminal: Terminal, error: unknown): void {
  const { style } = terminal
  const data = toErrorData(error)
  for (const line of describeContext(data)) terminal.note(`  ${line}`)
  if (data.hint !== undefined) terminal.note(`  ${style.bold('→')} ${escapeText(data.hint)}`)
  terminal.note(style.dim(`  ${data.code}`))
  if (!(error instanceof TrunklineError)) {
    terminal.note(
      '  This is a defect in Trunkline. Please report it with the output of the same command and -v.',
    )
  }
  if (terminal.verbose) {
    for (const cause of causesOf(error)) terminal.note(style.dim(`  caused by: ${cause}`))
    const stack = error instanceof Error ? error.stack : undefined
    if (stack !== undefined) for (const line of stackLines(stack)) terminal.note(style.dim(`  ${line}`))
  }
}

/** One line, for a stream among others. */
export function describeError(error: ErrorData): string {
  const hint = error.hint === undefined ? '' : ` → ${error.hint}`
  return escapeText(`${error.message}${hint} (${error.code})`)
}

/** What the message does not say already. */
function describeContext({ message, context }: ErrorData): readonly string[] {
  const labels: readonly (readonly [keyof ErrorContext, string])[] = [
    ['stream', 'stream'],
    ['field', 'field'],
    ['byteOffset', 'byte offset'],
    ['sqlstate', 'SQLSTATE'],
  ]
  return labels.flatMap(([key, label]) => {
    const value = context[key]
    if (value === undefined || message.includes(String(value))) return []
    return [`${label}: ${escapeText(String(value))}`]
  })
}

function causesOf(error: unknown): readonly string[] {
  const causes: string[] = []
  let cause = error instanceof Error ? error.cause : undefined
  while (cause !== undefined && cause !== null && causes.length < MAX_CAUSES) {
    causes.push(
      escapeText(cause instanceof Error ? `${cause.name}: ${cause.message}` : JSON.stringify(cause)),
    )
    cause = cause instanceof Error ? cause.cause : undefined
  }
  return causes
}

function stackLines(stack: string): readonly string[] {
  return stack
    .split('\n')
    .filter((line) => /^\s+at /.test(line))
    .map((line) => escapeText(line.trim()))
}
