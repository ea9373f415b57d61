/** Who may ask: a bearer token, compared in a time that says nothing about how much of it was right. */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'

/** 256 bits, in characters that need no quoting anywhere. */
export function makeToken(): string {
  return randomBytes(32).toString('base64url')
}

/** A function that takes the header `Authorization` and says whether it shows the token. */
export function bearerCheck(token: string): (header: string | undefined) => boolean {
  const expected = digest(token)
  return (header) => {
    const shown = /^Bearer +(\S+) *$/i.exec(header ?? '')?.[1]
    // Digests are of one length, whatever was shown.
    return timingSafeEqual(digest(shown ?? ''), expected) && shown !== undefined
  }
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text, 'utf8').digest()
}

const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d+)?$/i

/**
 * Whether a request to a loopback address was meant for it: a page in a browser can have its own name resolve to 127.0.0.1, and
 * then asks with that name.
 */
export function isLoopbackHost(header: string | undefined): boolean {
  return header === undefined || LOOPBACK.test(header)
}

export function isLoopbackAddress(address: string): boolean {
  return address === 'localhost' || address === '::1' || /^127(\.\d{1,3}){3}$/.test(address)
}
