/**
 * Messages of the extended query protocol, for statements without parameters.
 *
 * https://www.postgresql.org/docs/current/protocol-message-formats.html
 */
import { TrunklineError } from '../model/error.js'

/** Parse into the unnamed statement: it can only ever be one statement. */
export function parseMessage(sql: string): Buffer {
  if (sql.includes('\0')) throw new TrunklineError('QUERY_FAILED', 'A statement cannot hold a NUL character.')
  const text = Buffer.from(sql, 'utf8')
  const parse = Buffer.alloc(1 + 4 + 1 + text.length + 1 + 2)
  parse[0] = 0x50
  parse.writeInt32BE(parse.length - 1, 1)
  text.copy(parse, 6)
  return parse
}

/** Unnamed portal of the unnamed statement; no parameters, every column in binary. */
export const BIND_BINARY = Buffer.from([0x42, 0, 0, 0, 14, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1])
/** What columns the unnamed portal has, and in which format. */
export const DESCRIBE = Buffer.from([0x44, 0, 0, 0, 6, 0x50, 0])
/** Unnamed portal, all rows. */
export const EXECUTE = Buffer.from([0x45, 0, 0, 0, 9, 0, 0, 0, 0, 0])
export const SYNC = Buffer.from([0x53, 0, 0, 0, 4])
