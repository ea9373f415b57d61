/**
 * Names and messages come from a server that need not be friendly: nothing in them may move the cursor, recolour the
 * terminal, fake a line of our own or turn the reading direction.
 */

/** C0 and C1 controls, bidirectional marks and isolates, line and paragraph separators, and the byte order mark. */
const UNPRINTABLE =
  // eslint-disable-next-line no-control-regex -- control characters are what is looked for
  /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g

const SHORT: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t', '\u001b': '\\e' }

/** Visible escapes (`\e`, `\n`, `\u202e`) in place of what must not reach a terminal. */
export function escapeText(text: string): string {
  return text.replaceAll(UNPRINTABLE, (char) => SHORT[char] ?? toUnicodeEscape(char))
}

/** The same inside JSON, where `\uXXXX` keeps the value exact. */
export function escapeJson(json: string): string {
  return json.replaceAll(UNPRINTABLE, toUnicodeEscape)
}

/** Lines stay lines; within each, what {@link escapeText} or {@link escapeJson} does. */
export function escapeLines(text: string, form: 'text' | 'json'): string {
  const escape = form === 'json' ? escapeJson : escapeText
  return text.split('\n').map(escape).join('\n')
}

function toUnicodeEscape(char: string): string {
  return `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`
}
