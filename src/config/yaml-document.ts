/** A YAML file as plain data with `${VAR}` replaced, and where each of its parts stands, for errors. */
import { LineCounter, isAlias, isMap, isScalar, isSeq, parseDocument } from 'yaml'
import type { Document, Node } from 'yaml'
import { TrunklineError } from '../model/error.js'
import { formatPath } from './format-path.js'
import { interpolate } from './interpolate.js'
import type { Environment } from './interpolate.js'

/** More than any configuration follows; they could otherwise multiply without end. */
const MAX_ALIASES = 1000

export interface PlacedDocument {
  readonly value: unknown
  /** `trunkline.yaml:4:10 (connections.shop.url)`; of the closest part that exists. */
  placeOf(path: readonly PropertyKey[]): string
  /** A plain value as it is written: `007` is no text, and not the number 7 either. Null where nothing plain is there. */
  writtenAt(path: readonly PropertyKey[]): string | null
}

/**
 * @param env null leaves variables as they are written
 * @throws CONFIG_INVALID with file, line and column; CONFIG_UNSET_VARIABLE
 */
export function parseYamlDocument(source: string, file: string, env: Environment | null): PlacedDocument {
  const lines = new LineCounter()
  const document = parseDocument(source, { lineCounter: lines, version: '1.2', prettyErrors: false })
  const problem = document.errors[0]
  if (problem !== undefined) {
    throw new TrunklineError('CONFIG_INVALID', `${at(lines, file, problem.pos[0])}: ${problem.message}`, {
      hint: 'Indent with spaces, and quote values that hold `: `, ` #` or start with one of * & ! { [ % @.',
      context: { path: file },
    })
  }

  const offsets = new Map<string, number>()
  const placeOf = (path: readonly PropertyKey[]): string => {
    for (let length = path.length; length >= 0; length--) {
      const offset = offsets.get(pathKey(path.slice(0, length)))
      if (offset !== undefined) return describePlace(at(lines, file, offset), path)
    }
    return describePlace(file, path)
  }

  const written = new Map<string, string>()
  const walker: Walker = { document, env, offsets, written, placeOf, aliases: 0 }
  const value = toValue(walker, document.contents, [])
  return { value, placeOf, writtenAt: (path) => written.get(pathKey(path)) ?? null }
}

interface Walker {
  readonly document: Document
  readonly env: Environment | null
  readonly offsets: Map<string, number>
  readonly written: Map<string, string>
  readonly placeOf: (path: readonly PropertyKey[]) => string
  aliases: number
}

function toValue(walker: Walker, node: unknown, path: readonly PropertyKey[]): unknown {
  if (isAlias(node)) {
    walker.aliases += 1
    if (walker.aliases > MAX_ALIASES) {
      const place = walker.placeOf(path)
      throw new TrunklineError('CONFIG_INVALID', `${place}: the file expands to too many parts.`, {
        hint: 'Use fewer aliases (*name).',
      })
    }
    return toValue(walker, node.resolve(walker.document), path)
  }
  // The key of a pair is remembered first: it is what a person looks for.
  if (!walker.offsets.has(pathKey(path))) remember(walker, node, path)
  if (isMap(node)) {
    const object: Record<string, unknown> = Object.create(null) as Record<string, unknown>
    for (const pair of node.items) {
      const key = isScalar(pair.key) ? String(pair.key.value) : String(pair.key)
      const keyPath = [...path, key]
      remember(walker, pair.key, keyPath)
      object[key] = toValue(walker, pair.value, keyPath)
    }
    return object
  }
  if (isSeq(node)) return node.items.map((item, index) => toValue(walker, item, [...path, index]))
  if (isScalar(node)) {
    if (node.source !== undefined) walker.written.set(pathKey(path), node.source)
    return typeof node.value === 'string' && walker.env !== null
      ? interpolate(node.value, walker.env, walker.placeOf(path))
      : node.value
  }
  return null
}

function remember(walker: Walker, node: unknown, path: readonly PropertyKey[]): void {
  const offset = (node as Node | null)?.range?.[0]
  if (offset !== undefined) walker.offsets.set(pathKey(path), offset)
}

function at(lines: LineCounter, file: string, offset: number): string {
  const { line, col } = lines.linePos(offset)
  return `${file}:${line}:${col}`
}

function describePlace(where: string, path: readonly PropertyKey[]): string {
  return path.length === 0 ? where : `${where} (${formatPath(path)})`
}

function pathKey(path: readonly PropertyKey[]): string {
  return JSON.stringify(path)
}
