/** Interfaces of the rows that the library's `rows(batch)` gives, one per stream. */
import type { CatalogStream } from '../model/catalog.js'
import type { ColumnType } from '../model/column-type.js'
import { unreachable } from '../model/column-type.js'
import type { ReadColumn, Source } from '../source/contract.js'
import { escapeText } from './escape.js'

export function writeInterfaces(
  source: Pick<Source, 'mapColumns'>,
  streams: readonly CatalogStream[],
): string {
  const taken = new Set<string>()
  const blocks = streams.map((stream) => {
    const columns = source.mapColumns(stream, {
      types: {},
      specialNumeric: 'error',
      specialTemporal: 'error',
      invalidUtf8: 'error',
    })
    return writeInterface(stream, columns, chooseName(stream, taken))
  })
  return `${blocks.join('\n')}`
}

function writeInterface(stream: CatalogStream, columns: readonly ReadColumn[], name: string): string {
  const lines = columns.flatMap((column) => {
    const described = stream.columns.find((candidate) => candidate.name === column.source)
    const type = typeName(column.field.type)
    const comment = [described?.sqlType, described?.comment]
      .filter((part) => typeof part === 'string')
      .join(': ')
    return [
      `  /** ${escapeComment(comment)} */`,
      `  ${propertyName(column.field.name)}: ${type}${column.field.nullable ? ' | null' : ''}`,
    ]
  })
  return [
    `/** ${escapeComment([stream.name, stream.comment].filter((part) => part !== null).join(': '))} */`,
    `export interface ${name} {`,
    ...lines,
    '}\n',
  ].join('\n')
}

/** As `rows(batch)` gives it: exact, so wide integers are bigint and decimals text. */
function typeName(type: ColumnType): string {
  switch (type.kind) {
    case 'bool':
      return 'boolean'
    case 'int':
      return type.bits === 64 ? 'bigint' : 'number'
    case 'float':
      return 'number'
    case 'binary':
      return 'Uint8Array'
    case 'decimal':
    case 'date':
    case 'time':
    case 'timestamp':
    case 'interval':
    case 'text':
    case 'json':
    case 'uuid':
      return 'string'
    case 'list':
      return `(${typeName(type.element)} | null)[]`
    default:
      return unreachable(type)
  }
}

/** `public.order_items` is OrderItems; of two that would be equal, the later carries its schema, then a number. */
function chooseName(stream: CatalogStream, taken: Set<string>): string {
  const short = pascalCase(stream.table)
  const long = pascalCase(`${stream.schema}_${stream.table}`)
  let name = taken.has(short) ? long : short
  for (let number = 2; taken.has(name); number++) name = `${long}${number}`
  taken.add(name)
  return name
}

function pascalCase(text: string): string {
  const words = text.split(/[^\p{ID_Continue}]+|_/u).filter((word) => word !== '')
  const joined = words.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join('')
  return /^\p{ID_Start}/u.test(joined) ? joined : `Stream${joined}`
}

function propertyName(name: string): string {
  return /^[A-Za-z_$][A-Za-z0-9_$]*$/.test(name) ? name : JSON.stringify(name)
}

function escapeComment(text: string): string {
  return escapeText(text).replaceAll('*/', '*\\/')
}
