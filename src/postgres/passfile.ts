/**
 * The password file: lines of `hostname:port:database:username:password`, the first that matches counts.
 *
 * https://www.postgresql.org/docs/current/libpq-pgpass.html
 */
import { readFile, stat } from 'node:fs/promises'
import { TrunklineError } from '../model/error.js'

export interface PassfileQuery {
  /** A name, an address, or the directory of a unix socket. */
  readonly host: string
  readonly port: number
  readonly database: string
  readonly user: string
}

/** The directories that libpq is built with: a socket there is looked up as `localhost`. */
export const SOCKET_DIRECTORIES = ['/var/run/postgresql', '/run/postgresql', '/tmp']

/**
 * @returns null where the file is absent or has no line for the query.
 * @throws SECRET_FILE_PERMISSIONS where it is open to others; libpq warns and goes on without the password.
 */
export async function readPassfile(path: string, query: PassfileQuery): Promise<string | null> {
  const found = await stat(path).catch(() => null)
  if (found === null || !found.isFile()) return null
  if (process.platform !== 'win32' && (found.mode & 0o077) !== 0) {
    throw new TrunklineError('SECRET_FILE_PERMISSIONS', `The password file ${path} can be read by others.`, {
      hint: `Run: chmod 0600 ${path}`,
      context: { path },
    })
  }
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw new TrunklineError('CONFIG_INVALID', `The password file ${path} cannot be read.`, {
      hint: 'Check its owner and permissions.',
      context: { path },
      cause,
    })
  })
  return findPassword(text, query)
}

/** Pure part of {@link readPassfile}. */
export function findPassword(text: string, { host, port, database, user }: PassfileQuery): string | null {
  const hostname = host === '' || SOCKET_DIRECTORIES.includes(host) ? 'localhost' : host
  const wanted = [hostname, String(port), database, user]
  for (const line of text.split(/\r?\n/)) {
    if (line === '' || line.startsWith('#')) continue
    const password = matchLine(line, wanted)
    if (password !== null) return password
  }
  return null
}

/** Fields end at an unescaped colon; `*` alone matches everything; the password may hold colons. */
function matchLine(line: string, wanted: readonly string[]): string | null {
  let at = 0
  for (const want of wanted) {
    let field = ''
    let escaped = false
    while (at < line.length && line[at] !== ':') {
      if (line[at] === '\\' && at + 1 < line.length) {
        at += 1
        escaped = true
      }
      field += line[at] ?? ''
      at += 1
    }
    if (at >= line.length) return null
    at += 1
    if (field !== want && (field !== '*' || escaped)) return null
  }
  let password = ''
  for (; at < line.length; at += 1) {
    if (line[at] === '\\' && at + 1 < line.length) at += 1
    password += line[at] ?? ''
  }
  return password
}
