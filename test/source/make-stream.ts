/** Streams and columns for pure tests. */
import type { CatalogColumn, CatalogStream } from '../../src/model/catalog.js'

export function makeColumn(column: Partial<CatalogColumn> = {}): CatalogColumn {
  return {
    name: 'c',
    number: 1,
    typeName: 'text',
    typeSchema: 'pg_catalog',
    typeOid: 25,
    typeKind: 'base',
    sqlType: 'text',
    modifier: -1,
    domain: null,
    enumLabels: null,
    elementType: null,
    nullable: true,
    default: null,
    generated: null,
    identity: null,
    comment: null,
    selectable: true,
    ...column,
  }
}

export function makeStream(stream: Partial<CatalogStream> = {}): CatalogStream {
  return {
    name: 's.t',
    schema: 's',
    table: 't',
    oid: 1,
    kind: 'table',
    oddity: null,
    columns: [makeColumn()],
    key: null,
    foreignKeys: [],
    indexes: [],
    comment: null,
    estimatedRows: null,
    bytes: 0,
    leaves: [],
    lockCount: 1,
    rowSecurity: false,
    tablePrivilege: true,
    sql: null,
    ...stream,
  }
}
