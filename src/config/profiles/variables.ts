/**
 * `${NAME}` and `${NAME|default}` in keys and values, from the environment; once, so that what a variable holds stays as it is. A
 * default may stand in quotes, and then hold a brace; `$${` is a literal `${`.
 */
import { TrunklineError } from '../../model/error.js'
import type { Environment } from '../interpolate.js'
import type { ProfileDocument } from './profile.js'

const REFERENCE = /\$\$\{|\$\{([^}|]*(?:\|\s*(?:'[^']*'|"[^"]*")\s*(?=\})|\|[^}]*)?)\}?/g
const BODY = /^\s*([A-Za-z_]\w*)\s*(?:\|\s*(?:'([^']*)'|"([^"]*)"|([^]*?))\s*)?$/

/** @throws CONFIG_UNSET_VARIABLE, CONFIG_INVALID with the place */
export function replaceVariables(document: ProfileDocument): ProfileDocument {
  const { env } = document
  const values = Object.entries(document.values).map(([key, value]) => {
    const place = document.placeOf(key)
    return [replaceInText(key, env, place), replaceInValue(value, env, place)]
  })
  return { ...document, values: Object.fromEntries(values) as ProfileDocument['values'] }
}

function replaceInValue(value: unknown, env: Environment, place: string): unknown {
  if (typeof value === 'string') return replaceInText(value, env, place)
  return Array.isArray(value) ? value.map((item) => replaceInValue(item, env, place)) : value
}

function replaceInText(text: string, env: Environment, place: string): string {
  return text.replaceAll(REFERENCE, (whole: string, body: string | undefined) => {
    if (body === undefined) return '${'
    const match = whole.endsWith('}') ? BODY.exec(body) : null
    const name = match?.[1]
    if (match === null || name === undefined) {
      throw new TrunklineError('CONFIG_INVALID', `${place}: a \`\${…}\` is not a variable.`, {
        hint: 'Write `${NAME}` or `${NAME|default}`; for a literal `${` write `$${`.',
      })
    }
    const found = env[name] ?? match[2] ?? match[3] ?? match[4]
    if (found !== undefined) return found
    throw new TrunklineError('CONFIG_UNSET_VARIABLE', `${place}: the variable ${name} is not set.`, {
      hint: `Set ${name} in the environment, put it in .env, or write a default: \${${name}|…}.`,
    })
  })
}
