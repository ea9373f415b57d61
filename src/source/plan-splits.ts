/** Divides the reading of a stream into splits. */
import { TrunklineError } from '../model/error.js'
import { XMIN_FIELD, type Split, type StreamRead } from './contract.js'
import type { ReadSettings } from './read-settings.js'
import { copySql } from './read-sql.js'

/** One split: the whole stream by one reader. @throws PERMISSION_DENIED, STREAM_UNSUPPORTED */
export function planSplits(
  read: StreamRead,
  options: { readonly settings: ReadSettings; readonly readers: number },
): readonly Split[] {
  const { stream, columns, limits } = read
  assertReadable(read)
  const decoded = columns.map(({ field, wire, unrepresentable }) => ({ ...field, wire, unrepresentable }))
  if (read.withXmin) {
    decoded.push({
      name: XMIN_FIELD,
      type: { kind: 'int', bits: 64 },
      nullable: false,
      wire: 'oid',
      unrepresentable: 'error',
    })
  }
  return [
    {
      stream: stream.name,
      index: 0,
      range: { kind: 'all' },
      copySql: copySql(read),
      columns: decoded,
      maxFieldBytes: limits.maxFieldBytes,
      batchBytes: limits.batchBytes,
      batchRows: limits.batchRows,
      stallTimeoutMs: limits.stallTimeoutMs,
      // The limit is for the run, and each reader may be the only one or one of all.
      maxReadBytesPerSecond:
        limits.maxReadBytesPerSecond === null ? null : limits.maxReadBytesPerSecond / options.readers,
      ...options.settings,
    },
  ]
}

function assertReadable(read: StreamRead): void {
  const { stream } = read
  if (read.columns.length === 0) {
    throw new TrunklineError('STREAM_UNSUPPORTED', `${stream.name} has no column to read.`, {
      hint: 'Exclude it from the selection, or select at least one of its columns.',
      context: { stream: stream.name },
    })
  }
  const hidden = read.columns.filter(
    (column) => stream.columns.find((candidate) => candidate.name === column.source)?.selectable === false,
  )
  const [first] = hidden
  if (first !== undefined) {
    const names = hidden.map((column) => column.source).join(', ')
    throw new TrunklineError('PERMISSION_DENIED', `The role may not read ${names} of ${stream.name}.`, {
      hint: `GRANT SELECT on the table, or leave the ${hidden.length === 1 ? 'column' : 'columns'} out with exclude_columns.`,
      context: { stream: stream.name, field: first.source },
    })
  }
  const hasXmin =
    stream.kind === 'table' ||
    stream.kind === 'partitioned' ||
    stream.kind === 'inherited' ||
    stream.kind === 'matview'
  if ((read.withXmin || read.rows.kind === 'since') && !hasXmin) {
    throw new TrunklineError(
      'STREAM_UNSUPPORTED',
      `${stream.name} is a ${stream.kind}: its rows carry no transaction id.`,
      {
        hint: 'Read it with mode full_refresh.',
        context: { stream: stream.name },
      },
    )
  }
}
