/**
 * How a table is read by its size and by how busy this machine is: the rules of the Connector SDK's adaptive example, with real
 * row estimates. Pure.
 *
 * Comparisons with a threshold are strict: at 80 percent nothing is reduced yet.
 */
import type { AdaptiveOptions, SizeCategory, SizeFigures } from '../model/adaptive-options.js'
import { ASSUMED_ROW_BYTES, DEFAULT_ADAPTIVE } from '../model/thresholds.js'

/** What is known of the machine, in percent; null where it does not say. */
export interface Busyness {
  readonly memory: number | null
  readonly cpu: number | null
}

/** What a decision says about itself, for the log. */
export interface Remark {
  readonly level: 'info' | 'warn'
  readonly text: string
}

/** That a figure was reduced. */
interface Reduction extends Remark {
  readonly figure: 'batchRows' | 'readers'
}

export interface AdaptiveParameters extends SizeFigures {
  readonly category: SizeCategory
  /** Something was reduced. */
  readonly underPressure: boolean
  readonly remarks: readonly Reduction[]
}

/** @param rows as estimated */
export function categorizeRows(
  rows: number,
  { smallBelowRows, largeFromRows }: Pick<AdaptiveOptions, 'smallBelowRows' | 'largeFromRows'>,
): SizeCategory {
  if (rows < smallBelowRows) return 'small'
  return rows < largeFromRows ? 'medium' : 'large'
}

/** The planner's number; where there is none yet, by the size of the heap. */
export function estimateRows(stream: {
  readonly estimatedRows: number | null
  readonly bytes: number
}): number {
  return stream.estimatedRows ?? Math.ceil(stream.bytes / ASSUMED_ROW_BYTES)
}

/** Half of it above the critical threshold, three quarters above the high one, and never below the least. */
export function reduceBatchRows(
  batchRows: number,
  memory: number | null,
  options: AdaptiveOptions = DEFAULT_ADAPTIVE,
): { readonly batchRows: number; readonly remark: Reduction | null } {
  if (memory === null || memory <= options.memoryHigh) return { batchRows, remark: null }
  const critical = memory > options.memoryCritical
  const share = critical ? options.batchShareCritical : options.batchShareHigh
  // A batch that was small already is not made larger.
  const least = Math.min(options.leastBatchRows, batchRows)
  const reduced = Math.max(Math.floor(batchRows * share), least)
  const text = `${critical ? 'CRITICAL' : 'HIGH'} MEMORY PRESSURE: Reducing batch size from ${withCommas(batchRows)} to ${withCommas(reduced)} records`
  return { batchRows: reduced, remark: { figure: 'batchRows', level: critical ? 'warn' : 'info', text } }
}

/** One above the critical threshold, half of them above the high one. */
export function reduceReaders(
  readers: number,
  cpu: number | null,
  options: AdaptiveOptions = DEFAULT_ADAPTIVE,
): { readonly readers: number; readonly remark: Reduction | null } {
  if (cpu === null || cpu <= options.cpuHigh) return { readers, remark: null }
  const critical = cpu > options.cpuCritical
  const reduced = critical ? 1 : Math.max(Math.floor(readers / 2), 1)
  const text = `${critical ? 'CRITICAL' : 'HIGH'} CPU PRESSURE: Reducing threads from ${readers} to ${reduced}`
  return { readers: reduced, remark: { figure: 'readers', level: critical ? 'warn' : 'info', text } }
}

/** What a table of so many rows is read with now. */
export function adaptiveParameters(
  rows: number,
  busyness: Busyness,
  options: AdaptiveOptions = DEFAULT_ADAPTIVE,
): AdaptiveParameters {
  const category = categorizeRows(rows, options)
  const figures = options[category]
  const batch = reduceBatchRows(figures.batchRows, busyness.memory, options)
  const threads = reduceReaders(figures.readers, busyness.cpu, options)
  const remarks = [batch.remark, threads.remark].filter((remark) => remark !== null)
  return {
    ...figures,
    category,
    batchRows: batch.batchRows,
    readers: threads.readers,
    underPressure: remarks.length > 0,
    remarks,
  }
}

/** One line for the log. */
export function describeParameters(
  rows: number,
  { readers, batchRows, partitionRows }: Pick<SizeFigures, 'readers' | 'batchRows' | 'partitionRows'>,
): string {
  return (
    `Resource-aware parameters for ${withCommas(rows)} row table: ${readers} threads, ` +
    `${withCommas(batchRows)} batch size, ${withCommas(partitionRows)} partition size`
  )
}

/** `1,234,567`, whatever the locale. */
export function withCommas(count: number): string {
  return String(Math.round(count)).replaceAll(/\B(?=(?:\d{3})+$)/g, ',')
}
