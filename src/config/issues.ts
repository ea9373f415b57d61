/** What zod found wrong, as the one error a person should look at first. */
import type { z } from 'zod'
import { closestKey } from '../model/closest-name.js'
import { TrunklineError } from '../model/error.js'
import { isUnsupportedKey, unsupportedKey } from './unsupported.js'

type Issue = z.core.$ZodIssue

export interface IssueContext {
  placeOf(path: readonly PropertyKey[]): string
  /** Keys that may stand in the object at a path; null where any may. */
  knownKeysAt(path: readonly PropertyKey[]): readonly string[] | null
  /** How keys are spelled where the input came from. */
  spell(key: string): string
}

/** CONFIG_UNKNOWN_KEY, CONFIG_UNSUPPORTED or CONFIG_INVALID for the first issue. */
export function toConfigError(error: z.ZodError, context: IssueContext): TrunklineError {
  const issue = firstIssue(error.issues, [])
  if (issue === null) return new TrunklineError('CONFIG_INVALID', 'The configuration is not valid.')
  const place = context.placeOf(issue.path)
  if (issue.code !== 'unrecognized_keys') {
    return new TrunklineError('CONFIG_INVALID', `${place}: ${message(issue)}.`, {
      hint: 'docs/reference/configuration.md lists every key and its values.',
    })
  }

  const key = issue.keys[0] ?? ''
  const keyPlace = context.placeOf([...issue.path, context.spell(key)])
  if (isUnsupportedKey(key)) return unsupportedKey(keyPlace, context.spell(key), key)
  const known = context.knownKeysAt(issue.path) ?? []
  const suggestion = closestKey(key, known)
  return new TrunklineError('CONFIG_UNKNOWN_KEY', `${keyPlace}: unknown key \`${context.spell(key)}\`.`, {
    hint:
      suggestion === null
        ? `Known here: ${known.map((name) => context.spell(name)).join(', ')}.`
        : `Did you mean \`${context.spell(suggestion)}\`?`,
  })
}

/** Looks into unions for the branch that came closest: the one whose complaint lies deepest. */
function firstIssue(issues: readonly Issue[], prefix: readonly PropertyKey[]): Issue | null {
  const issue = issues[0]
  if (issue === undefined) return null
  const path = [...prefix, ...issue.path]
  if (issue.code === 'invalid_union') {
    const inner = issue.errors
      .map((branch) => firstIssue(branch, path))
      .filter((candidate): candidate is Issue => candidate !== null)
      .filter((candidate) => candidate.path.length > path.length || candidate.code === 'unrecognized_keys')
    return inner[0] ?? { ...issue, path }
  }
  return { ...issue, path }
}

function message(issue: Issue): string {
  if (issue.code === 'invalid_type') {
    if (issue.input === undefined && issue.message.includes('undefined')) return 'is required'
    return issue.message.startsWith('must') ? issue.message : `must be ${article(issue.expected)}`
  }
  if (issue.code === 'invalid_union' && !issue.message.startsWith('must'))
    return 'has the wrong kind of value'
  return issue.message
}

function article(expected: string): string {
  const words: Readonly<Record<string, string>> = {
    object: 'a mapping of keys to values',
    record: 'a mapping of names to values',
    string: 'text',
    array: 'a list',
  }
  return words[expected] ?? `a ${expected}`
}
