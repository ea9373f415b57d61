/** The JSON of a statement with its variables replaced, and reading it key by key. */
import { readVariable, toValue } from './condition.js'
import { failure, ProblemList } from './pipeline-error.js'
import type { Span } from './source-text.js'
import type { JsonNode, JsonObject } from './syntax.js'
import { substitute, type VariableLayers } from './variables.js'

export type JsonValue =
  string | number | boolean | null | readonly JsonValue[] | { readonly [key: string]: JsonValue }

export interface Parameter {
  readonly value: JsonValue
  readonly span: Span
}

/** Values by key; a key whose value is null is as good as absent. */
export type Parameters = ReadonlyMap<string, Parameter>

/** @throws PipelineError for variables that are not set */
export function resolveParameters(object: JsonObject | null, layers: VariableLayers): Parameters {
  const problems = new ProblemList()
  const parameters = new Map<string, Parameter>()
  for (const { key, value } of object?.members ?? []) {
    problems.attempt(() => {
      const resolved = resolveNode(value, layers)
      if (resolved !== null)
        parameters.set(substitute(key.value, layers, key), { value: resolved, span: value.span })
    })
  }
  problems.assertNone()
  return parameters
}

function resolveNode(node: JsonNode, layers: VariableLayers): JsonValue {
  switch (node.kind) {
    case 'text':
      return substitute(node.value, layers, node.span)
    case 'literal':
      return node.value
    case 'variable':
      return toValue(readVariable(node.span, layers))
    case 'list':
      return node.items.map((item) => resolveNode(item, layers))
    case 'object':
      return Object.fromEntries(
        node.members.map(({ key, value }) => [
          substitute(key.value, layers, key),
          resolveNode(value, layers),
        ]),
      )
  }
}

/** Reads values of one kind and notes what is wrong with them. */
export class ParameterReader {
  readonly #parameters: Parameters
  readonly #problems: ProblemList
  /** Before each message: the class of error as the language's documents name it. */
  readonly #prefix: string

  constructor(parameters: Parameters, problems: ProblemList, prefix: string) {
    this.#parameters = parameters
    this.#problems = problems
    this.#prefix = prefix
  }

  /** Where the value of a key stands. */
  spanOf(key: string): Span | null {
    return this.#parameters.get(key)?.span ?? null
  }

  /** A number is taken as its text. */
  text(key: string): string | null {
    const parameter = this.#parameters.get(key)
    if (parameter === undefined) return null
    if (typeof parameter.value === 'string') return parameter.value
    if (typeof parameter.value === 'number') return String(parameter.value)
    return this.#wrong(key, 'must be text')
  }

  /** Text that is a whole number is converted. */
  integer(key: string, minimum: number): number | null {
    const parameter = this.#parameters.get(key)
    if (parameter === undefined) return null
    const { value } = parameter
    const number =
      typeof value === 'string' && /^\s*[+-]?\d+\s*$/.test(value)
        ? Number(value)
        : typeof value === 'number'
          ? value
          : NaN
    if (!Number.isSafeInteger(number)) return this.#wrong(key, 'must be an integer')
    return number >= minimum ? number : this.#wrong(key, `must be ${minimum} or more`)
  }

  boolean(key: string): boolean | null {
    const parameter = this.#parameters.get(key)
    if (parameter === undefined) return null
    const value = typeof parameter.value === 'string' ? toValue(parameter.value) : parameter.value
    return typeof value === 'boolean' ? value : this.#wrong(key, 'must be true or false')
  }

  /** Text, or a list of texts that is not empty. */
  names(key: string): readonly string[] | null {
    const value = this.#parameters.get(key)?.value
    if (value === undefined) return null
    if (typeof value === 'string' && value !== '') return [value]
    const isList = Array.isArray(value) && value.length > 0
    const names = isList ? value.filter((item) => typeof item === 'string' && item !== '') : []
    if (isList && names.length === value.length) return names as readonly string[]
    return this.#wrong(key, 'must be a name or a list of names')
  }

  #wrong(key: string, what: string): null {
    const span = this.spanOf(key)
    if (span !== null) this.#problems.add(failure(span, `${this.#prefix}Parameter '${key}' ${what}`))
    return null
  }
}

/** Notes keys that do not exist. */
export function refuseUnknownKeys(
  parameters: Parameters,
  known: readonly string[],
  problems: ProblemList,
): void {
  for (const [key, { span }] of parameters) {
    if (known.includes(key)) continue
    problems.add(
      failure(span, `Unknown key ${JSON.stringify(key)}`, {
        code: 'CONFIG_UNKNOWN_KEY',
        hint: `Known here: ${known.join(', ')}.`,
      }),
    )
  }
}
