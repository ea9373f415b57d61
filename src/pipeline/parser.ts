/**
 * A pipeline file as statements. Keywords may be written in any case; every statement ends with a semicolon.
 *
 *     SOURCE name TYPE POSTGRES PARAMS json ;       SOURCE name FROM "connection" [OPTIONS json] ;
 *     LOAD table FROM source [MODE REPLACE | APPEND | UPSERT KEY keys] ;
 *     CREATE [OR REPLACE] TABLE name [MODE …] AS sql ;
 *     EXPORT (sql | table) TO "place" TYPE csv | parquet | json [OPTIONS json] ;
 *     INCLUDE "file.sf" AS alias ;    SET name = value ;
 *     IF condition THEN … {ELSEIF condition THEN …} [ELSE …] ENDIF
 */
import { parseCondition } from './condition.js'
import { parseJsonObject } from './json-block.js'
import { failure, ProblemList } from './pipeline-error.js'
import { placeOf, type SourceText, type Span } from './source-text.js'
import { takeSql } from './sql-text.js'
import type {
  Condition,
  IfStatement,
  LoadStatement,
  SetStatement,
  SourceStatement,
  Statement,
  WriteMode,
  Written,
} from './syntax.js'
import { isWord, MAX_DEPTH, TokenReader } from './token-reader.js'

/** @throws PipelineError with everything that is wrong in the file */
export function parsePipeline(source: SourceText): readonly Statement[] {
  const problems = new ProblemList()
  const parser = new Parser(source, problems)
  const statements = parser.parseAll()
  problems.assertNone()
  return statements
}

const STATEMENTS = ['SOURCE', 'LOAD', 'CREATE', 'EXPORT', 'INCLUDE', 'SET', 'IF'] as const
const BLOCK_ENDS = ['ELSEIF', 'ELSE', 'ENDIF', 'END'] as const
/** Where the text makes sense again after an error. */
const RESTART = new RegExp(`;|^[ \\t]*(?:${[...STATEMENTS, ...BLOCK_ENDS].join('|')})\\b`, 'gimu')

class Parser {
  readonly #reader: TokenReader
  readonly #problems: ProblemList
  #depth = 0

  constructor(source: SourceText, problems: ProblemList) {
    this.#reader = new TokenReader(source)
    this.#problems = problems
  }

  parseAll(): readonly Statement[] {
    const statements: Statement[] = []
    for (;;) {
      statements.push(...this.#parseBlock())
      const token = this.#problems.attempt(() => this.#reader.peek())
      if (token === null || token.kind === 'end' || this.#problems.isFull) return statements
      this.#problems.add(failure(token, `${token.text.toUpperCase()} without IF`))
      this.#reader.next()
      if (isWord(token, 'END')) this.#reader.skipWord('IF')
    }
  }

  /** Up to the end of the text or to a word that ends a block, which is not taken. */
  #parseBlock(): Statement[] {
    const statements: Statement[] = []
    for (;;) {
      const start = this.#reader.at
      const statement = this.#problems.attempt(() => {
        while (this.#reader.skipSymbol(';')) continue
        const token = this.#reader.peek()
        if (token.kind === 'end' || BLOCK_ENDS.some((word) => isWord(token, word))) return 'end'
        return this.#parseStatement()
      })
      if (statement === 'end' || this.#problems.isFull) return statements
      if (statement === null) this.#restart(start)
      else statements.push(statement)
    }
  }

  /** Goes on behind the next semicolon or at the next line that begins like a statement. */
  #restart(start: number): void {
    const { source } = this.#reader
    RESTART.lastIndex = Math.max(this.#reader.at, start)
    const match = RESTART.exec(source.text)
    this.#reader.at = match === null ? source.text.length : match[0] === ';' ? match.index + 1 : match.index
  }

  #parseStatement(): Statement {
    const reader = this.#reader
    const token = reader.peek()
    const keyword = STATEMENTS.find((word) => isWord(token, word))
    if (keyword === undefined) {
      throw failure(token, `Expected a statement, found ${shorten(token.text)}`, {
        hint: 'Statements begin with SOURCE, LOAD, CREATE TABLE, EXPORT, INCLUDE, SET or IF.',
      })
    }
    reader.next()
    switch (keyword) {
      case 'SOURCE':
        return this.#parseSource(token.start)
      case 'LOAD':
        return this.#parseLoad(token.start)
      case 'CREATE':
        return this.#parseCreate(token.start)
      case 'EXPORT':
        return this.#parseExport(token.start)
      case 'INCLUDE':
        return this.#parseInclude(token.start)
      case 'SET':
        return this.#parseSet(token.start)
      case 'IF':
        return this.#parseIf(token.start)
    }
  }

  #end(start: number, statement: string): Span {
    const span = this.#reader.spanFrom(start)
    this.#reader.expectSymbol(';', `Expected ';' after ${statement} statement`)
    return span
  }

  #parseSource(start: number): SourceStatement {
    const reader = this.#reader
    const name = reader.expectName('a name after SOURCE')
    const definition = reader.peekWord('FROM') ? this.#parseSourceFrom() : this.#parseSourceType()
    return { kind: 'source', name, definition, span: this.#end(start, 'SOURCE') }
  }

  #parseSourceType(): SourceStatement['definition'] {
    const reader = this.#reader
    reader.expectWord('TYPE', 'Expected TYPE or FROM after the name of the source')
    const type = reader.expectName('a connector type after TYPE')
    this.#refuseMix('FROM')
    if (!reader.skipWord('PARAMS')) {
      throw failure(reader.gap, `Expected 'PARAMS' after connector type at line ${placeOf(reader.gap).line}.`)
    }
    const params = parseJsonObject(reader, 'PARAMS')
    this.#refuseMix('FROM')
    return { kind: 'inline', type, params }
  }

  #parseSourceFrom(): SourceStatement['definition'] {
    const reader = this.#reader
    reader.next()
    const connection = reader.expectString('the name of a connection after FROM')
    this.#refuseMix('TYPE')
    const options = reader.skipWord('OPTIONS') ? parseJsonObject(reader, 'OPTIONS') : null
    this.#refuseMix('TYPE')
    return { kind: 'connection', connection, options }
  }

  #refuseMix(word: 'FROM' | 'TYPE'): void {
    const token = this.#reader.peek()
    if (!isWord(token, word)) return
    throw failure(
      token,
      `Invalid SOURCE syntax at line ${placeOf(token).line}: Cannot mix FROM and TYPE keywords.`,
      {
        hint: 'Write SOURCE name TYPE POSTGRES PARAMS { … }, or SOURCE name FROM "connection" OPTIONS { … }.',
      },
    )
  }

  #parseLoad(start: number): LoadStatement {
    const reader = this.#reader
    const table = reader.expectName('a table name after LOAD')
    reader.expectWord('FROM', 'Expected FROM after the table name')
    const source = reader.expectName('the name of a source after FROM')
    const mode = reader.skipWord('MODE') ? this.#parseMode(['REPLACE', 'APPEND', 'UPSERT']) : null
    if (mode?.kind === 'incremental') throw failure(mode.span, 'MODE INCREMENTAL is for CREATE TABLE')
    return { kind: 'load', table, source, mode, span: this.#end(start, 'LOAD') }
  }

  #parseMode(allowed: readonly string[]): WriteMode {
    const reader = this.#reader
    const token = reader.peek()
    const mode = allowed.find((word) => isWord(token, word))
    if (mode === undefined) {
      const among = `Must be one of: ${allowed.join(', ')}`
      throw token.kind === 'word' || token.kind === 'string'
        ? failure(token, `Invalid MODE: ${shorten(token.text)}. ${among}`)
        : failure(reader.gap, `Expected a mode after MODE. ${among}`)
    }
    reader.next()
    const result = this.#parseModeOptions(mode, token)
    const next = reader.peek()
    if (isWord(next, 'KEY')) throw failure(next, 'KEY can only be used with UPSERT mode')
    if (isWord(next, 'LOOKBACK')) throw failure(next, 'LOOKBACK can only be used with INCREMENTAL mode')
    return result
  }

  #parseModeOptions(mode: string, span: Span): WriteMode {
    const reader = this.#reader
    switch (mode) {
      case 'UPSERT':
        if (!reader.skipWord('KEY')) throw failure(reader.gap, 'UPSERT mode requires KEY to be specified')
        return { kind: 'upsert', keys: this.#parseKeys() }
      case 'INCREMENTAL': {
        if (!reader.skipWord('BY')) throw failure(reader.gap, 'INCREMENTAL mode requires BY <time_column>')
        const by = reader.expectName('a column after BY')
        const lookback = reader.skipWord('LOOKBACK') ? reader.expectString('a duration after LOOKBACK') : null
        return { kind: 'incremental', by, lookback, span }
      }
      default:
        return { kind: mode === 'APPEND' ? 'append' : 'replace' }
    }
  }

  #parseKeys(): readonly Written[] {
    const reader = this.#reader
    const enclosed = reader.skipSymbol('(')
    const keys = [reader.expectName('a column after KEY')]
    while (reader.skipSymbol(',')) keys.push(reader.expectName('a column'))
    if (enclosed) reader.expectSymbol(')', "Expected ')' after the columns of KEY")
    return keys
  }

  #parseCreate(start: number): Statement {
    const reader = this.#reader
    const orReplace = reader.skipWord('OR')
    if (orReplace) reader.expectWord('REPLACE', 'Expected REPLACE after OR')
    reader.expectWord('TABLE', 'Expected TABLE after CREATE')
    const table = reader.expectName('a table name after CREATE TABLE')
    const mode: WriteMode = reader.skipWord('MODE')
      ? this.#parseMode(['REPLACE', 'APPEND', 'UPSERT', 'INCREMENTAL'])
      : { kind: 'replace' }
    reader.expectWord('AS', 'Expected AS and a query')
    const sql = takeSql(reader, { untilTo: false, after: 'AS' })
    return { kind: 'create', table, orReplace, mode, sql, span: this.#end(start, 'CREATE TABLE') }
  }

  #parseExport(start: number): Statement {
    const reader = this.#reader
    const what = this.#parseExported()
    reader.expectWord('TO', 'Expected TO "place" TYPE after what is exported')
    const uri = reader.expectString('a place after TO')
    reader.expectWord('TYPE', 'Expected TYPE after the place')
    const type = reader.expectName('csv, parquet or json after TYPE')
    const options = reader.skipWord('OPTIONS') ? parseJsonObject(reader, 'OPTIONS') : null
    return { kind: 'export', what, uri, type, options, span: this.#end(start, 'EXPORT') }
  }

  #parseExported(): Extract<Statement, { kind: 'export' }>['what'] {
    const reader = this.#reader
    const before = reader.at
    const token = reader.peek('sql')
    if (token.kind === 'word') {
      reader.take(token)
      if (reader.peekWord('TO')) {
        reader.at = before
        return { kind: 'table', table: reader.expectName('a table name after EXPORT') }
      }
      reader.at = before
    }
    return { kind: 'query', sql: takeSql(reader, { untilTo: true, after: 'EXPORT' }) }
  }

  #parseInclude(start: number): Statement {
    const reader = this.#reader
    const path = reader.expectString('a file after INCLUDE')
    reader.expectWord('AS', 'Expected AS after the file')
    const alias = reader.expectName('a name after AS')
    return { kind: 'include', path, alias, span: this.#end(start, 'INCLUDE') }
  }

  #parseSet(start: number): SetStatement {
    const reader = this.#reader
    const name = reader.expectName('a name after SET')
    reader.expectSymbol('=', "Expected '=' after the name")
    const first = reader.peek()
    if (first.kind === 'end' || first.text === ';') throw failure(reader.gap, "Expected a value after '='")
    let count = 0
    for (let token = first; token.kind !== 'end' && token.text !== ';'; token = reader.peek()) {
      reader.take(token)
      count++
    }
    const span = reader.spanFrom(first.start)
    const whole = first.kind === 'string' && count === 1
    const value = { ...span, value: whole ? first.value : span.source.text.slice(span.start, span.end) }
    return { kind: 'set', name, value, span: this.#end(start, 'SET') }
  }

  #parseIf(start: number): IfStatement {
    const reader = this.#reader
    const opening = reader.spanFrom(start)
    if (this.#depth >= MAX_DEPTH) throw failure(opening, 'IF is nested too deeply.')
    this.#depth++
    try {
      const branches: IfStatement['branches'][number][] = []
      let otherwise: readonly Statement[] | null = null
      for (;;) {
        if (this.#problems.isFull) throw failure(opening, 'IF is not read to its end.')
        if (otherwise === null) {
          const condition = this.#parseBranchHead()
          const body = this.#parseBlock()
          if (condition !== null) branches.push({ condition, body })
        }
        if (reader.skipWord('ENDIF')) break
        const token = reader.peek()
        if (reader.skipWord('END')) {
          reader.expectWord('IF', 'Expected IF after END')
          break
        }
        if (token.kind === 'end')
          throw failure(opening, 'IF is not closed.', { hint: 'Close it with ENDIF;' })
        if (otherwise !== null) throw failure(token, `Expected ENDIF, found ${token.text.toUpperCase()}`)
        const again = reader.skipWord('ELSEIF')
        if (again || !reader.skipWord('ELSE') || reader.skipWord('IF')) continue
        otherwise = this.#parseBlock()
      }
      const span = reader.spanFrom(start)
      reader.skipSymbol(';')
      return { kind: 'if', branches, otherwise: otherwise ?? [], span }
    } finally {
      this.#depth--
    }
  }

  /** Up to THEN, whatever is wrong before it: what follows is the branch in any case. */
  #parseBranchHead(): Condition | null {
    const reader = this.#reader
    const condition = this.#problems.attempt(() => {
      const parsed = parseCondition(reader)
      reader.expectWord('THEN', 'Expected THEN after the condition')
      return parsed
    })
    if (condition !== null) return condition
    for (let token = reader.peek(); token.kind !== 'end' && token.text !== ';'; token = reader.peek()) {
      reader.take(token)
      if (isWord(token, 'THEN')) break
    }
    return null
  }
}

function shorten(text: string): string {
  return text.length > 40 ? `${text.slice(0, 40)}…` : text
}
