/**
 * `${VAR}` in configuration values: one pass, values only, never keys, never again in what a variable held.
 *
 * `${VAR}` is the variable and an error when it is not set; `${VAR:-text}` is `text` when it is not set or empty;
 * `$${` is a literal `${`.
 */
import { TrunklineError } from '../model/error.js'

export type Environment = Readonly<Record<string, string | undefined>>

const REFERENCE = /\$\$\{|\$\{([^}]*)\}?/g
const NAME = /^[A-Za-z_][A-Za-z0-9_]*$/

/**
 * @param place where the text stands, for the error: `trunkline.yaml:4:10 (connections.shop.url)`.
 * @throws CONFIG_UNSET_VARIABLE, CONFIG_INVALID for a reference that is malformed
 */
export function interpolate(text: string, env: Environment, place: string): string {
  return text.replaceAll(REFERENCE, (whole: string, body: string | undefined) => {
    if (body === undefined) return '${'
    const separator = body.indexOf(':-')
    const name = separator < 0 ? body : body.slice(0, separator)
    if (!whole.endsWith('}') || !NAME.test(name)) {
      throw new TrunklineError('CONFIG_INVALID', `${place}: a \`\${…}\` is not a variable reference.`, {
        hint: 'Write `${NAME}` or `${NAME:-default}`; for a literal `${` write `$${`.',
      })
    }
    const value = env[name]
    if (separator < 0) {
      if (value === undefined) {
        throw new TrunklineError(
          'CONFIG_UNSET_VARIABLE',
          `${place}: the environment variable ${name} is not set.`,
          {
            hint: `Set ${name}, put it in .env beside the configuration, or give a default: \${${name}:-…}.`,
          },
        )
      }
      return value
    }
    return value === undefined || value === '' ? body.slice(separator + 2) : value
  })
}
