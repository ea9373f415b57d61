/** Reads parameters of SQLFlow: numbers may be written as text, and an empty text is as good as none. */
import type { ProfileDocument, ProfileError } from './profile.js'
import { refuse } from './profile.js'
import { SQLFLOW_TEXTS } from './sqlflow-errors.js'

export class SqlflowParameters {
  readonly #document: ProfileDocument
  readonly #values: ReadonlyMap<string, unknown>

  constructor(document: ProfileDocument) {
    this.#document = document
    this.#values = new Map(Object.entries(document.values))
  }

  /** A number is taken as it is written. @throws ProfileError */
  text(key: string): string | null {
    const value = this.#values.get(key)
    if (value === undefined || value === null || value === '') return null
    if (typeof value === 'string') return value
    if (typeof value === 'number') return this.#document.writtenAt(key) ?? String(value)
    throw this.wrong(key, `Parameter '${key}' must be a string`, 'Write it in quotes.')
  }

  /** @throws ProfileError */
  integer(key: string, minimum: number): number | null {
    const value = this.#values.get(key)
    if (value === undefined || value === null) return null
    const number =
      typeof value === 'string' && /^\s*[+-]?\d+\s*$/.test(value)
        ? Number(value)
        : typeof value === 'number'
          ? value
          : NaN
    if (!Number.isSafeInteger(number)) {
      throw this.wrong(key, SQLFLOW_TEXTS.integer(key), `Write a whole number, as "${key}": 10.`)
    }
    if (number >= minimum) return number
    throw this.wrong(key, `Parameter '${key}' must be ${minimum} or more`, 'Write a larger number.')
  }

  /** A name, or a list of names that is not empty. @throws ProfileError */
  names(key: string): readonly string[] | null {
    const value = this.#values.get(key)
    if (value === undefined || value === null || value === '') return null
    const list: readonly unknown[] = Array.isArray(value) ? value : [value]
    const names = list.filter((item): item is string => typeof item === 'string' && item !== '')
    if (names.length === list.length && names.length > 0) return names
    throw this.wrong(key, `Parameter '${key}' must be a name or a list of names`, 'Write ["id"].')
  }

  /** @throws ProfileError */
  choice<Choice extends string>(key: string, choices: readonly Choice[]): Choice | null {
    const value = this.text(key)
    if (value === null) return null
    const found = choices.find((choice) => choice === value)
    if (found !== undefined) return found
    const text = `Invalid ${key} '${value}'. Must be one of: ${choices.join(', ')}`
    throw this.wrong(key, text, `Write one of ${choices.join(', ')}.`)
  }

  wrong(key: string, text: string, hint: string): ProfileError {
    const message = `${this.#document.placeOf(key)}: ${key} cannot be used as it is.`
    return refuse({ className: 'ParameterError', text }, message, hint)
  }
}
