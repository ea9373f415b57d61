/** Parquet keeps all of the promises; of the other kinds those are tried that their encoding or their readers have a part in. */
import { readFile } from 'node:fs/promises'
import { tableFromIPC } from 'apache-arrow'
import { createArrowFormat } from '../../../src/destination/files/arrow-format.js'
import { createCsvFormat } from '../../../src/destination/files/csv-format.js'
import { createJsonlFormat } from '../../../src/destination/files/jsonl-format.js'
import { createParquetFormat } from '../../../src/destination/files/parquet-format.js'
import type { ColumnType, Field } from '../../../src/model/column-type.js'
import type { Plain } from '../../../src/testing/plain.js'
import { describeDestination } from '../describe-destination.js'
import { makeFilesPlace } from './files-place.js'

const parquet = await createParquetFormat({})
const arrow = await createArrowFormat({})
const csv = await createCsvFormat({})
const jsonl = await createJsonlFormat({})

await describeDestination('Parquet files', () => makeFilesPlace(parquet))
await describeDestination(
  'Arrow files',
  () => makeFilesPlace(arrow, { readFiles: readArrow, refuses: passesNanoseconds }),
  ['generations', 'appends', 'comparison', 'refusals'],
)
await describeDestination('CSV files', () => makeFilesPlace(csv), ['values', 'columns'])
await describeDestination(
  'JSON Lines files',
  () => makeFilesPlace(jsonl, { jsonByValue: true, jsonNullIsNull: true }),
  ['values'],
)

/** Intervals of more microseconds than Arrow's nanoseconds hold. */
function passesNanoseconds(type: ColumnType, value?: Plain): boolean {
  if (!Array.isArray(value)) return false
  if (type.kind === 'list') return value.some((each: Plain) => passesNanoseconds(type.element, each))
  const [, , micros] = value
  return (
    type.kind === 'interval' && BigInt.asIntN(64, (micros as bigint) * 1000n) !== (micros as bigint) * 1000n
  )
}

/** Arrow gives instants in milliseconds, and what else is landed here as it is. */
function fromArrow({ type }: Field, value: Plain | undefined): Plain {
  return type.kind === 'timestamp' && typeof value === 'number' ? BigInt(value) * 1000n : (value ?? null)
}

async function readArrow(
  files: readonly string[],
  columns: readonly Field[],
): Promise<readonly (readonly Plain[])[]> {
  const tables = await Promise.all(files.map(async (file) => tableFromIPC(await readFile(file))))
  return tables.flatMap((table) =>
    table
      .toArray()
      .map((row: Record<string, Plain>) => columns.map((column) => fromArrow(column, row[column.name]))),
  )
}
