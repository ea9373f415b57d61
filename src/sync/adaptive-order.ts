/** Tables in the order of their size: small ones, then medium, then large, each with the fewest rows first. Pure. */
import type { AdaptiveOptions, SizeCategory } from '../model/adaptive-options.js'
import { categorizeRows, estimateRows, withCommas } from './adaptive.js'
import type { StreamQueue } from './stream-order.js'

export interface SizedTable {
  readonly name: string
  readonly rows: number
  readonly category: SizeCategory
}

const CATEGORIES: readonly SizeCategory[] = ['small', 'medium', 'large']

export function sizeTables(
  streams: readonly {
    readonly name: string
    readonly estimatedRows: number | null
    readonly bytes: number
  }[],
  options: AdaptiveOptions,
): readonly SizedTable[] {
  return streams
    .map((stream) => {
      const rows = estimateRows(stream)
      return { name: stream.name, rows, category: categorizeRows(rows, options) }
    })
    .sort(compareSizes)
}

/** Equal ones stay as they are. */
export function compareSizes(
  one: Pick<SizedTable, 'category' | 'rows'>,
  other: Pick<SizedTable, 'category' | 'rows'>,
): number {
  return CATEGORIES.indexOf(one.category) - CATEGORIES.indexOf(other.category) || one.rows - other.rows
}

/** Rows by which a queue takes the next stream, beside those that run. */
interface QueuedStream {
  readonly stream: { readonly estimatedRows: number | null }
  readonly bytes: number
}

/** Hands out streams in their order; none of a larger kind is begun while one of a smaller kind runs. */
export class SizeOrder<Stream extends QueuedStream> implements StreamQueue<Stream> {
  readonly #waiting: Stream[]
  readonly #options: AdaptiveOptions

  constructor(streams: readonly Stream[], options: AdaptiveOptions) {
    this.#options = options
    this.#waiting = [...streams].sort((one, other) => compareSizes(this.#size(one), this.#size(other)))
  }

  /** What waits. */
  get rest(): readonly Stream[] {
    return this.#waiting
  }

  get isEmpty(): boolean {
    return this.#waiting.length === 0
  }

  take(running: ReadonlySet<Stream>, { most }: { readonly most: number }): Stream | null {
    const [next] = this.#waiting
    if (next === undefined || running.size >= most) return null
    const { category } = this.#size(next)
    for (const other of running) if (this.#size(other).category !== category) return null
    this.#waiting.shift()
    return next
  }

  #size({ stream, bytes }: Stream): Pick<SizedTable, 'category' | 'rows'> {
    const rows = estimateRows({ estimatedRows: stream.estimatedRows, bytes })
    return { rows, category: categorizeRows(rows, this.#options) }
  }
}

/** How many readers any table may come to have by its size; null where size does not decide. */
export function mostReadersBySize({ strategy, small, medium, large }: AdaptiveOptions): number | null {
  return strategy === 'table_size' ? Math.max(small.readers, medium.readers, large.readers) : null
}

const RULE = '='.repeat(80)
const THIN_RULE = '-'.repeat(50)
/** Of small and of medium tables so many are named. */
const MOST_NAMED = 10

/** The plan as lines for the log. @param tables in their order */
export function describePlan(tables: readonly SizedTable[], options: AdaptiveOptions): readonly string[] {
  const small = short(options.smallBelowRows)
  const large = short(options.largeFromRows)
  const bounds: Readonly<Record<SizeCategory, string>> = {
    small: `<${small} rows each`,
    medium: `${small}-${large} rows each`,
    large: `${large}+ rows each`,
  }
  const total = sumRows(tables)
  const sections = CATEGORIES.flatMap((category) => describeSection(category, tables, bounds[category]))
  const summary = CATEGORIES.map((category) => {
    const some = tables.filter((table) => table.category === category)
    const rows = sumRows(some)
    const share = ((rows / total) * 100).toFixed(1)
    return `${capitalize(category)} tables: ${some.length} tables, ${withCommas(rows)} rows (${share}%)`
  })
  return [
    RULE,
    'SYNC PROCESSING PLAN',
    RULE,
    ...sections,
    RULE,
    'SUMMARY STATISTICS',
    RULE,
    `Total tables: ${tables.length}`,
    `Total rows: ${withCommas(total)}`,
    ...(total > 0 ? summary : []),
    RULE,
  ]
}

function describeSection(
  category: SizeCategory,
  tables: readonly SizedTable[],
  bounds: string,
): readonly string[] {
  const some = tables.filter((table) => table.category === category)
  if (some.length === 0) return []
  const named = category === 'large' ? some : some.slice(0, MOST_NAMED)
  const left = some.length - named.length
  return [
    `${category.toUpperCase()} TABLES (${some.length} tables, ${bounds}):`,
    THIN_RULE,
    ...named.map(
      ({ name, rows }, index) =>
        `  ${String(index + 1).padStart(2)}. ${name.padEnd(40)} ${withCommas(rows).padStart(10)} rows`,
    ),
    ...(left > 0 ? [`  ... and ${left} more ${category} tables`] : []),
  ]
}

function sumRows(tables: readonly SizedTable[]): number {
  return tables.reduce((sum, { rows }) => sum + rows, 0)
}

function capitalize(word: string): string {
  return word.slice(0, 1).toUpperCase() + word.slice(1)
}

/** `1M`, `500K`, `1,234`. */
function short(rows: number): string {
  if (rows >= 1e6 && rows % 1e5 === 0) return `${rows / 1e6}M`
  if (rows >= 1e3 && rows % 1e3 === 0) return `${rows / 1e3}K`
  return withCommas(rows)
}
