/**
 * Arrays as lists: `types: { tags: list }`, or with another type for the elements, `types: { amounts: "decimal(18,2)[]" }`.
 *
 * The elements come as they would alone in a column. Those whose binary form is not decoded come as their own output text: the
 * text of the whole array, read as an array of text. That calls each element's output function and nothing else, keeps NULLs
 * and dimensions, and holds for every type whose elements stand between commas.
 */
import type { CatalogColumn } from '../model/catalog.js'
import { quoteIdent } from '../postgres/quote.js'
import { asText, mapNaturally, outputText, type ColumnMapping } from './column-mapping.js'
import { impossible, overrideColumn, type TypeWish } from './type-override.js'

const LOSS =
  'As a list: the lower bounds of the array are not kept, and an array of more than one dimension is an error.'

/** `wanted`: of the elements, null for the type they have. @throws CONFIG_INVALID */
export function asList(wish: TypeWish, wanted: string | null): ColumnMapping {
  const element = elementColumn(wish)
  const natural = mapNaturally(element, wish.options)
  const mapping = wanted === null ? natural : overrideColumn({ ...wish, column: element, natural, wanted })
  const { type, wire, special } = mapping
  if (type.kind === 'list' || wire === 'array') throw impossible(wish, 'a list of lists is none')
  return {
    type: { kind: 'list', element: type },
    wire: 'array',
    elementWire: wire,
    expression: arrayExpression(wish, element, mapping.expression),
    special,
    loss: mapping.loss === null ? LOSS : `${LOSS} ${mapping.loss}`,
  }
}

/** The element as if it were the column. */
function elementColumn(wish: TypeWish): CatalogColumn {
  const { element, elementType, ...column } = wish.column
  if (elementType === null) throw impossible(wish, 'only an array lands as a list')
  if (element === undefined) throw impossible(wish, `nothing is known of its elements' type, ${elementType}`)
  if (element.isArray) throw impossible(wish, 'its elements are arrays themselves')
  const { typeName, typeSchema, typeOid, typeKind, modifier } = element
  const facts = {
    typeName,
    typeSchema,
    typeOid,
    typeKind,
    modifier,
    sqlType: `elements of ${column.sqlType}`,
  }
  return { ...column, ...facts, domain: null, enumLabels: null, elementType: null }
}

/** What makes of the array what `expression` makes of an element that is called as the column. */
function arrayExpression(wish: TypeWish, element: CatalogColumn, expression: string): string {
  const name = quoteIdent(wish.column.name)
  if (expression === name) return name
  const casts = expression.startsWith(name) ? expression.slice(name.length) : ''
  if (/^(::pg_catalog\.\w+)+$/.test(casts)) return name + casts.replaceAll(/::pg_catalog\.\w+/g, '$&[]')
  if (expression === asText(element).expression) {
    if (wish.column.element?.delimiter !== ',') {
      throw impossible(wish, 'the elements of its text do not stand between commas')
    }
    return `(${outputText(wish.column)})::pg_catalog.text[]`
  }
  throw impossible(wish, 'its elements hold several values themselves')
}
