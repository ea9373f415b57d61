/**
 * Variables: `${name}`, `${name|default}`, and outside of quotes also `$name`. Replaced once: what a variable holds is never
 * looked into again. One that is not set and has no default is an error, `$${` is a literal `${`.
 */
import { failure } from './pipeline-error.js'
import type { SourceText, Span } from './source-text.js'

/** From the strongest to the weakest; `assigned` is what SET says. */
export interface VariableLayers {
  readonly given: Readonly<Record<string, string>>
  readonly profile: Readonly<Record<string, string>>
  readonly assigned: ReadonlyMap<string, string>
  readonly environment: Readonly<Record<string, string | undefined>>
}

export interface Reference {
  readonly name: string
  /** Null: none. */
  readonly fallback: string | null
  /** Where the text goes on. */
  readonly end: number
}

const NAME = /[A-Za-z_]\w*/y
const MALFORMED = 'A `${…}` is not a variable.'
const MALFORMED_HINT =
  "Write `${name}`, `${name|default}` or `${name|'a default'}`; for a literal `${` write `$${`."

/**
 * The reference that begins with the `${` at an offset.
 * @throws PipelineError
 */
export function parseReference(source: SourceText, start: number): Reference {
  const reference = findReference(source.text, start)
  if (reference !== null) return reference
  throw failure({ source, start, end: start + 2 }, MALFORMED, { hint: MALFORMED_HINT })
}

/** Null where what begins there is malformed. */
function findReference(text: string, start: number): Reference | null {
  let at = skipSpaces(text, start + 2)
  NAME.lastIndex = at
  const name = NAME.exec(text)?.[0]
  if (name === undefined) return null
  at = skipSpaces(text, at + name.length)
  if (text[at] === '}') return { name, fallback: null, end: at + 1 }
  if (text[at] !== '|') return null
  at = skipSpaces(text, at + 1)
  const quote = text[at]
  if (quote === "'" || quote === '"') {
    const close = endOfQuoted(text, at, quote)
    const end = close === null ? null : skipSpaces(text, close + 1)
    if (close === null || end === null || text[end] !== '}') return null
    const fallback = text.slice(at + 1, close).replaceAll(/\\(['"\\])/g, '$1')
    return { name, fallback, end: end + 1 }
  }
  // On one line: a brace that is forgotten must not swallow the file.
  const close = text.slice(at).search(/[}\r\n]/)
  if (close < 0 || text[at + close] !== '}') return null
  const fallback = text.slice(at, at + close).trimEnd()
  // One within another would be cut at the first brace.
  return fallback.includes('${') ? null : { name, fallback, end: at + close + 1 }
}

function skipSpaces(text: string, from: number): number {
  let at = from
  while (text[at] === ' ' || text[at] === '\t') at++
  return at
}

function endOfQuoted(text: string, start: number, quote: string): number | null {
  for (let at = start + 1; at < text.length; at++) {
    if (text[at] === '\\') at++
    else if (text[at] === quote) return at
    else if (text[at] === '\n' || text[at] === '\r') return null
  }
  return null
}

/** @throws PipelineError with CONFIG_UNSET_VARIABLE */
export function valueOf(
  reference: Pick<Reference, 'name' | 'fallback'>,
  layers: VariableLayers,
  span: Span,
): string {
  const { name, fallback } = reference
  const value = lookUp(name, layers) ?? fallback
  if (value !== null) return value
  throw failure(span, `The variable ${name} is not set.`, {
    code: 'CONFIG_UNSET_VARIABLE',
    hint: `Give it with --var ${name}=…, with SET or in the environment, or write a default: \${${name}|…}.`,
  })
}

function lookUp(name: string, layers: VariableLayers): string | null {
  const own = (values: Readonly<Record<string, string | undefined>>): string | undefined =>
    Object.hasOwn(values, name) ? values[name] : undefined
  return (
    own(layers.given) ?? own(layers.profile) ?? layers.assigned.get(name) ?? own(layers.environment) ?? null
  )
}

/**
 * A text with its references replaced by what `write` makes of each value.
 * @param span where the text stands, for errors; the reference within it is looked for.
 */
export function substitute(
  text: string,
  layers: VariableLayers,
  span: Span,
  write: (value: string) => string = (value) => value,
): string {
  let result = ''
  let at = 0
  for (;;) {
    const next = text.indexOf('${', at)
    if (next < 0) return result + text.slice(at)
    if (next > at && text[next - 1] === '$') {
      result += `${text.slice(at, next - 1)}\${`
      at = next + 2
      continue
    }
    const reference = findReference(text, next)
    if (reference === null) throw failure(locate(span, '${'), MALFORMED, { hint: MALFORMED_HINT })
    result += text.slice(at, next) + write(valueOf(reference, layers, locate(span, `\${${reference.name}`)))
    at = reference.end
  }
}

function locate(span: Span, words: string): Span {
  const found = span.source.text.slice(span.start, span.end).indexOf(words)
  if (found < 0) return span
  return { source: span.source, start: span.start + found, end: span.start + found + words.length }
}
