/** Which DuckDB type a field lands as: exactly, for every kind. */
import type { ColumnType } from '../../model/column-type.js'
import { unreachable } from '../../model/column-type.js'

/** As DuckDB writes it in `duckdb_columns().data_type`, so that present columns can be compared as text. */
export function formatDuckDbType(type: ColumnType): string {
  switch (type.kind) {
    case 'bool':
      return 'BOOLEAN'
    case 'int':
      return type.bits === 16 ? 'SMALLINT' : type.bits === 32 ? 'INTEGER' : 'BIGINT'
    case 'float':
      return type.bits === 32 ? 'FLOAT' : 'DOUBLE'
    case 'decimal':
      return `DECIMAL(${type.precision},${type.scale})`
    case 'date':
      return 'DATE'
    case 'time':
      return 'TIME'
    case 'timestamp':
      if (type.unit === 'ns') return 'TIMESTAMP_NS'
      return type.utc ? 'TIMESTAMP WITH TIME ZONE' : 'TIMESTAMP'
    case 'interval':
      return 'INTERVAL'
    case 'text':
      return 'VARCHAR'
    case 'json':
      return 'JSON'
    case 'uuid':
      return 'UUID'
    case 'binary':
      return 'BLOB'
    case 'list':
      return `${formatDuckDbType(type.element)}[]`
    default:
      return unreachable(type)
  }
}
