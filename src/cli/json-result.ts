/** The result of a command as one JSON document on one line. */
import { EVENT_VERSION } from '../model/report.js'
import { escapeJson } from './escape.js'
import type { Terminal } from './terminal.js'

export async function printJson(terminal: Terminal, result: object): Promise<void> {
  await terminal.out(`${escapeJson(JSON.stringify({ v: EVENT_VERSION, ...result }, toJson))}\n`)
}

/** Numbers wider than 53 bits as decimal text. */
function toJson(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString()
  if (value instanceof Map) return Object.fromEntries(value as Map<string, unknown>)
  return value
}
