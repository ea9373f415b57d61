/**
 * `host=db port=5432 password='it''s'`: libpq's keyword form.
 *
 * Blanks may surround `=`; a value in single quotes may hold blanks; a backslash takes the next character as it is.
 */
import { TrunklineError } from '../model/error.js'
import { isKeyword, unknownKeyword } from './conninfo-keywords.js'
import type { Conninfo } from './conninfo-keywords.js'

const WHERE = 'The connection string'
const BLANK = /[ \t\n\r\f\v]/

/** @throws CONFIG_INVALID, CONFIG_UNKNOWN_KEY */
export function parseConninfoDsn(text: string): Conninfo {
  const conninfo: Conninfo = {}
  let at = 0
  const skipBlanks = (): void => {
    while (at < text.length && BLANK.test(text[at] ?? '')) at += 1
  }
  for (;;) {
    skipBlanks()
    if (at >= text.length) return conninfo
    const start = at
    while (at < text.length && text[at] !== '=' && !BLANK.test(text[at] ?? '')) at += 1
    const name = text.slice(start, at)
    skipBlanks()
    if (text[at] !== '=') throw malformed('has a word that is not followed by =')
    at += 1
    skipBlanks()
    let value = ''
    if (text[at] === "'") {
      at += 1
      while (text[at] !== "'") {
        if (text[at] === '\\') at += 1
        if (at >= text.length) throw malformed('has a quoted value without its closing quote')
        value += text[at] ?? ''
        at += 1
      }
      at += 1
    } else {
      while (at < text.length && !BLANK.test(text[at] ?? '')) {
        if (text[at] === '\\') at += 1
        value += text[at] ?? ''
        at += 1
      }
    }
    if (!isKeyword(name)) throw unknownKeyword(name, WHERE)
    conninfo[name] = value
  }
}

function malformed(how: string): TrunklineError {
  return new TrunklineError('CONFIG_INVALID', `${WHERE} ${how}.`, {
    hint: "It is either a URL, postgresql://user@host:5432/database, or pairs: host=db user=reader dbname='my shop'.",
  })
}
