/**
 * What saved JSON must look like, with its type: the few shapes that Trunkline writes itself and reads in every run. Like zod's, and
 * in its words, without its 80 ms of loading; what people write is checked by zod, which explains better.
 */

/** Gives the value with what the shape names and nothing else. @throws ShapeError */
export type Shape<Value> = (value: unknown, path: string) => Value
export type ShapeOf<S> = S extends Shape<infer Value> ? Value : never

/** Says where the value is not what it should be, and never what it is. */
export class ShapeError extends Error {
  constructor(path: string, expected: string) {
    super(`${path === '' ? 'the value' : path} is not ${expected}`)
    this.name = 'ShapeError'
  }
}

export const text: Shape<string> = (value, path) => {
  if (typeof value === 'string') return value
  throw new ShapeError(path, 'text')
}

export const number: Shape<number> = (value, path) => {
  if (typeof value === 'number' && Number.isFinite(value)) return value
  throw new ShapeError(path, 'a number')
}

export const boolean: Shape<boolean> = (value, path) => {
  if (typeof value === 'boolean') return value
  throw new ShapeError(path, 'true or false')
}

export function literal<const Value extends string | number>(expected: Value): Shape<Value> {
  return (value, path) => {
    if (value === expected) return expected
    throw new ShapeError(path, JSON.stringify(expected))
  }
}

export function nullable<Value>(shape: Shape<Value>): Shape<Value | null> {
  return (value, path) => (value === null ? null : shape(value, path))
}

export function list<Value>(shape: Shape<Value>): Shape<Value[]> {
  return (value, path) => {
    if (!Array.isArray(value)) throw new ShapeError(path, 'a list')
    return value.map((item, index) => shape(item, `${path}[${index}]`))
  }
}

export function pair<First, Second>(first: Shape<First>, second: Shape<Second>): Shape<[First, Second]> {
  return (value, path) => {
    if (!Array.isArray(value) || value.length !== 2) throw new ShapeError(path, 'a pair')
    return [first(value[0], `${path}[0]`), second(value[1], `${path}[1]`)]
  }
}

type Fields = Readonly<Record<string, Shape<unknown>>>
type Required<F extends Fields> = { [Key in keyof F]: ShapeOf<F[Key]> }
type Optional<F extends Fields> = { [Key in keyof F]?: ShapeOf<F[Key]> | undefined }

/** Keys that it does not name are left out. */
export function object<F extends Fields, O extends Fields = Record<never, never>>(
  fields: F,
  optional?: O,
): Shape<Required<F> & Optional<O>> {
  return (value, path) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw new ShapeError(path, 'an object')
    }
    const given = value as Readonly<Record<string, unknown>>
    const at = (key: string): string => (path === '' ? key : `${path}.${key}`)
    const taken: Record<string, unknown> = {}
    for (const [key, shape] of Object.entries(fields)) taken[key] = shape(given[key], at(key))
    for (const [key, shape] of Object.entries(optional ?? {})) {
      if (given[key] !== undefined) taken[key] = shape(given[key], at(key))
    }
    return taken as Required<F> & Optional<O>
  }
}

type Kinds = Readonly<Record<string, Shape<unknown>>>

/** One of several objects, told apart by their `kind`. */
export function oneOf<K extends Kinds>(kinds: K): Shape<ShapeOf<K[keyof K]>> {
  return (value, path) => {
    const kind = (value as { kind?: unknown } | null | undefined)?.kind
    const shape = typeof kind === 'string' && Object.hasOwn(kinds, kind) ? kinds[kind] : undefined
    if (shape === undefined) throw new ShapeError(path, `one of ${Object.keys(kinds).join(', ')}`)
    return shape(value, path) as ShapeOf<K[keyof K]>
  }
}
