/**
 * Patterns over stream names: `public.*`, `audit_??`, `"odd.name".orders`.
 *
 * `*` stands for any characters and `?` for one; double quotes take what they enclose as it is. One part matches the table in
 * any schema (or a query by its name), two parts match schema and table.
 */
import type { CatalogStream } from './catalog.js'

export interface StreamPattern {
  readonly text: string
  /** No wildcard: it names one stream. */
  readonly exact: boolean
  /** Characters that must be there as written; the more, the more specific the pattern is. */
  readonly literals: number
  matches(stream: Pick<CatalogStream, 'name' | 'schema' | 'table'>): boolean
}

interface Part {
  source: string
  literals: number
  wildcards: number
}

export function parseStreamPattern(text: string): StreamPattern {
  const parts = splitParts(text)
  const expressions = parts.map((part) => new RegExp(`^${part.source}$`, 'su'))
  const [first, second] = expressions
  return {
    text,
    exact: parts.every((part) => part.wildcards === 0),
    literals: parts.reduce((sum, part) => sum + part.literals, 0),
    matches(stream) {
      if (stream.name === text) return true
      if (first === undefined || expressions.length > 2) return false
      if (second === undefined) return first.test(stream.table)
      return first.test(stream.schema) && second.test(stream.table)
    },
  }
}

/** Most specific first: names before patterns, then by literal characters; of equals the later one wins. */
export function compareSpecificity(a: StreamPattern, b: StreamPattern): number {
  if (a.exact !== b.exact) return a.exact ? -1 : 1
  return b.literals - a.literals
}

function splitParts(text: string): Part[] {
  let part: Part = { source: '', literals: 0, wildcards: 0 }
  const parts = [part]
  let quoted = false
  const characters = [...text]
  for (let index = 0; index < characters.length; index++) {
    const character = characters[index] ?? ''
    if (character === '"' && quoted && characters[index + 1] === '"') {
      index++
      addLiteral(part, '"')
    } else if (character === '"') {
      quoted = !quoted
    } else if (quoted) {
      addLiteral(part, character)
    } else if (character === '.') {
      part = { source: '', literals: 0, wildcards: 0 }
      parts.push(part)
    } else if (character === '*' || character === '?') {
      part.source += character === '*' ? '.*' : '.'
      part.wildcards++
    } else {
      addLiteral(part, character)
    }
  }
  return parts
}

function addLiteral(part: Part, character: string): void {
  part.source += character.replace(/[\\^$.*+?()[\]{}|/-]/u, '\\$&')
  part.literals++
}
