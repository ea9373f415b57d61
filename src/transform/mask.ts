/** Masks at work: what a column becomes, and what stands for each of its values. Nulls stay null: that a value is missing is not hidden. */
import { createHmac } from 'node:crypto'
import type { Field } from '../model/column-type.js'
import type { Mask } from '../model/mask.js'
import { sha256 } from './sha256.js'

const REDACTED = '[redacted]'
/** What tells keys apart; nobody finds a key of 16 characters and more by it. */
const KEY_DIGEST_CHARACTERS = 16

/** What a column becomes. */
export function maskField(field: Field, mask: Mask): Field {
  return mask.kind === 'null' ? { ...field, nullable: true } : { ...field, type: { kind: 'text' } }
}

/** What the copy no longer holds, as part of a sentence. */
export function describeMask(mask: Mask): string {
  switch (mask.kind) {
    case 'hmac':
      return 'masked: a keyed hash stands for each value'
    case 'hash':
      return 'masked by a hash without a key, which is reversible for values that can be guessed'
    case 'redact':
      return `masked: every value is ${REDACTED}`
    case 'partial':
      return `masked but for the last ${mask.keep} characters`
    case 'null':
      return 'masked: no value is kept'
  }
}

/** Text that is another one for another mask, or another key, and from which no key is found. */
export function fingerprintMask(mask: Mask): string {
  switch (mask.kind) {
    case 'hmac':
      return `hmac ${createMasker(mask)('a mask of Trunkline')?.slice(0, KEY_DIGEST_CHARACTERS) ?? ''}`
    case 'partial':
      return `partial ${mask.keep}`
    case 'hash':
    case 'redact':
    case 'null':
      return mask.kind
  }
}

/** A function that gives what stands for a value's text; null where nothing does. */
export function createMasker(mask: Mask): (text: string) => string | null {
  switch (mask.kind) {
    case 'hmac':
      return (text) => createHmac('sha256', mask.key).update(text, 'utf8').digest('hex')
    case 'hash':
      return sha256
    case 'redact':
      return () => REDACTED
    case 'partial':
      return (text) => keepLast(text, mask.keep)
    case 'null':
      return () => null
  }
}

/** A text no longer than what would be kept shows nothing. */
function keepLast(text: string, count: number): string {
  const characters = [...text]
  const kept = characters.length > count && count > 0 ? characters.slice(-count) : []
  return '*'.repeat(characters.length - kept.length) + kept.join('')
}
