/** One token after another, with what a parser asks of them: this word, that symbol, a name, a string. */
import { readToken, type LexicalGrammar, type Token } from './lexer.js'
import { failure } from './pipeline-error.js'
import type { SourceText, Span } from './source-text.js'
import type { Written } from './syntax.js'

/** Deeper nesting is no pipeline that a person wrote. */
export const MAX_DEPTH = 100

const IDENTIFIER = /^[A-Za-z_][A-Za-z0-9_]*$/

export class TokenReader {
  readonly source: SourceText
  /** Where the next token is looked for. */
  at = 0
  /** Where the last token taken ended. */
  #lastEnd = 0
  #peeked: { readonly at: number; readonly token: Token } | null = null

  constructor(source: SourceText) {
    this.source = source
  }

  peek(grammar: LexicalGrammar = 'statement'): Token {
    if (grammar === 'sql') return readToken(this.source, this.at, grammar)
    if (this.#peeked?.at !== this.at) {
      this.#peeked = { at: this.at, token: readToken(this.source, this.at, grammar) }
    }
    return this.#peeked.token
  }

  take(token: Token): Token {
    this.at = token.end
    this.#lastEnd = token.end
    return token
  }

  next(grammar: LexicalGrammar = 'statement'): Token {
    return this.take(this.peek(grammar))
  }

  /** From `start` to the end of the last token. */
  spanFrom(start: number): Span {
    return { source: this.source, start, end: Math.max(start, this.#lastEnd) }
  }

  /** Directly behind the last token: where something is missing. */
  get gap(): Span {
    return { source: this.source, start: this.#lastEnd, end: this.#lastEnd }
  }

  peekWord(word: string): boolean {
    return isWord(this.peek(), word)
  }

  /** Takes the word if it is next. */
  skipWord(word: string): boolean {
    if (!this.peekWord(word)) return false
    this.next()
    return true
  }

  skipSymbol(symbol: string): boolean {
    const token = this.peek()
    if (token.kind !== 'symbol' || token.text !== symbol) return false
    this.next()
    return true
  }

  expectWord(word: string, message: string): void {
    if (!this.skipWord(word)) throw failure(this.#whereMissing(), message)
  }

  expectSymbol(symbol: string, message: string): void {
    if (!this.skipSymbol(symbol)) throw failure(this.gap, message)
  }

  expectName(what: string): Written {
    const token = this.peek()
    if (token.kind !== 'word') throw failure(this.#whereMissing(), `Expected ${what}`)
    if (!IDENTIFIER.test(token.text)) {
      throw failure(token, `Expected ${what}`, {
        hint: 'Names are letters of ASCII, digits and underscores, and begin with no digit.',
      })
    }
    return this.next()
  }

  expectString(what: string): Written {
    const token = this.peek()
    if (token.kind !== 'string') {
      throw failure(this.#whereMissing(), `Expected ${what}`, { hint: 'Put it in quotes.' })
    }
    return this.next()
  }

  /** The wrong token, or the end of what came before it where there is none on the line. */
  #whereMissing(): Span {
    const token = this.peek()
    const between = this.source.text.slice(this.#lastEnd, token.start)
    return token.kind === 'end' || /[\r\n]/.test(between) ? this.gap : token
  }
}

export function isWord(token: Token, word: string): boolean {
  return token.kind === 'word' && token.text.toUpperCase() === word
}
