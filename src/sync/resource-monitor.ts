/** Watches memory, processors and disk of this machine. What cannot be measured is off, and never an error. */
import type { AdaptiveOptions } from '../model/adaptive-options.js'
import { DEFAULT_ADAPTIVE } from '../model/thresholds.js'
import { systemClock, type Clock } from './clock.js'
import { systemProbe, type CpuTimes, type MemoryUse, type ResourceProbe } from './resource-probe.js'

/** As the Connector SDK's example returns it; shares are percent, sizes GiB. */
export type ResourceStatus =
  | {
      readonly status: 'active'
      /** Of whatever is tightest: the process's own limit, the container, the machine. */
      readonly memory_usage: number
      readonly memory_available_gb: number
      /** Of all cores, over the time since the sample before; null where the system does not say. */
      readonly cpu_percent: number | null
      readonly disk_usage: number | null
      readonly memory_pressure: boolean
      readonly memory_critical: boolean
      readonly cpu_pressure: boolean
      readonly cpu_critical: boolean
      /** ISO 8601. */
      readonly timestamp: string
    }
  | { readonly status: 'disabled'; readonly reason: string; readonly timestamp: string }
  | { readonly status: 'error'; readonly error: string; readonly timestamp: string }

export type ResourceThresholds = Pick<
  AdaptiveOptions,
  'memoryLimitBytes' | 'memoryHigh' | 'memoryCritical' | 'cpuHigh' | 'cpuCritical'
>

export interface ResourceMonitorOptions {
  readonly thresholds: ResourceThresholds
  readonly probe: ResourceProbe
  readonly clock: Pick<Clock, 'now'>
  /** Whose disk is asked for; null: none. */
  readonly folder: string | null
}

/** What a sample finds, in the units of thresholds. */
export interface ResourceSample {
  readonly memory: (MemoryUse & { readonly percent: number }) | null
  readonly cpu: number | null
}

/** Shorter than this, and processor times are too coarse to be divided. */
const LEAST_CPU_INTERVAL_MS = 200
/** How long {@link monitorResources} measures the processors. */
const CPU_SAMPLE_MS = 1000

export class ResourceMonitor {
  readonly #options: ResourceMonitorOptions
  #cpuBefore: { readonly times: CpuTimes; readonly atMs: number } | null
  #cpu: number | null = null

  constructor(options: ResourceMonitorOptions) {
    this.#options = options
    try {
      this.#cpuBefore = this.#readCpu()
    } catch {
      // A sample will say so.
      this.#cpuBefore = null
    }
  }

  /** Since the first or the latest sample of the processors. */
  get cpuIntervalMs(): number {
    return this.#cpuBefore === null ? Infinity : this.#options.clock.now() - this.#cpuBefore.atMs
  }

  /**
   * At once. Processors are those of the time since the sample before. Memory of which `enoughBytes` or more are left is
   * passed over. @throws whatever the probe does
   */
  sample(enoughBytes = Infinity): ResourceSample {
    return { memory: this.#sampleMemory(enoughBytes), cpu: this.#sampleCpu() }
  }

  /** A sample with the disk, as it is shown. Never rejects. */
  async status(): Promise<ResourceStatus> {
    const timestamp = new Date(this.#options.clock.now()).toISOString()
    try {
      const { memory, cpu } = this.sample()
      if (memory === null) return { status: 'disabled', reason: 'memory readings not available', timestamp }
      const { folder, probe, thresholds } = this.#options
      return {
        status: 'active',
        memory_usage: memory.percent,
        memory_available_gb: (memory.totalBytes - memory.usedBytes) / 2 ** 30,
        cpu_percent: cpu,
        disk_usage: folder === null ? null : await probe.diskUsage(folder),
        memory_pressure: memory.percent > thresholds.memoryHigh,
        memory_critical: memory.percent > thresholds.memoryCritical,
        cpu_pressure: cpu !== null && cpu > thresholds.cpuHigh,
        cpu_critical: cpu !== null && cpu > thresholds.cpuCritical,
        timestamp,
      }
    } catch (error) {
      return { status: 'error', error: error instanceof Error ? error.message : String(error), timestamp }
    }
  }

  #sampleMemory(enoughBytes: number): ResourceSample['memory'] {
    const { probe, thresholds } = this.#options
    const own = thresholds.memoryLimitBytes
    const uses: readonly MemoryUse[] =
      own === null || own === 0
        ? probe.memory()
        : [
            { of: 'the configured limit', usedBytes: probe.processBytes(), totalBytes: own },
            ...probe.memory(),
          ]
    let tightest: ResourceSample['memory'] = null
    for (const use of uses) {
      if (use.totalBytes - use.usedBytes >= enoughBytes) continue
      const percent = (use.usedBytes / use.totalBytes) * 100
      if (tightest === null || percent > tightest.percent) tightest = { ...use, percent }
    }
    return tightest
  }

  #sampleCpu(): number | null {
    const before = this.#cpuBefore
    const now = this.#readCpu()
    if (before === null || now === null) return null
    if (now.atMs - before.atMs < LEAST_CPU_INTERVAL_MS) return this.#cpu
    const total = now.times.totalMs - before.times.totalMs
    this.#cpuBefore = now
    this.#cpu = total <= 0 ? this.#cpu : ((now.times.busyMs - before.times.busyMs) / total) * 100
    return this.#cpu
  }

  #readCpu(): { readonly times: CpuTimes; readonly atMs: number } | null {
    const times = this.#options.probe.cpuTimes()
    return times === null ? null : { times, atMs: this.#options.clock.now() }
  }
}

/**
 * Memory, processors and disk of this machine, measured over a second. Never rejects: `status` says `disabled` where the
 * system does not tell, and `error` where asking failed.
 */
export async function monitorResources(
  options: {
    readonly thresholds?: Partial<ResourceThresholds>
    /** Whose disk is asked for; default: the working directory. */
    readonly folder?: string
    readonly probe?: ResourceProbe
    readonly clock?: Clock
  } = {},
): Promise<ResourceStatus> {
  const clock = options.clock ?? systemClock
  try {
    const monitor = new ResourceMonitor({
      thresholds: { ...DEFAULT_ADAPTIVE, ...options.thresholds },
      probe: options.probe ?? systemProbe,
      clock,
      folder: options.folder ?? '.',
    })
    await clock.sleep(CPU_SAMPLE_MS, undefined)
    return await monitor.status()
  } catch (error) {
    const timestamp = new Date(clock.now()).toISOString()
    return { status: 'error', error: error instanceof Error ? error.message : String(error), timestamp }
  }
}

/** The monitor's lines for the log: what is used, and what of it is too much. */
export function describeStatus(
  status: ResourceStatus,
): readonly { readonly level: 'info' | 'warn'; readonly text: string }[] {
  if (status.status === 'disabled')
    return [{ level: 'info', text: `Resource monitoring is disabled: ${status.reason}` }]
  if (status.status === 'error')
    return [{ level: 'warn', text: `Resource monitoring failed: ${status.error}` }]
  const memory = `${status.memory_usage.toFixed(1)}%`
  const cpu = formatPercent(status.cpu_percent)
  const summary = `Resource Monitor: Memory ${memory} (${status.memory_available_gb.toFixed(1)}GB available), CPU ${cpu}, Disk ${formatPercent(status.disk_usage)}`
  const lines: { level: 'info' | 'warn'; text: string }[] = [{ level: 'info', text: summary }]
  const warn = (text: string): void => {
    lines.push({ level: 'warn', text })
  }
  if (status.memory_critical) warn(`CRITICAL MEMORY USAGE: ${memory} - System under severe memory pressure!`)
  else if (status.memory_pressure) warn(`HIGH MEMORY USAGE: ${memory} - Consider reducing batch sizes`)
  if (status.cpu_critical) warn(`CRITICAL CPU USAGE: ${cpu} - System under severe CPU pressure!`)
  else if (status.cpu_pressure) warn(`HIGH CPU USAGE: ${cpu} - Consider reducing thread count`)
  return lines
}

function formatPercent(percent: number | null): string {
  return percent === null ? 'unknown' : `${percent.toFixed(1)}%`
}
