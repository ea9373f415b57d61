/** The columns of a table of files: what each new file has, and what all of them come to. */
import type { Field } from '../../model/column-type.js'
import { TrunklineError } from '../../model/error.js'
import type { StreamLanding } from '../contract.js'
import { formatDuckDbType } from '../duckdb/column-types.js'
import { DELETED_AT, RUN_AT } from '../duckdb/table-columns.js'

/** Reserved whether a landing adds them or not, so that it can any time. */
const OWN_NAMES: readonly string[] = [RUN_AT, DELETED_AT]

/** Readers of such files take names that differ in case alone for one. */
export function foldName(name: string): string {
  return name.normalize('NFC').toLowerCase()
}

/** @throws NAME_COLLISION, STREAM_UNSUPPORTED without any column */
export function assertDistinctFields({ stream, fields }: StreamLanding): void {
  if (fields.length === 0) {
    throw new TrunklineError('STREAM_UNSUPPORTED', `${stream} has no columns, and a file needs one.`, {
      hint: `Leave it out: --exclude '${stream}'`,
      context: { stream },
    })
  }
  const seen = new Map(OWN_NAMES.map((name) => [name, `${name}, which Trunkline adds`]))
  for (const { name } of fields) {
    const other = seen.get(foldName(name))
    if (other !== undefined) {
      throw new TrunklineError(
        'NAME_COLLISION',
        `${stream}: the columns ${name} and ${other} have one name to readers that do not distinguish case.`,
        {
          hint: 'Leave one out with --exclude-columns, or rename it in a query.',
          context: { stream, field: name },
        },
      )
    }
    seen.set(foldName(name), name)
  }
}

/** @throws DESTINATION_FAILED naming the first field whose type is another than in the present files */
export function assertSameTypes(landing: StreamLanding, present: readonly Field[]): void {
  for (const field of landing.fields) {
    const column = present.find(({ name }) => foldName(name) === foldName(field.name))
    if (column === undefined || sameType(column, field)) continue
    const [was, comes] = [formatDuckDbType(column.type), formatDuckDbType(field.type)]
    throw differs(landing, field.name, `is ${was} in the files that are there and comes as ${comes}`)
  }
}

/** @throws DESTINATION_FAILED naming the first field that the table does not have */
export function assertAllPresent(
  landing: StreamLanding,
  fields: readonly Field[],
  present: readonly Field[],
): void {
  const names = new Set(present.map(({ name }) => foldName(name)))
  const missing = fields.find(({ name }) => !names.has(foldName(name)))
  if (missing) throw differs(landing, missing.name, 'is not in the files that are there')
}

/** @throws DESTINATION_FAILED naming the first field of the table that does not come any more, where values are told by their place */
export function assertNoneMissing(
  landing: StreamLanding,
  fields: readonly Field[],
  present: readonly Field[],
): void {
  const names = new Set(fields.map(({ name }) => foldName(name)))
  const missing = present.find(({ name }) => !names.has(foldName(name)))
  if (missing === undefined) return
  const why =
    'is in the files that are there and does not come any more; without names in them, others would stand in its place'
  throw differs(landing, missing.name, why)
}

/** With a name by which no reader finds it: all values of the table would be told by their place from now on. */
export function comesTooLate(landing: StreamLanding, { name }: Field): TrunklineError {
  return differs(landing, name, 'is new, and has a name that readers do not find in a header')
}

/** Which fields of a file come first, second, …, so that they stand in the order of the table: its own, then new ones. */
export function placesInTable(table: readonly Field[], file: readonly Field[]): readonly number[] {
  const places = new Map(table.map(({ name }, index) => [foldName(name), index]))
  const placeOf = (index: number): number => places.get(foldName(file[index]?.name ?? '')) ?? Infinity
  return file
    .map((_, index) => index)
    .sort((a, b) => (placeOf(a) === placeOf(b) ? a - b : placeOf(a) - placeOf(b)))
}

/** Those of the table, with what files of these fields add to it. Where some file lacks one, it can be null. */
export function mergeFields(table: readonly Field[], file: readonly Field[]): readonly Field[] {
  const inFile = new Map(file.map((field) => [foldName(field.name), field]))
  const inTable = new Set(table.map(({ name }) => foldName(name)))
  return [
    ...table.map((field) => {
      const fresh = inFile.get(foldName(field.name))
      return { ...field, nullable: fresh === undefined || field.nullable || fresh.nullable }
    }),
    ...file.filter(({ name }) => !inTable.has(foldName(name))).map((field) => ({ ...field, nullable: true })),
  ]
}

export function sameFields(left: readonly Field[], right: readonly Field[]): boolean {
  return (
    left.length === right.length &&
    left.every((field, index) => {
      const other = right[index]
      return other?.name === field.name && sameType(other, field)
    })
  )
}

function sameType(left: Field, right: Field): boolean {
  return formatDuckDbType(left.type) === formatDuckDbType(right.type)
}

function differs({ stream }: StreamLanding, field: string, how: string): TrunklineError {
  return new TrunklineError('DESTINATION_FAILED', `${stream}: the column ${field} ${how}.`, {
    hint: `Load the table anew: trunkline state resync ${stream}`,
    context: { stream, field },
  })
}
