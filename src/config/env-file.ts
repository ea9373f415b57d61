/**
 * `.env`: lines of `NAME=value`, for settings that do not belong in a configuration file.
 *
 * `#` starts a comment at the start of a line or after a blank; `export ` before a name is allowed; '…' is taken as it
 * stands; "…" knows \n, \r, \t, \\, \" and \$. Nothing is expanded. The environment itself always wins.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { TrunklineError } from '../model/error.js'
import type { Environment } from './interpolate.js'

const LINE = /^\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)$/
const ESCAPES: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t' }

/** The environment with what `.env` in `directory` adds to it. */
export async function readEnvironment(directory: string, env: Environment): Promise<Environment> {
  const path = join(directory, '.env')
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'EISDIR' || code === 'ENOTDIR') return env
    throw new TrunklineError('CONFIG_INVALID', `${path} cannot be read.`, {
      hint: 'Make it readable, or move it away: its variables are optional.',
      context: { path },
      cause,
    })
  }
  return { ...parseEnvFile(text, path), ...env }
}

/** @throws CONFIG_INVALID naming the line, never its content */
export function parseEnvFile(text: string, path: string): Record<string, string> {
  const variables: Record<string, string> = {}
  const lines = text.replace(/^\uFEFF/, '').split(/\r\n|\r|\n/)
  for (const [index, line] of lines.entries()) {
    if (/^\s*(#|$)/.test(line)) continue
    const match = LINE.exec(line)
    const value = match === null ? null : parseValue(match[2] ?? '')
    if (match?.[1] === undefined || value === null) {
      throw new TrunklineError('CONFIG_INVALID', `${path}:${index + 1}: not a line of the form NAME=value.`, {
        hint: 'Write NAME=value, NAME=\'value\' or NAME="value"; # starts a comment.',
        context: { path },
      })
    }
    variables[match[1]] = value
  }
  return variables
}

function parseValue(text: string): string | null {
  const single = /^'([^']*)'\s*(?:#.*)?$/.exec(text)
  if (single) return single[1] ?? ''
  const double = /^"((?:[^"\\]|\\.)*)"\s*(?:#.*)?$/.exec(text)
  if (double) return (double[1] ?? '').replaceAll(/\\(.)/g, (_, char: string) => ESCAPES[char] ?? char)
  if (text.startsWith("'") || text.startsWith('"')) return null
  return text.replace(/\s+#.*$/, '').trim()
}
