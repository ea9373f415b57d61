/**
 * What may be printed.
 *
 * Secrets are kept out of messages by never putting them in; `redact` is the second wall, for text that others wrote.
 * Server text is untrusted: it can hold terminal escapes and bidirectional overrides that make a log say something else.
 */

const SECRET_KEYWORDS =
  'password|passwd|pwd|sslpassword|ssh_password|ssh_passphrase|TRUNKLINE_SSH_PASSWORD|TRUNKLINE_SSH_PASSPHRASE|scram_client_key|scram_server_key|oauth_client_secret|PGPASSWORD|PGSSLPASSWORD|secret|token|access_token'

/** `scheme://user:secret@`: everything between the first colon of the userinfo and its last `@`. */
const URL_PASSWORD = /\b([a-z][a-z0-9+.-]*:\/\/[^\s:/?#@"']*):[^\s/]*@/gi
/** Userinfo that is a token without a user name's colon is kept: it is the user name. */
const QUERY_SECRET = new RegExp(String.raw`([?&;](?:${SECRET_KEYWORDS})=)[^&;\s"'#]*`, 'gi')
const KEYWORD_SECRET = new RegExp(
  String.raw`\b((?:${SECRET_KEYWORDS})["']?\s*[=:]\s*)(?:'(?:[^'\\]|\\.|'')*'?|"(?:[^"\\]|\\.)*"?|[^\s'",;&)]+)`,
  'gi',
)

/** Removes passwords from anything printable: URLs, DSNs, environment assignments, query parameters. */
export function redact(text: string): string {
  return text
    .replace(URL_PASSWORD, '$1:***@')
    .replace(QUERY_SECRET, '$1***')
    .replace(KEYWORD_SECRET, (whole: string, prefix: string) =>
      whole.endsWith('***') ? whole : `${prefix}***`,
    )
}

// Control characters C0 (but tab and newline), DEL and C1, and the bidirectional controls of Unicode.
// eslint-disable-next-line no-control-regex
const UNPRINTABLE = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g

/** Text from a server as it may reach a terminal or a log: no control character acts, no secret stays, length bounded. */
export function printable(text: string, maxLength = 2000): string {
  const escaped = text.replace(
    UNPRINTABLE,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
  const clean = redact(escaped)
  return clean.length > maxLength ? `${clean.slice(0, maxLength)}…` : clean
}
