/**
 * Tokens of a pipeline file. There are two lexical grammars: that of statements, whose strings know backslash escapes, and that of
 * DuckDB's SQL, whose strings do not. The parser knows which one it is in and asks for one token at a time.
 *
 * Both: blanks, `--` comments to the end of the line and comments between slash-star and star-slash, which nest, separate tokens.
 */
import { failure } from './pipeline-error.js'
import type { SourceText, Span } from './source-text.js'
import { parseReference } from './variables.js'

export type TokenKind = 'word' | 'number' | 'string' | 'name' | 'variable' | 'symbol' | 'end'

export interface Token extends Span {
  readonly kind: TokenKind
  /** As it stands in the file. */
  readonly text: string
  /** Of a string: without its quotes, escapes replaced. Of everything else: `text`. */
  readonly value: string
}

export type LexicalGrammar = 'statement' | 'sql'

const WORD = /[\p{L}_][\p{L}\p{N}_]*/uy
const NUMBER = /\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/y
const DOLLAR_NAME = /\$[A-Za-z_]\w*/y
const DOLLAR_QUOTE = /\$(?:[A-Za-z_]\w*)?\$/y
const OPERATOR = /==|!=|<=|>=|<>/y
const ESCAPES: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', b: '\b', f: '\f' }

/**
 * The first token at or after an offset; kind `end` at the end of the text.
 * @throws PipelineError for a string, comment or reference without end
 */
export function readToken(source: SourceText, offset: number, grammar: LexicalGrammar): Token {
  const { text } = source
  const start = skipBlank(source, offset)
  const character = text[start]
  const token = (kind: TokenKind, end: number, value?: string): Token => {
    const raw = text.slice(start, end)
    return { kind, source, start, end, text: raw, value: value ?? raw }
  }
  if (character === undefined) return token('end', start)
  if (character === "'" || character === '"') {
    return grammar === 'sql' ? readSqlQuoted(source, start) : readString(source, start)
  }
  if (character === '$') {
    if (text[start + 1] === '{') return token('variable', parseReference(source, start).end)
    if (grammar === 'sql') {
      const quote = matchAt(DOLLAR_QUOTE, text, start)
      if (quote !== null) return token('string', endOfQuote(source, start, quote))
    }
    const name = matchAt(DOLLAR_NAME, text, start)
    if (name !== null) return token('variable', start + name.length)
  }
  const word = matchAt(WORD, text, start)
  if (word !== null) {
    const escapeString = grammar === 'sql' && /^e$/i.test(word) && text[start + 1] === "'"
    return escapeString
      ? token('string', endOfEscapeString(source, start))
      : token('word', start + word.length)
  }
  const number = matchAt(NUMBER, text, start)
  if (number !== null) return token('number', start + number.length)
  const operator = grammar === 'statement' ? matchAt(OPERATOR, text, start) : null
  const length = operator?.length ?? (isHighSurrogate(character) ? 2 : 1)
  return token('symbol', start + length)
}

function skipBlank(source: SourceText, offset: number): number {
  const { text } = source
  let at = offset
  for (;;) {
    const character = text[at]
    if (character !== undefined && isBlank(character)) at++
    else if (character === '-' && text[at + 1] === '-') at = endOfLine(text, at)
    else if (character === '/' && text[at + 1] === '*') at = endOfComment(source, at)
    else return at
  }
}

function isBlank(character: string): boolean {
  return character <= ' ' || character === '\u00a0' || character === '\ufeff'
}

function endOfLine(text: string, from: number): number {
  let at = from
  while (at < text.length && text[at] !== '\n' && text[at] !== '\r') at++
  return at
}

/** They nest, as in DuckDB. */
function endOfComment(source: SourceText, start: number): number {
  const { text } = source
  let depth = 0
  for (let at = start; at < text.length - 1; at++) {
    const pair = text.slice(at, at + 2)
    if (pair === '/*') {
      depth++
      at++
    } else if (pair === '*/') {
      depth--
      at++
      if (depth === 0) return at + 1
    }
  }
  throw failure({ source, start, end: start + 2 }, 'The comment is not closed.', {
    hint: 'Close it with */.',
  })
}

/** `'…'` or `"…"`; a quote within is `\'` or doubled. Lines may end within. */
function readString(source: SourceText, start: number): Token {
  const { text } = source
  const quote = text[start]
  let value = ''
  for (let at = start + 1; at < text.length; at++) {
    const character = text[at] ?? ''
    if (character === quote) {
      if (text[at + 1] !== quote) {
        const end = at + 1
        return { kind: 'string', source, start, end, text: text.slice(start, end), value }
      }
      value += quote
      at++
    } else if (character === '\\') {
      const { replacement, length } = readEscape(source, at)
      value += replacement
      at += length - 1
    } else {
      value += character
    }
  }
  throw unclosed(source, start)
}

function readEscape(
  source: SourceText,
  at: number,
): { readonly replacement: string; readonly length: number } {
  const { text } = source
  const character = text[at + 1] ?? ''
  if (character === 'u') {
    const digits = text.slice(at + 2, at + 6)
    if (/^[0-9a-fA-F]{4}$/.test(digits)) {
      return { replacement: String.fromCharCode(parseInt(digits, 16)), length: 6 }
    }
  }
  const replacement = ESCAPES[character] ?? (/^['"\\/]$/.test(character) ? character : undefined)
  if (replacement !== undefined) return { replacement, length: 2 }
  throw failure({ source, start: at, end: at + 2 }, 'The string holds a backslash that escapes nothing.', {
    hint: 'A backslash is written twice: \\\\.',
  })
}

/** A string or a quoted name of SQL: the quote within is doubled, a backslash is a character like any other. */
function readSqlQuoted(source: SourceText, start: number): Token {
  const { text } = source
  const quote = text[start] ?? ''
  for (let at = start + 1; at < text.length; at++) {
    if (text[at] !== quote) continue
    if (text[at + 1] === quote) {
      at++
      continue
    }
    const end = at + 1
    const raw = text.slice(start, end)
    const value = raw.slice(1, -1).replaceAll(quote + quote, quote)
    return { kind: quote === "'" ? 'string' : 'name', source, start, end, text: raw, value }
  }
  throw unclosed(source, start)
}

/** `e'…'`, in which a backslash escapes. */
function endOfEscapeString(source: SourceText, start: number): number {
  const { text } = source
  for (let at = start + 2; at < text.length; at++) {
    if (text[at] === '\\') at++
    else if (text[at] === "'" && text[at + 1] === "'") at++
    else if (text[at] === "'") return at + 1
  }
  throw unclosed(source, start)
}

function endOfQuote(source: SourceText, start: number, quote: string): number {
  const close = source.text.indexOf(quote, start + quote.length)
  if (close < 0) throw unclosed(source, start)
  return close + quote.length
}

function unclosed(source: SourceText, start: number): Error {
  return failure({ source, start, end: start + 1 }, 'The string is not closed.', {
    hint: 'Close it with the quote that opens it.',
  })
}

function matchAt(expression: RegExp, text: string, at: number): string | null {
  expression.lastIndex = at
  return expression.exec(text)?.[0] ?? null
}

function isHighSurrogate(character: string): boolean {
  return character >= '\ud800' && character <= '\udbff'
}
