/** Values of the profiles that take text alone: Fivetran's connector SDK hands configurations over as text by key. */
import type { TypeProfile } from '../../model/sync-spec.js'
import type { ProfileDocument, ProfileError, ProfileWords } from './profile.js'
import { refuse } from './profile.js'

export const TYPE_PROFILE_KEY = 'type_profile'

const valueError = (text: string): ProfileWords => ({ className: 'ValueError', text })

/**
 * Every value, checked to be text.
 * @throws ProfileError `ValueError: Configuration value for K must be a string, got int`
 */
export function readTexts(document: ProfileDocument): ReadonlyMap<string, string> {
  return new Map(
    Object.entries(document.values).map(([key, value]) => {
      if (typeof value === 'string') return [key, value]
      throw refuse(
        valueError(`Configuration value for ${key} must be a string, got ${pythonType(value)}`),
        `${document.placeOf(key)}: must be text.`,
        `Put the value into quotes: every value of this configuration is text.`,
      )
    }),
  )
}

/** As Python names the type of a value of JSON. */
export function pythonType(value: unknown): string {
  if (value === null || value === undefined) return 'NoneType'
  if (Array.isArray(value)) return 'list'
  if (typeof value === 'number') return Number.isInteger(value) ? 'int' : 'float'
  return typeof value === 'boolean' ? 'bool' : 'dict'
}

/**
 * Absent and empty are the same.
 * @throws ProfileError with the text that the profile has for it
 */
export function requireText(
  document: ProfileDocument,
  texts: ReadonlyMap<string, string>,
  key: string,
  missing: (key: string) => string,
): string {
  const value = texts.get(key) ?? ''
  if (value !== '') return value
  throw refuse(
    valueError(missing(key)),
    `${document.placeOf(key)}: \`${key}\` is missing or empty.`,
    `Give it a value: ${document.file} needs it.`,
  )
}

/** @throws ProfileError in the words of Python's `int()` */
export function readCount(
  document: ProfileDocument,
  texts: ReadonlyMap<string, string>,
  key: string,
  { fallback, minimum }: { readonly fallback: number; readonly minimum: number },
): number {
  const text = texts.get(key) ?? ''
  if (text.trim() === '') return fallback
  const count = /^\s*[+-]?\d+\s*$/.test(text) ? Number(text) : NaN
  if (Number.isSafeInteger(count) && count >= minimum) return count
  const wrong = Number.isNaN(count)
    ? `invalid literal for int() with base 10: '${text}'`
    : `${key} must be ${minimum} or more, got ${text}`
  throw notANumber(document, key, wrong, minimum)
}

/** Seconds, with a fraction where there is one. @throws ProfileError in the words of Python's `float()` */
export function readSeconds(
  document: ProfileDocument,
  texts: ReadonlyMap<string, string>,
  key: string,
  fallback: number,
): number {
  const text = texts.get(key) ?? ''
  if (text.trim() === '') return fallback
  const seconds = /^\s*\+?(\d+\.?\d*|\.\d+)\s*$/.test(text) ? Number(text) : NaN
  if (Number.isFinite(seconds)) return seconds
  throw notANumber(document, key, `could not convert string to float: '${text}'`, 0)
}

/** A key of ours that every profile takes. @throws ProfileError */
export function readTypeProfile(
  document: ProfileDocument,
  texts: ReadonlyMap<string, string>,
): { readonly typeProfile?: TypeProfile } {
  const value = texts.get(TYPE_PROFILE_KEY) ?? ''
  if (value === '') return {}
  if (value === 'exact' || value === 'widened') return { typeProfile: value }
  throw refuse(
    valueError(`Invalid type_profile value: ${value}`),
    `${document.placeOf(TYPE_PROFILE_KEY)}: must be exact or widened.`,
    'exact loses nothing; widened lands whole numbers as BIGINT and numeric as DOUBLE.',
  )
}

function notANumber(document: ProfileDocument, key: string, text: string, minimum: number): ProfileError {
  return refuse(
    valueError(text),
    `${document.placeOf(key)}: must be a number, ${minimum} or more.`,
    `Write it as text, as "${key}": "${Math.max(minimum, 1)}".`,
  )
}
