/** A pipeline file's text, places in it, and how a place is shown: file, line, column, the line itself and a caret. */

export interface SourceText {
  /** As errors name it. */
  readonly file: string
  readonly text: string
}

/** A piece of a text, from `start` up to and without `end`, in UTF-16 units. */
export interface Span {
  readonly source: SourceText
  readonly start: number
  readonly end: number
}

/** Both counted from 1; a column is a character, as an editor counts. */
export interface Place {
  readonly line: number
  readonly column: number
}

const LINE_BREAK = /\r\n|\r|\n/g
/** More of a line does not fit a terminal; what is around the place is shown. */
const MAX_EXCERPT = 100
const EXCERPT_BEFORE = 60
/** A password that stands in the file itself. */
const PASSWORD = /(["']password["']\s*:\s*)("(?:[^"\\]|\\.)*"?|'(?:[^'\\]|\\.)*'?)/gi

export function placeOf({ source, start }: Span): Place {
  const { line, lineStart } = findLine(source.text, start)
  return { line, column: [...source.text.slice(lineStart, start)].length + 1 }
}

/** `orders.sf:3:14`. */
export function formatPlace(span: Span): string {
  const { line, column } = placeOf(span)
  return `${span.source.file}:${line}:${column}`
}

/** The line in which a span begins, and below it a line with a caret under the place. */
export function excerptOf({ source, start }: Span): readonly [line: string, caret: string] {
  const { lineStart } = findLine(source.text, start)
  const rest = source.text.slice(lineStart)
  const line = hidePasswords(rest.slice(0, rest.search(/[\r\n]|$/)))
  const before = [...line.slice(0, start - lineStart)]
  const after = [...line.slice(start - lineStart)]
  const shownBefore = before.length > EXCERPT_BEFORE ? ['…', ...before.slice(-EXCERPT_BEFORE)] : before
  const room = MAX_EXCERPT - shownBefore.length
  const shownAfter = after.length > room ? [...after.slice(0, room), '…'] : after
  // A tab stays a tab in the caret's line, so that both are as wide.
  const indent = shownBefore.map((character) => (character === '\t' ? '\t' : ' ')).join('')
  return [[...shownBefore, ...shownAfter].join(''), `${indent}^`]
}

/** As many stars, so that the caret stays where it belongs. */
function hidePasswords(line: string): string {
  return line.replaceAll(PASSWORD, (_, key: string, value: string) => key + '*'.repeat(value.length))
}

function findLine(text: string, offset: number): { readonly line: number; readonly lineStart: number } {
  let line = 1
  let lineStart = 0
  for (const match of text.matchAll(LINE_BREAK)) {
    const next = match.index + match[0].length
    if (next > offset) break
    line++
    lineStart = next
  }
  return { line, lineStart }
}
