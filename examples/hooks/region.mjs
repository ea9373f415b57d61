// @ts-check
/**
 * Hooks for a shop in several regions: orders say where they were placed by codes of an older system.
 *
 * Run by `trunkline sync -c examples/hooks/trunkline.yaml`.
 */

/** Tables of the shop, without what its own software keeps for itself.
 *  @type {import('trunkline').ShouldReadStream} */
export function shouldReadStream(stream) {
  return !stream.table.startsWith('internal_')
}

/** `fdx55` is the region of this copy, `weg45` is Europe; then orders of other regions are left out.
 *  @type {import('trunkline').TransformRow} */
export function transformRow(row, { stream, options }) {
  if (stream !== 'public.orders') return row
  if (row.region === 'fdx55') row.region = String(options.region)
  else if (row.region === 'weg45') row.region = 'Europe'
  return row.region === options.region ? row : null
}
