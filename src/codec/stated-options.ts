/** Options of a format as text states them, `csv:DIR?header=false`: checked and named. */
import { closestKey } from '../model/closest-name.js'
import { TrunklineError } from '../model/error.js'

export type FormatOptions = Readonly<Record<string, string>>

/** @throws CONFIG_UNKNOWN_KEY with the list of those there are */
export function refuseUnknownOptions(format: string, options: FormatOptions, known: readonly string[]): void {
  for (const key of Object.keys(options)) {
    if (known.includes(key)) continue
    const suggestion = closestKey(key, known)
    const meant = suggestion === null ? '' : `Did you mean \`${suggestion}\`? `
    throw new TrunklineError('CONFIG_UNKNOWN_KEY', `${format}: unknown option \`${key}\`.`, {
      hint: known.length === 0 ? 'It has no options.' : `${meant}Options: ${known.join(', ')}.`,
    })
  }
}

/** What the option's value stands for; the first of `values` where it is not stated. @throws CONFIG_INVALID */
export function chooseOption<Value>(
  format: string,
  options: FormatOptions,
  key: string,
  values: Readonly<Record<string, Value>> & { readonly [first: string]: Value },
): Value {
  const names = Object.keys(values)
  const stated = options[key] ?? names[0] ?? ''
  if (Object.hasOwn(values, stated)) return values[stated]!
  throw new TrunklineError('CONFIG_INVALID', `${format}: ${key}=${stated} is not one of what it can be.`, {
    hint: `${key} is one of: ${names.join(' ')}.`,
  })
}
