/** Text in which some bytes are written with a backslash and a letter, as COPY and JSON have it. */
import type { EscapeBytes } from './cells.js'
import { writeAscii } from './digits.js'
import { writeHex } from './value-writer.js'

const BACKSLASH = 0x5c
/** Stands for `u00` and two hexadecimal digits, and is no letter. */
const BY_NUMBER = 1

/**
 * `letters`: each a byte and the letter that stands for it behind a backslash. All bytes below `byNumber` that have none are written
 * by their number, `\u001f`: six bytes at most, where a letter makes two.
 */
export function backslashEscape(letters: readonly string[], byNumber = 0): EscapeBytes {
  const escapes = new Uint8Array(256).fill(BY_NUMBER, 0, byNumber)
  for (const pair of letters) escapes[pair.charCodeAt(0)] = pair.charCodeAt(1)
  return (source, from, to, target, at) => {
    for (let index = from; index < to; index++) {
      const byte = source[index]!
      const letter = escapes[byte]!
      if (letter === 0) target[at++] = byte
      else {
        target[at++] = BACKSLASH
        if (letter === BY_NUMBER) {
          at = writeAscii(target, at, 'u00')
          at = writeHex(target, at, source, { from: index, to: index + 1 })
        } else target[at++] = letter
      }
    }
    return at
  }
}
