/**
 * The JSON of PARAMS and OPTIONS. Beyond JSON: `--` and slash-star comments, a comma before a closing bracket, strings in single quotes
 * and over several lines, and variables inside and outside of strings.
 */
import { failure } from './pipeline-error.js'
import type { JsonNode, JsonObject } from './syntax.js'
import { MAX_DEPTH, type TokenReader } from './token-reader.js'

/** @throws PipelineError */
export function parseJsonObject(reader: TokenReader, after: string): JsonObject {
  const open = reader.peek()
  if (open.kind !== 'symbol' || open.text !== '{') {
    throw failure(reader.gap, `Expected a JSON object after ${after}`, { hint: 'Write { "key": "value" }.' })
  }
  return parseObject(reader, 0)
}

function parseObject(reader: TokenReader, depth: number): JsonObject {
  const open = reader.next()
  const members: JsonObject['members'][number][] = []
  while (!reader.skipSymbol('}')) {
    const key = reader.peek()
    if (key.kind === 'end') throw failure(open, "The '{' is not closed.", { hint: 'Close it with }.' })
    if (key.kind !== 'string') throw failure(key, 'Expected a key in quotes')
    if (members.some((member) => member.key.value === key.value)) {
      throw failure(key, `The key ${JSON.stringify(key.value)} stands here twice.`, {
        hint: 'Remove one of the two.',
      })
    }
    reader.next()
    reader.expectSymbol(':', "Expected ':' after the key")
    members.push({ key, value: parseValue(reader, depth + 1) })
    if (reader.skipSymbol(',')) continue
    reader.expectSymbol('}', "Expected ',' or '}' after the value")
    break
  }
  return { kind: 'object', members, span: reader.spanFrom(open.start) }
}

function parseList(reader: TokenReader, depth: number): JsonNode {
  const open = reader.next()
  const items: JsonNode[] = []
  while (!reader.skipSymbol(']')) {
    items.push(parseValue(reader, depth + 1))
    if (reader.skipSymbol(',')) continue
    reader.expectSymbol(']', "Expected ',' or ']' after the value")
    break
  }
  return { kind: 'list', items, span: reader.spanFrom(open.start) }
}

function parseValue(reader: TokenReader, depth: number): JsonNode {
  const token = reader.peek()
  if (depth > MAX_DEPTH) throw failure(token, 'The JSON is nested too deeply.')
  if (token.kind === 'symbol' && token.text === '{') return parseObject(reader, depth)
  if (token.kind === 'symbol' && token.text === '[') return parseList(reader, depth)
  if (token.kind === 'string') return { kind: 'text', value: reader.next().value, span: token }
  if (token.kind === 'variable') return { kind: 'variable', span: reader.next() }
  if (token.kind === 'number') return { kind: 'literal', value: Number(reader.next().text), span: token }
  if (token.kind === 'symbol' && token.text === '-') {
    reader.next()
    const number = reader.peek()
    if (number.kind !== 'number') throw failure(number, 'Expected a number')
    reader.next()
    return { kind: 'literal', value: -Number(number.text), span: reader.spanFrom(token.start) }
  }
  if (token.kind === 'word') {
    const value = { TRUE: true, FALSE: false, NULL: null }[token.text.toUpperCase()]
    if (value !== undefined) return { kind: 'literal', value, span: reader.next() }
    throw failure(token, `Expected a value, found ${token.text}`, { hint: 'Put text in double quotes.' })
  }
  throw failure(token.kind === 'end' ? reader.gap : token, 'Expected a value')
}
