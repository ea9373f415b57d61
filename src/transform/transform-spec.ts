/** What is done to the rows of a stream, read from its options: names, types, what of it a later run must notice, and in words. */
import type { Field } from '../model/column-type.js'
import { TrunklineError } from '../model/error.js'
import type { TransformRow } from '../model/hooks.js'
import { parseMask, type Mask } from '../model/mask.js'
import type { StreamOptions } from '../model/sync-spec.js'
import { isConstant, parseAdded, type AddedField } from './added-field.js'
import { describeMask, fingerprintMask, maskField } from './mask.js'
import { sha256 } from './sha256.js'

export interface TransformSpec {
  readonly stream: string
  /** By column of the source. */
  readonly masks: ReadonlyMap<string, Mask>
  /** Landed name by column of the source. */
  readonly renames: ReadonlyMap<string, string>
  /** Constants before facts. */
  readonly added: readonly AddedField[]
  readonly hook: RowHook | null
}

export interface RowHook {
  readonly transformRow: TransformRow
  /** How messages call it. */
  readonly name: string
  /** Another one: other rows may come out. */
  readonly version: string
  readonly options: Readonly<Record<string, unknown>>
}

export type TransformOptions = Pick<
  StreamOptions,
  'mask' | 'rename' | 'addColumns' | 'hooks' | 'transformRow' | 'hookVersion'
>

export interface ParsedTransforms {
  readonly spec: TransformSpec
  /** Columns of the source in whose place an added one lands. */
  readonly replaced: ReadonlySet<string>
}

/**
 * @param columns those of the source that are to land
 * @throws CONFIG_INVALID, STREAM_MISSING for a column that the stream does not land, NAME_COLLISION for an added column of a name
 * that is taken
 */
export function parseTransforms(
  options: TransformOptions,
  {
    stream,
    columns,
    foldName,
  }: {
    readonly stream: string
    readonly columns: readonly string[]
    readonly foldName: (name: string) => string
  },
): ParsedTransforms {
  const masks = new Map<string, Mask>()
  for (const [name, text] of Object.entries(options.mask ?? {})) {
    requireColumn(stream, 'mask', name, columns)
    masks.set(name, parseMask(text, `The mask of ${stream}.${name}`))
  }
  for (const name of Object.keys(options.rename ?? {})) requireColumn(stream, 'rename', name, columns)
  const renames = new Map(Object.entries(options.rename ?? {}).filter(([name, landed]) => name !== landed))
  const sourceOf = new Map(columns.map((name) => [foldName(renames.get(name) ?? name), name]))
  const replaced = new Set<string>()
  const added: AddedField[] = []
  for (const [name, stated] of Object.entries(options.addColumns ?? {})) {
    const taken = sourceOf.get(foldName(name))
    const ifPresent = (typeof stated === 'object' ? stated.ifPresent : undefined) ?? 'error'
    if (taken !== undefined && ifPresent === 'keep') continue
    if (taken !== undefined && ifPresent === 'error') throw nameTaken(stream, name, taken)
    if (taken !== undefined) replaced.add(taken)
    added.push(parseAdded(stream, name, stated))
  }
  const { transformRow } = options
  return {
    spec: {
      stream,
      masks: new Map([...masks].filter(([name]) => !replaced.has(name))),
      renames: new Map([...renames].filter(([name]) => !replaced.has(name))),
      added: [...added.filter(isConstant), ...added.filter((column) => !isConstant(column))],
      hook: transformRow === undefined ? null : describeHook(transformRow, options),
    },
    replaced,
  }
}

/** Rows come out as they went in. */
export function isIdentity({ masks, renames, added, hook }: TransformSpec): boolean {
  return masks.size === 0 && renames.size === 0 && added.length === 0 && hook === null
}

export function landedName({ renames }: TransformSpec, column: string): string {
  return renames.get(column) ?? column
}

/** Fields of columns of the source as they land, without added ones. */
export function landedColumns(spec: TransformSpec, fields: readonly Field[]): readonly Field[] {
  return fields.map((field) => {
    const mask = spec.masks.get(field.name)
    const masked = mask === undefined ? field : maskField(field, mask)
    return { ...masked, name: landedName(spec, field.name) }
  })
}

/**
 * Fields of whole rows as they land.
 * @param key columns that no hook may change; others may come back from it as null
 */
export function landedFields(
  spec: TransformSpec,
  fields: readonly Field[],
  key: readonly string[] | null,
): readonly Field[] {
  const loose =
    spec.hook === null
      ? fields
      : fields.map((field) => (key?.includes(field.name) === true ? field : { ...field, nullable: true }))
  const nullable = spec.hook !== null
  return [
    ...landedColumns(spec, loose),
    ...spec.added.map((column) =>
      nullable && isConstant(column) ? { ...column.field, nullable: true } : column.field,
    ),
  ]
}

/** What another run must find the same for the rows that are there to be good: what, and as what. Without secrets. */
export function fingerprintTransforms(
  spec: TransformSpec,
  key: readonly string[] | null,
): [string, string][] {
  const entries: [string, string][] = []
  for (const [name, mask] of spec.masks) entries.push([maskOf(name), fingerprintMask(mask)])
  for (const [name, landed] of spec.renames) entries.push([nameOf(name), landed])
  for (const { field, content } of spec.added) {
    const what = `added column ${field.name}`
    if (content.kind === 'constant') {
      entries.push([
        what,
        `${field.type.kind} ${content.value === null ? 'null' : `= ${String(content.value)}`}`,
      ])
    } else if (content.kind === 'row_id') {
      entries.push([what, `row_id of ${key === null ? 'the row' : key.join(', ')}`])
    } else {
      entries.push([what, content.kind])
    }
  }
  if (spec.hook !== null) entries.push(['row hook', spec.hook.version])
  return entries.sort(([one], [other]) => (one < other ? -1 : 1))
}

const maskOf = (column: string): string => `mask of ${column}`
const nameOf = (column: string): string => `name of ${column}`

/** What a fingerprint says of a single column of the source. */
export function transformsOfColumn(column: string): readonly string[] {
  return [maskOf(column), nameOf(column)]
}

/** What is done to rows, as parts of the sentence of a promise. */
export function describeTransforms(
  spec: TransformSpec,
  { mayDrop }: { readonly mayDrop: boolean },
): string[] {
  const parts = [...spec.masks].map(([name, mask]) => `${name} ${describeMask(mask)}`)
  for (const [name, landed] of spec.renames) parts.push(`${name} lands as ${landed}`)
  if (spec.added.length > 0) parts.push(`with ${spec.added.map(({ field }) => field.name).join(', ')} added`)
  if (spec.hook !== null) {
    parts.push(`rows as ${spec.hook.name} makes them${mayDrop ? ', without those that it leaves out' : ''}`)
  }
  return parts
}

const HOOK_VERSION_CHARACTERS = 16

function describeHook(transformRow: TransformRow, { hooks, hookVersion }: TransformOptions): RowHook {
  const module = typeof hooks === 'object' ? hooks.module : hooks
  const options = (typeof hooks === 'object' ? hooks.options : undefined) ?? {}
  const version = hookVersion ?? sha256(transformRow.toString())
  return {
    transformRow,
    name: module === undefined ? 'transformRow' : `transformRow of ${module.replace(/^.*[/\\]/, '')}`,
    version: sha256(JSON.stringify([version, options])).slice(0, HOOK_VERSION_CHARACTERS),
    options,
  }
}

function requireColumn(stream: string, key: string, name: string, columns: readonly string[]): void {
  if (columns.includes(name)) return
  throw new TrunklineError('STREAM_MISSING', `${stream} lands no column "${name}", which \`${key}\` names.`, {
    hint: `Its columns are ${columns.join(', ')}.`,
    context: { stream, field: name },
  })
}

function nameTaken(stream: string, name: string, column: string): TrunklineError {
  const taken = column === name ? 'its own' : `its own "${column}"`
  return new TrunklineError(
    'NAME_COLLISION',
    `The added column "${name}" of ${stream} and ${taken} are one name at the destination.`,
    {
      hint: 'Give it another name, or set `if_present`: keep leaves the column of the source, replace lands the added one instead.',
      context: { stream, field: name },
    },
  )
}
