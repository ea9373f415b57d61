/** SQL within a pipeline: where it ends, which variables it holds, and how their values are written into it. */
import { readToken, type Token } from './lexer.js'
import { failure } from './pipeline-error.js'
import type { Span } from './source-text.js'
import type { SqlReference, SqlText } from './syntax.js'
import { isWord, type TokenReader } from './token-reader.js'
import { parseReference, valueOf, type VariableLayers } from './variables.js'

/**
 * Takes SQL up to the semicolon that ends the statement or, for EXPORT, up to the TO before a quoted place and TYPE; neither is taken.
 * @throws PipelineError
 */
export function takeSql(
  reader: TokenReader,
  options: { readonly untilTo: boolean; readonly after: string },
): SqlText {
  const references: SqlReference[] = []
  let first: Token | null = null
  for (;;) {
    const token = reader.peek('sql')
    const ends =
      token.kind === 'end' ||
      (token.kind === 'symbol' && token.text === ';') ||
      (options.untilTo && isWord(token, 'TO') && isPlace(token))
    if (ends) break
    first ??= token
    references.push(...findReferences(token))
    reader.take(token)
  }
  if (first === null) throw failure(reader.gap, `Expected a query after ${options.after}`)
  return { ...reader.spanFrom(first.start), references }
}

function isPlace(to: Token): boolean {
  // What follows may be no token at all in the grammar of statements: then it is no place.
  try {
    const place = readToken(to.source, to.end, 'statement')
    return place.kind === 'string' && isWord(readToken(to.source, place.end, 'statement'), 'TYPE')
  } catch {
    return false
  }
}

function findReferences(token: Token): readonly SqlReference[] {
  if (token.kind === 'variable') return [{ ...spanOf(token), within: 'bare' }]
  if (token.kind !== 'string' && token.kind !== 'name') return []
  const found: SqlReference[] = []
  let at = token.text.indexOf('${')
  while (at >= 0) {
    const start = token.start + at
    if (!token.text.startsWith("'") && !token.text.startsWith('"')) {
      throw failure(
        { source: token.source, start, end: start + 2 },
        'Variables are not replaced in this kind of string.',
        {
          hint: "Write a plain string: '…'.",
        },
      )
    }
    const literal = token.text[at - 1] === '$'
    const end = literal ? start + 2 : parseReference(token.source, start).end
    found.push({ source: token.source, start, end, within: token.kind })
    at = token.text.indexOf('${', end - token.start)
  }
  return found
}

function spanOf({ source, start, end }: Span): Span {
  return { source, start, end }
}

/** SQL with its variables replaced, and which piece of it stands where in the file. */
export interface RenderedSql {
  readonly text: string
  readonly span: Span
  readonly pieces: readonly { readonly at: number; readonly span: Span }[]
}

export function renderSql(sql: SqlText, layers: VariableLayers): RenderedSql {
  const { source } = sql
  const pieces: { at: number; span: Span }[] = []
  let text = ''
  const add = (span: Span, words: string): void => {
    pieces.push({ at: text.length, span })
    text += words
  }
  let at = sql.start
  for (const reference of sql.references) {
    const escaped =
      reference.within !== 'bare' && reference.start > at && source.text[reference.start - 1] === '$'
    const before = { source, start: at, end: reference.start }
    if (escaped) {
      add(before, source.text.slice(at, reference.start - 1))
      add(reference, source.text.slice(reference.start, reference.end))
    } else {
      add(before, source.text.slice(at, reference.start))
      add(reference, writeValue(valueOf(readReference(reference), layers, reference), reference.within))
    }
    at = reference.end
  }
  add({ source, start: at, end: sql.end }, source.text.slice(at, sql.end))
  return { text, span: spanOf(sql), pieces }
}

function readReference({ source, start, end }: SqlReference): {
  readonly name: string
  readonly fallback: string | null
} {
  const words = source.text.slice(start, end)
  return words.startsWith('${') ? parseReference(source, start) : { name: words.slice(1), fallback: null }
}

/** Bare: NULL, TRUE, FALSE and numbers as they are, a complete string literal as it is, everything else as a string literal. */
function writeValue(value: string, within: SqlReference['within']): string {
  if (within === 'string') return value.replaceAll("'", "''")
  if (within === 'name') return value.replaceAll('"', '""')
  if (/^(?:null|true|false)$/i.test(value)) return value
  if (/^-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?$/.test(value)) return value.startsWith('-') ? `(${value})` : value
  if (/^'(?:[^']|'')*'$/.test(value)) return value
  return `'${value.replaceAll("'", "''")}'`
}

/** Where in the file a character of the rendered SQL comes from. */
export function placeInFile(sql: RenderedSql, offset: number): Span {
  const { source } = sql.span
  for (let index = sql.pieces.length - 1; index >= 0; index--) {
    const piece = sql.pieces[index]
    if (piece === undefined || piece.at > offset) continue
    const start = Math.min(piece.span.start + offset - piece.at, piece.span.end)
    return { source, start, end: start }
  }
  return sql.span
}
