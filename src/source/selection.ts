/** Which relations of a database a selection takes. */
import { formatStreamName } from '../model/catalog.js'
import { closestStream } from '../model/closest-name.js'
import { TrunklineError } from '../model/error.js'
import { parseStreamPattern, type StreamPattern } from '../model/stream-pattern.js'
import type { Selection } from '../model/sync-spec.js'

export interface RelationRow {
  readonly oid: number
  readonly schema: string
  readonly name: string
  /** relkind: r, p, v, m or f. */
  readonly kind: string
  /** A partition or an inheritance child. */
  readonly child: boolean
  /** The role has USAGE on the schema. */
  readonly usage: boolean
  readonly of_extension: boolean
  /** An external table of Greenplum: only by its name, as reading it may run a program on every host. */
  readonly external?: boolean
}

/** Relations that keep rows of their own: what is copied when nothing is selected. */
const STORING_KINDS = new Set(['r', 'p', 'm'])
/** Names printed when a selection matches nothing. */
const MAX_LISTED = 20

/**
 * An empty selection takes every table and materialized view of the schemas that the role may use. A pattern with a wildcard
 * takes views and foreign tables, too. Partitions, inheritance children, external tables and what belongs to an extension only by
 * their name.
 *
 * @throws STREAM_MISSING for a name without wildcard that does not exist, SELECTION_EMPTY when nothing is left.
 */
export function selectRelations(
  relations: readonly RelationRow[],
  selection: Selection,
): readonly RelationRow[] {
  const named = relations.map((relation) => ({
    relation,
    stream: {
      name: formatStreamName(relation.schema, relation.name),
      schema: relation.schema,
      table: relation.name,
    },
  }))
  const selects = selection.select.map(parseStreamPattern)
  const excludes = selection.exclude.map(parseStreamPattern)
  for (const pattern of selects) {
    if (pattern.exact && !named.some(({ stream }) => pattern.matches(stream))) {
      throw missing(
        pattern,
        named.map(({ stream }) => stream.name),
      )
    }
  }
  const taken = named.filter(({ relation, stream }) => {
    if (excludes.some((pattern) => pattern.matches(stream))) return false
    if (selects.some((pattern) => pattern.exact && pattern.matches(stream))) return true
    if (!relation.usage || relation.child || relation.of_extension || relation.external === true) return false
    if (selects.length === 0) return STORING_KINDS.has(relation.kind)
    return selects.some((pattern) => pattern.matches(stream))
  })
  return taken.map(({ relation }) => relation)
}

/** Says what there is to select from. */
export function emptySelection(relations: readonly RelationRow[], selection: Selection): TrunklineError {
  const available = relations
    .filter(
      ({ usage, child, of_extension, external }) => usage && !child && !of_extension && external !== true,
    )
    .map((relation) => formatStreamName(relation.schema, relation.name))
  const asked = [
    selection.select.length === 0 ? '' : `The selection ${selection.select.join(', ')}`,
    selection.exclude.length === 0 ? '' : `without ${selection.exclude.join(', ')}`,
  ]
  const subject = asked.filter((part) => part !== '').join(' ')
  return new TrunklineError(
    'SELECTION_EMPTY',
    subject === ''
      ? 'The database has no table that this role may use.'
      : `${subject} matches no table or view.`,
    { hint: listAvailable(available) },
  )
}

function listAvailable(available: readonly string[]): string {
  if (available.length === 0) {
    return 'Check the database name, and GRANT USAGE on the schemas and SELECT on their tables to this role.'
  }
  const listed = available.slice(0, MAX_LISTED).join(', ')
  const more = available.length - MAX_LISTED
  return `There is: ${listed}${more > 0 ? ` and ${more} more` : ''}.`
}

function missing(pattern: StreamPattern, names: readonly string[]): TrunklineError {
  const closest = closestStream(pattern.text, names)
  return new TrunklineError('STREAM_MISSING', `There is no table or view named ${pattern.text}.`, {
    hint:
      closest === null
        ? 'Names are schema.table, upper and lower case as in the database; `trunkline discover` lists them.'
        : `Did you mean ${closest}?`,
    context: { stream: pattern.text },
  })
}
