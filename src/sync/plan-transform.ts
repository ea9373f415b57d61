/** What a stream's options do to its rows, and where that does not go with how they are read and land. Pure. */
import type { CatalogColumn, CatalogStream } from '../model/catalog.js'
import { TrunklineError } from '../model/error.js'
import type { SplitRange } from '../model/split-range.js'
import { keepsIdentity } from '../model/mask.js'
import type { Landing, StreamOptions } from '../model/sync-spec.js'
import type { DestinationCapabilities } from '../destination/contract.js'
import { landedName, parseTransforms, type TransformSpec } from '../transform/transform-spec.js'
import type { CursorPlan } from './cursor-plan.js'
import { checkColumnNames } from './naming.js'

export interface ChosenTransform {
  readonly transform: TransformSpec
  /** Columns of the source that land. */
  readonly columns: readonly CatalogColumn[]
}

/**
 * @param chosen columns that are read, without those in whose place an added one lands
 * @throws CONFIG_INVALID, STREAM_MISSING, NAME_COLLISION
 */
export function chooseTransform(
  stream: CatalogStream,
  options: StreamOptions,
  chosen: readonly CatalogColumn[],
  capabilities: DestinationCapabilities,
): ChosenTransform {
  const { spec, replaced } = parseTransforms(options, {
    stream: stream.name,
    columns: chosen.map(({ name }) => name),
    foldName: capabilities.foldName,
  })
  const columns = chosen.filter(({ name }) => !replaced.has(name))
  if (columns.length === 0) {
    throw new TrunklineError(
      'STREAM_UNSUPPORTED',
      `Added columns take the place of all that ${stream.name} has.`,
      {
        hint: 'Exclude the stream, or set `if_present: keep`.',
        context: { stream: stream.name },
      },
    )
  }
  const sources = columns.map(({ name }) => name)
  const added = spec.added.map(({ field }) => field.name)
  const names = [...sources.map((name) => landedName(spec, name)), ...added]
  checkColumnNames(stream.name, names, capabilities, [...sources, ...added])
  return { transform: spec, columns }
}

/**
 * The key by which rows can still be matched once they are masked: of masks only `hmac` keeps different values different and gives
 * nobody the values.
 * @throws CONFIG_INVALID where rows are to be matched and cannot be
 */
export function keyAfterMasks(
  stream: CatalogStream,
  { masks }: TransformSpec,
  key: readonly string[] | null,
  landing: Landing,
): readonly string[] | null {
  const blurred = key?.find((name) => {
    const mask = masks.get(name)
    return mask !== undefined && !keepsIdentity(mask)
  })
  if (blurred === undefined) return key
  if (landing !== 'upsert') return null
  throw new TrunklineError(
    'CONFIG_INVALID',
    `${stream.name} is matched by its key, and the mask of "${blurred}" would make different rows alike or give their keys away.`,
    {
      hint: `Mask "${blurred}" by \`hmac:\${SECRET}\`, which keeps rows apart, name another \`primary_key\`, or set \`mode: full_refresh\`.`,
      context: { stream: stream.name, field: blurred },
    },
  )
}

/**
 * What a cursor leaves in the state must not tell what is masked: positions are values of its column, and an append by position
 * remembers digests of whole rows as the source has them, which can be guessed.
 * @throws CONFIG_INVALID
 */
export function checkCursorMasks(
  stream: CatalogStream,
  { masks }: TransformSpec,
  cursor: CursorPlan | null,
  landing: Landing,
): void {
  if (cursor === null || masks.size === 0) return
  const { column, bound } = cursor
  if (masks.has(column.name)) {
    throw new TrunklineError(
      'CONFIG_INVALID',
      `${stream.name}: the cursor field "${column.name}" is masked, and positions in it are saved with the state.`,
      {
        hint: 'Read it by another cursor field, or by `mode: mirror`.',
        context: { stream: stream.name, field: column.name },
      },
    )
  }
  if (landing !== 'append' || bound === 'xmin') return
  throw new TrunklineError(
    'CONFIG_INVALID',
    `${stream.name}: an append by \`cursor_bound: ${bound}\` remembers digests of unmasked rows, by which masked values can be guessed.`,
    {
      hint: 'Land by upsert with a key, or append by `cursor_bound: xmin` where the stream allows it.',
      context: { stream: stream.name },
    },
  )
}

/** Parts of a load that are told by keys would be saved with values of columns that are masked. */
export function showMasked(ranges: readonly SplitRange[], { masks }: Pick<TransformSpec, 'masks'>): boolean {
  return ranges.some((range) => range.kind === 'keys' && range.columns.some((name) => masks.has(name)))
}
