/** The condition of IF: comparisons of variables, strings and numbers, joined by AND, OR and NOT. */
import type { Token } from './lexer.js'
import { failure } from './pipeline-error.js'
import type { Span } from './source-text.js'
import type { Comparison, Condition, Operand } from './syntax.js'
import { isWord, MAX_DEPTH, type TokenReader } from './token-reader.js'
import { parseReference, substitute, valueOf, type VariableLayers } from './variables.js'

const OPERATORS: readonly Comparison[] = ['==', '!=', '<', '<=', '>', '>=']
const LITERALS: Readonly<Record<string, boolean | null>> = { TRUE: true, FALSE: false, NULL: null }

/** @throws PipelineError */
export function parseCondition(reader: TokenReader): Condition {
  return parseOr(reader, 0)
}

function parseOr(reader: TokenReader, depth: number): Condition {
  let left = parseAnd(reader, depth)
  while (reader.skipWord('OR')) left = { kind: 'or', left, right: parseAnd(reader, depth) }
  return left
}

function parseAnd(reader: TokenReader, depth: number): Condition {
  let left = parseNot(reader, depth)
  while (reader.skipWord('AND')) left = { kind: 'and', left, right: parseNot(reader, depth) }
  return left
}

function parseNot(reader: TokenReader, depth: number): Condition {
  if (depth > MAX_DEPTH) throw failure(reader.peek(), 'The condition is nested too deeply.')
  if (reader.skipWord('NOT')) return { kind: 'not', inner: parseNot(reader, depth + 1) }
  if (!reader.skipSymbol('(')) return parseComparison(reader)
  const inner = parseOr(reader, depth + 1)
  reader.expectSymbol(')', "Expected ')'")
  return inner
}

function parseComparison(reader: TokenReader): Condition {
  const first = reader.peek()
  const left = parseOperand(reader)
  const operator = reader.peek()
  if (operator.kind !== 'symbol')
    return { kind: 'operand', operand: left, span: reader.spanFrom(first.start) }
  if (operator.text === '=') {
    throw failure(operator, "Use '==' for equality, not '='")
  }
  if (operator.text === '<>') throw failure(operator, "Use '!=' for inequality, not '<>'")
  const known = OPERATORS.find((text) => text === operator.text)
  if (known === undefined) return { kind: 'operand', operand: left, span: reader.spanFrom(first.start) }
  reader.next()
  return { kind: 'comparison', operator: known, left, right: parseOperand(reader) }
}

function parseOperand(reader: TokenReader): Operand {
  const token = reader.peek()
  switch (token.kind) {
    case 'string':
      return { kind: 'text', value: reader.next().value, span: token }
    case 'variable':
      return { kind: 'variable', span: reader.next() }
    case 'number':
      return { kind: 'literal', value: Number(reader.next().text) }
    case 'symbol':
      return parseNegative(reader, token)
    case 'word': {
      const value = LITERALS[token.text.toUpperCase()]
      if (value === undefined || isWord(token, 'THEN')) throw notAnOperand(token)
      reader.next()
      return { kind: 'literal', value }
    }
    case 'name':
    case 'end':
      throw failure(reader.gap, 'Expected a condition')
  }
}

function parseNegative(reader: TokenReader, token: Token): Operand {
  if (token.text !== '-') throw failure(token, 'Expected a variable, a string or a number')
  reader.next()
  const number = reader.peek()
  if (number.kind !== 'number') throw failure(number, 'Expected a number')
  return { kind: 'literal', value: -Number(reader.next().text) }
}

function notAnOperand(token: Token): Error {
  if (isWord(token, 'THEN')) return failure(token, 'Expected a condition before THEN')
  return failure(token, `Expected a variable, a string or a number, found ${token.text}`, {
    hint: `For the variable write \${${token.text}}, for the text '${token.text}'.`,
  })
}

type Value = string | number | boolean | null

/** @throws PipelineError for a variable that is not set, or a value that is neither true nor false */
export function evaluate(condition: Condition, layers: VariableLayers): boolean {
  switch (condition.kind) {
    case 'and':
      return evaluate(condition.left, layers) && evaluate(condition.right, layers)
    case 'or':
      return evaluate(condition.left, layers) || evaluate(condition.right, layers)
    case 'not':
      return !evaluate(condition.inner, layers)
    case 'comparison':
      return compare(condition.operator, read(condition.left, layers), read(condition.right, layers))
    case 'operand':
      return toTruth(read(condition.operand, layers), condition.span)
  }
}

function read(operand: Operand, layers: VariableLayers): Value {
  switch (operand.kind) {
    case 'text':
      return substitute(operand.value, layers, operand.span)
    case 'literal':
      return operand.value
    case 'variable':
      return toValue(readVariable(operand.span, layers))
  }
}

/** `${name}`, `${name|default}` or `$name`, as a token of its own. */
export function readVariable(span: Span, layers: VariableLayers): string {
  const words = span.source.text.slice(span.start, span.end)
  const reference = words.startsWith('${')
    ? parseReference(span.source, span.start)
    : { name: words.slice(1), fallback: null }
  return valueOf(reference, layers, span)
}

/** What a variable holds is text; outside of quotes it is what it looks like. */
export function toValue(text: string): Value {
  const literal = LITERALS[text.toUpperCase()]
  if (literal !== undefined) return literal
  return /^-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?$/.test(text) ? Number(text) : text
}

/** Numbers by size, also those in quotes; everything else as text. */
function compare(operator: Comparison, left: Value, right: Value): boolean {
  const order = orderOf(left, right)
  switch (operator) {
    case '==':
      return order === 0
    case '!=':
      return order !== 0
    case '<':
      return order < 0
    case '<=':
      return order <= 0
    case '>':
      return order > 0
    case '>=':
      return order >= 0
  }
}

function orderOf(left: Value, right: Value): number {
  const a = typeof left === 'string' ? toValue(left) : left
  const b = typeof right === 'string' ? toValue(right) : right
  if (typeof a === 'number' && typeof b === 'number') return a - b
  const [textA, textB] = [String(left), String(right)]
  const [plainA, plainB] =
    typeof a === 'boolean' || typeof b === 'boolean' ? [String(a), String(b)] : [textA, textB]
  return plainA < plainB ? -1 : plainA > plainB ? 1 : 0
}

function toTruth(value: Value, span: Span): boolean {
  const plain = typeof value === 'string' ? toValue(value) : value
  if (typeof plain === 'boolean') return plain
  if (typeof plain === 'number') return plain !== 0
  if (plain === null || plain === '') return false
  throw failure(span, 'The condition is neither true nor false.', {
    hint: "Compare it with something: ${name} == 'text'.",
  })
}
