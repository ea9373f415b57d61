/** A catalog as the service tells it: entities with fields, keys, relationships and what could be their cursor. */
import type { Catalog, CatalogColumn, CatalogStream } from '../model/catalog.js'
import { formatStreamName } from '../model/catalog.js'
import type { CatalogAnswer } from './request-schemas.js'

type Entity = CatalogAnswer['entities'][number]
type Cursor = Entity['cursors'][number]

export function describeCatalog(source: string, catalog: Catalog): CatalogAnswer {
  return { source, database: catalog.database, entities: catalog.streams.map(describeEntity) }
}

function describeEntity(stream: CatalogStream): Entity {
  return {
    name: stream.name,
    kind: stream.kind,
    fields: stream.columns.map((column) => ({
      name: column.name,
      type: column.sqlType,
      nullable: column.nullable,
      readable: column.selectable,
      comment: column.comment,
    })),
    primaryKey: [...(stream.key?.columns ?? [])],
    uniqueKeys: uniqueKeys(stream),
    relationships: stream.foreignKeys.map(({ name, columns, references }) => ({
      name,
      columns: [...columns],
      entity: formatStreamName(references.schema, references.table),
      references: [...references.columns],
    })),
    cursors: cursorsOf(stream),
    estimatedRows: stream.estimatedRows,
    bytes: stream.bytes,
    comment: stream.comment,
  }
}

function uniqueKeys({ indexes }: CatalogStream): string[][] {
  return indexes.flatMap(({ unique, partial, valid, columns }) => {
    const named = columns.filter((column) => column !== null)
    return unique && valid && !partial && named.length === columns.length ? [named] : []
  })
}

/** Names that say that every change sets them. */
const SET_BY_CHANGES = /^(updated|modified|changed|last_(updated|modified|changed))(_?(at|on|time|date))?$/i
const TIMES = new Set(['timestamptz', 'timestamp', 'date'])
const NUMBERS = new Set(['int2', 'int4', 'int8'])

function cursorsOf(stream: CatalogStream): Cursor[] {
  return stream.columns
    .flatMap((column) => {
      const type = cursorType(column, stream)
      if (type === null || !column.selectable) return []
      const indexed = stream.indexes.some(({ valid, columns }) => valid && columns[0] === column.name)
      const likely =
        (SET_BY_CHANGES.test(column.name) ? 4 : 0) + (type === 'timestamp' ? 2 : 0) + (indexed ? 1 : 0)
      return [{ likely, cursor: { field: column.name, type, indexed } }]
    })
    .sort((one, other) => other.likely - one.likely)
    .map(({ cursor }) => cursor)
}

function cursorType(column: CatalogColumn, { key }: CatalogStream): Cursor['type'] | null {
  if (TIMES.has(column.typeName)) return 'timestamp'
  const counts = column.identity !== null || column.default?.includes('nextval(') === true
  const isKey = key?.columns.length === 1 && key.columns[0] === column.name
  return NUMBERS.has(column.typeName) && (counts || isKey) ? 'incrementing' : null
}
