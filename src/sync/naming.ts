/** Where each stream lands, and that no two would land under one name; decided before anything is written. */
import type { CatalogStream } from '../model/catalog.js'
import { TrunklineError } from '../model/error.js'
import type { SyncSpec } from '../model/sync-spec.js'
import type { DestinationCapabilities, TableName } from '../destination/contract.js'

/** Names that begin like this are ours at the destination. */
const RESERVED = '_trunkline'
/** Schema of a stream that has none, a configured SELECT, unless the destination has another. */
const QUERY_SCHEMA = 'main'

export interface NamingInput {
  readonly streams: readonly CatalogStream[]
  readonly spec: Pick<SyncSpec, 'targetSchema' | 'nameTemplate'>
  readonly capabilities: Pick<DestinationCapabilities, 'foldName' | 'maxNameBytes' | 'defaultSchema'>
  /** Tables that streams of this sync own already: in a collision, the stream that was there first keeps its name. */
  readonly owned: ReadonlyMap<string, TableName>
}

export interface Naming {
  readonly tables: ReadonlyMap<string, TableName>
  readonly errors: ReadonlyMap<string, TrunklineError>
}

export function nameTables({ streams, spec, capabilities, owned }: NamingInput): Naming {
  const tables = new Map<string, TableName>()
  const errors = new Map<string, TrunklineError>()
  const takers = new Map<string, string[]>()
  for (const stream of streams) {
    const table = tableFor(stream, spec, capabilities.defaultSchema ?? QUERY_SCHEMA)
    const problem = nameProblem(stream, table, capabilities)
    if (problem !== null) {
      errors.set(stream.name, problem)
      continue
    }
    tables.set(stream.name, table)
    const key = foldTable(table, capabilities)
    takers.set(key, [...(takers.get(key) ?? []), stream.name])
  }
  for (const names of takers.values()) {
    if (names.length < 2) continue
    const first = names.filter((name) => sameTable(owned.get(name), tables.get(name), capabilities))
    const keeper = first.length === 1 ? first[0] : undefined
    for (const name of names) {
      if (name === keeper) continue
      const others = names.filter((other) => other !== name).join(' and ')
      errors.set(name, collision(name, others, tables.get(name)))
      tables.delete(name)
    }
  }
  return { tables, errors }
}

/**
 * @param columns names at the destination
 * @param sources what each is called where it comes from, for errors
 * @throws NAME_COLLISION when two columns would be one at the destination, or a name is reserved.
 */
export function checkColumnNames(
  stream: string,
  columns: readonly string[],
  capabilities: Pick<DestinationCapabilities, 'foldName' | 'maxNameBytes'>,
  sources: readonly string[] = columns,
): void {
  const taken = new Map<string, string>()
  for (const [index, column] of columns.entries()) {
    const folded = capabilities.foldName(column)
    const other = taken.get(folded)
    const source = sources[index] ?? column
    const shown = source === column ? quote(column) : `${quote(source)} (as ${quote(column)})`
    if (other !== undefined) {
      throw new TrunklineError(
        'NAME_COLLISION',
        `Columns ${other} and ${shown} of ${stream} are one name at the destination.`,
        {
          hint: 'Give one of them another name with `rename`, or leave it out with `exclude_columns`.',
          context: { stream, field: source },
        },
      )
    }
    taken.set(folded, shown)
    if (column.startsWith(RESERVED)) {
      throw new TrunklineError(
        'NAME_COLLISION',
        `Column ${shown} of ${stream} begins with ${RESERVED}, which is reserved.`,
        {
          hint: 'Give it another name with `rename`, or leave it out with `exclude_columns`.',
          context: { stream, field: source },
        },
      )
    }
  }
}

function tableFor(stream: CatalogStream, spec: NamingInput['spec'], querySchema: string): TableName {
  const name =
    spec.nameTemplate === null
      ? stream.table
      : spec.nameTemplate.replaceAll(/\{(schema|table)\}/g, (_, part: string) =>
          part === 'schema' ? stream.schema : stream.table,
        )
  const schema = spec.targetSchema ?? (stream.sql === null ? stream.schema : querySchema)
  return { schema, name }
}

function nameProblem(
  stream: CatalogStream,
  table: TableName,
  capabilities: Pick<DestinationCapabilities, 'maxNameBytes'>,
): TrunklineError | null {
  const context = { stream: stream.name }
  if (table.name.startsWith(RESERVED) || table.schema.startsWith(RESERVED)) {
    return new TrunklineError(
      'NAME_COLLISION',
      `${stream.name} would land as ${printTable(table)}, and names that begin with ${RESERVED} are reserved.`,
      { hint: 'Give it another name with `--name-template` or `--target-schema`, or exclude it.', context },
    )
  }
  const longest = Math.max(Buffer.byteLength(table.name), Buffer.byteLength(table.schema))
  if (table.name === '' || table.schema === '' || longest > capabilities.maxNameBytes) {
    return new TrunklineError(
      'CONFIG_INVALID',
      `${stream.name} would land as ${printTable(table)}, which is not a name the destination can hold.`,
      { hint: `Change \`--name-template\`; names have 1 to ${capabilities.maxNameBytes} bytes.`, context },
    )
  }
  return null
}

function collision(name: string, others: string, table: TableName | undefined): TrunklineError {
  const where = table === undefined ? 'one table' : printTable(table)
  return new TrunklineError('NAME_COLLISION', `${name} and ${others} would both land in ${where}.`, {
    hint: 'Tell them apart with `--name-template "{schema}_{table}"`, or exclude one of them.',
    context: { stream: name },
  })
}

function foldTable(table: TableName, capabilities: Pick<DestinationCapabilities, 'foldName'>): string {
  return JSON.stringify([capabilities.foldName(table.schema), capabilities.foldName(table.name)])
}

function sameTable(
  a: TableName | undefined,
  b: TableName | undefined,
  capabilities: Pick<DestinationCapabilities, 'foldName'>,
): boolean {
  return a !== undefined && b !== undefined && foldTable(a, capabilities) === foldTable(b, capabilities)
}

export function printTable(table: TableName): string {
  return `${table.schema}.${table.name}`
}

function quote(name: string): string {
  return `"${name}"`
}
