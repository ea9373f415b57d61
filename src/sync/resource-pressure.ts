/**
 * Keeps a run within what this machine and the server can bear: measures from time to time, and holds readers, batches and pace
 * to what the rules of `adaptive-pressure.ts` and `adaptive.ts` make of it.
 *
 * Nothing runs by a timer: whoever takes batches asks before each one, and a measurement is made there when it is due.
 */
import type { AdaptiveOptions } from '../model/adaptive-options.js'
import type { CatalogStream } from '../model/catalog.js'
import type { Adaptation, PressureCause } from '../model/report.js'
import type { SourcePressure } from '../model/source-pressure.js'
import { MOST_ADAPTATIONS } from '../model/thresholds.js'
import type { Snapshot, Split } from '../source/contract.js'
import {
  adaptiveParameters,
  describeParameters,
  estimateRows,
  type AdaptiveParameters,
  type Remark,
} from './adaptive.js'
import {
  nextLevels,
  NO_PRESSURE,
  reliefFor,
  type PressureLevels,
  type PressureReading,
  type Relief,
} from './adaptive-pressure.js'
import type { Clock } from './clock.js'
import type { MeasuredReaders } from './measured-readers.js'
import { describePressure } from './pressure-text.js'
import type { Progress } from './progress.js'
import { describeStatus, type ResourceMonitor, type ResourceSample } from './resource-monitor.js'

export interface RunPressureOptions {
  readonly options: AdaptiveOptions
  readonly monitor: ResourceMonitor
  readonly readers: MeasuredReaders
  readonly clock: Clock
  readonly progress: Progress
}

/** A table that is read by its size. */
interface SizedStream {
  readonly rows: number
  parameters: AdaptiveParameters
}

/** A pause is looked at again after this long, at most. */
const PAUSE_STEP_MS = 500
/** What is pressed after a pause as before it is not helped by another one. */
const PAUSE_GAIN_PERCENT = 1

export class RunPressure {
  readonly #options: AdaptiveOptions
  readonly #parts: RunPressureOptions
  #levels: PressureLevels = NO_PRESSURE
  #sample: ResourceSample = { memory: null, cpu: null }
  #sampledAtMs: number | null = null
  #snapshot: Pick<Snapshot, 'pressure' | 'limitReaders'> | null = null
  #source: SourcePressure | null = null
  #isAsking = false
  #conflictsBefore: number | null = null
  /** Shared by all streams that wait. */
  #pausing: Promise<void> | null = null
  /** Memory, in percent, and time at the end of the latest pause. */
  #lastPause: { readonly memory: number; readonly endedAtMs: number } | null = null
  readonly #streams = new Map<string, SizedStream>()
  #tables = 0
  #adaptations: Adaptation[] = []

  constructor(parts: RunPressureOptions) {
    this.#parts = parts
    this.#options = parts.options
  }

  get adaptations(): readonly Adaptation[] {
    return this.#adaptations
  }

  /** Whoever can save what it has read should do so. */
  get wantsSave(): boolean {
    return this.#relief.save
  }

  /** For another snapshot: its server is asked from now on. */
  enter(snapshot: Pick<Snapshot, 'pressure' | 'limitReaders'>): void {
    if (this.#isOff) return
    this.#snapshot = snapshot
    this.#source = null
    this.#measure()
  }

  /**
   * For a table that is about to be read by its size: with what. Null where tables are not read by their size. Measures
   * afresh, and waits until processors were watched for long enough.
   */
  async begin(stream: CatalogStream): Promise<AdaptiveParameters | null> {
    if (this.#options.strategy !== 'table_size') return null
    const { clock, monitor, readers, progress } = this.#parts
    const missingMs = this.#sample.cpu === null ? FIRST_CPU_SAMPLE_MS - monitor.cpuIntervalMs : 0
    if (missingMs > 0) await clock.sleep(missingMs, undefined)
    this.#measure()
    if (this.#tables++ % this.#options.logEveryTables === 0) await this.logStatus()
    const rows = estimateRows(stream)
    const parameters = this.#parametersFor(rows)
    this.#streams.set(stream.name, { rows, parameters })
    readers.permits.limitStream(stream.name, parameters.readers)
    for (const remark of parameters.remarks) progress.say(stream.name, remark)
    progress.say(stream.name, { level: 'info', text: describeParameters(rows, parameters) })
    return parameters
  }

  end(stream: string): void {
    this.#streams.delete(stream)
    this.#parts.readers.permits.limitStream(stream, null)
  }

  /** The monitor's own lines. */
  async logStatus(): Promise<void> {
    const { monitor, progress } = this.#parts
    for (const line of describeStatus(await monitor.status())) progress.say(null, line)
  }

  /** Measures when it is time to, and waits while nothing should be read. Rejects with the signal's reason. */
  async beforeBatch(signal: AbortSignal): Promise<void> {
    if (this.#isOff) return
    if (this.#isDue()) this.#measure()
    if (this.#pausing === null && this.#pauseIsDue()) {
      this.#pausing = this.#pause(signal).finally(() => {
        this.#pausing = null
      })
    }
    await this.#pausing
    signal.throwIfAborted()
  }

  /** The split as it should be read now. */
  shape(split: Split): Split {
    const { batchShare } = this.#relief
    const rows = this.#streams.get(split.stream)?.parameters.batchRows ?? Infinity
    if (batchShare === 1 && rows >= split.batchRows) return split
    const least = Math.min(this.#options.leastBatchBytes, split.batchBytes)
    return {
      ...split,
      batchRows: Math.min(split.batchRows, rows),
      batchBytes: Math.max(least, Math.floor(split.batchBytes * batchShare)),
    }
  }

  get #isOff(): boolean {
    return this.#options.strategy === 'off'
  }

  get #relief(): Relief {
    return reliefFor(this.#levels, this.#parts.readers.most, this.#options)
  }

  #isDue(): boolean {
    if (this.#sampledAtMs === null) return true
    const elapsedMs = this.#parts.clock.now() - this.#sampledAtMs
    // The clock may have been set.
    return elapsedMs < 0 || elapsedMs >= this.#options.sampleEveryMs
  }

  #measure(): void {
    const { clock, monitor } = this.#parts
    this.#sampledAtMs = clock.now()
    const native = this.#options.strategy === 'pressure'
    try {
      this.#sample = monitor.sample(native ? this.#options.memoryEnoughBytes : Infinity)
    } catch {
      // What cannot be measured presses nobody.
      this.#sample = { memory: null, cpu: null }
    }
    this.#askSource()
    const before = this.#levels
    const reading = this.#reading()
    this.#levels = nextLevels(before, reading, this.#options)
    const causes = (Object.keys(before) as PressureCause[]).filter(
      (cause) => before[cause] !== this.#levels[cause],
    )
    if (causes.length === 0) return
    this.#apply(causes, before)
    for (const cause of causes) this.#tell(cause, reading)
  }

  #reading(): PressureReading {
    const { connections } = this.#source ?? { connections: null }
    const conflicts = this.#source?.conflicts ?? null
    const cancelled = conflicts !== null && conflicts > (this.#conflictsBefore ?? conflicts)
    this.#conflictsBefore = conflicts ?? this.#conflictsBefore
    return {
      memory: this.#sample.memory?.percent ?? null,
      cpu: this.#sample.cpu,
      connections: connections === null ? null : (connections.used / connections.most) * 100,
      replicaLagMs: this.#source?.replicaLagMs ?? null,
      replayBlocked: cancelled || (this.#source?.replayBlocked ?? false),
      waitingSessions: this.#source?.waitingSessions ?? 0,
    }
  }

  /** The answer counts in the next measurement. */
  #askSource(): void {
    const snapshot = this.#snapshot
    if (this.#isAsking || snapshot?.pressure === undefined) return
    this.#isAsking = true
    void snapshot
      .pressure()
      .then((pressure) => {
        if (snapshot === this.#snapshot) this.#source = pressure
      })
      .catch(() => undefined)
      .finally(() => {
        this.#isAsking = false
      })
  }

  #apply(causes: readonly PressureCause[], before: PressureLevels): void {
    const { readers } = this.#parts
    const relief = this.#relief
    const levels = this.#levels
    readers.hold((most) => reliefFor(levels, most, this.#options).readers)
    // Beyond what is used they hold connections that others need.
    if (causes.includes('connections'))
      this.#snapshot?.limitReaders?.(this.#levels.connections === 'normal' ? Infinity : relief.readers)
    if (this.#levels.memory === 'normal' && before.memory !== 'normal') this.#lastPause = null
    if (causes.includes('memory') || causes.includes('cpu')) this.#resize()
  }

  /** Tables that are under way are held to what holds now. */
  #resize(): void {
    const { readers, progress } = this.#parts
    for (const [name, stream] of this.#streams) {
      const before = stream.parameters
      const now = this.#parametersFor(stream.rows)
      stream.parameters = now
      readers.permits.limitStream(name, now.readers)
      if (now.batchRows === before.batchRows && now.readers === before.readers) continue
      const reduced = now.remarks.filter(({ figure }) => now[figure] < before[figure])
      for (const remark of reduced) progress.say(name, remark)
      progress.say(name, { level: 'info', text: describeParameters(stream.rows, now) })
    }
  }

  #parametersFor(rows: number): AdaptiveParameters {
    const busyness = { memory: this.#sample.memory?.percent ?? null, cpu: this.#sample.cpu }
    return adaptiveParameters(rows, busyness, this.#options)
  }

  #tell(cause: PressureCause, reading: PressureReading): void {
    const { clock, progress, readers } = this.#parts
    const level = this.#levels[cause]
    const message = describePressure({
      cause,
      level,
      reading,
      memory: this.#sample.memory,
      conflicted: this.#source?.replayBlocked !== true,
      relief: this.#relief,
      most: readers.most,
      options: this.#options,
    })
    const adaptation: Adaptation = { at: new Date(clock.now()).toISOString(), cause, level, message }
    this.#adaptations = [...this.#adaptations, adaptation].slice(-MOST_ADAPTATIONS)
    progress.emit({ kind: 'pressure', ...adaptation })
    // By size, tables say it in words of their own.
    const remark: Remark = { level: level === 'critical' ? 'warn' : 'info', text: message }
    if (this.#options.strategy === 'pressure' || (cause !== 'memory' && cause !== 'cpu'))
      progress.say(null, remark)
  }

  /** After one that did not help, reading goes on at least as long as it lasted. */
  #pauseIsDue(): boolean {
    const { pause } = this.#relief
    if (pause === null) return false
    if (this.#lastPause === null) return true
    if (pause === 'memory')
      return (this.#sample.memory?.percent ?? 0) > this.#lastPause.memory + PAUSE_GAIN_PERCENT
    return this.#parts.clock.now() - this.#lastPause.endedAtMs >= this.#options.pauseAtMostMs
  }

  async #pause(signal: AbortSignal): Promise<void> {
    const { clock } = this.#parts
    const { pauseAtMostMs, sampleEveryMs } = this.#options
    const step = Math.max(1, Math.min(PAUSE_STEP_MS, sampleEveryMs, pauseAtMostMs))
    for (let pausedMs = 0; pausedMs < pauseAtMostMs; pausedMs += step) {
      await clock.sleep(step, signal)
      this.#measure()
      if (this.#relief.pause === null) break
    }
    this.#lastPause = { memory: this.#sample.memory?.percent ?? 0, endedAtMs: clock.now() }
  }
}

/** Processors are watched for so long before the first table is read by its size. */
const FIRST_CPU_SAMPLE_MS = 1000
