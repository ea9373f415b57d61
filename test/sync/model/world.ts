/** A model database, a destination in memory, and runs of the real engine between them. */
import { runSync } from '../../../src/sync/engine.js'
import type { Clock } from '../../../src/sync/clock.js'
import type { ResourceProbe } from '../../../src/sync/resource-probe.js'
import type { Logger } from '../../../src/model/log.js'
import type { ProgressEvent, RunReport, StreamReport } from '../../../src/model/report.js'
import type { SyncSpec } from '../../../src/model/sync-spec.js'
import { DEFAULT_ADAPTIVE, DEFAULT_LIMITS } from '../../../src/model/thresholds.js'
import { ModelDatabase } from './database.js'
import { MemoryDestination, MemoryStore, print, type LandedRow } from './memory-destination.js'
import { ModelSource, type ModelSourceOptions, type Step } from './model-source.js'

export const SPEC: SyncSpec = {
  name: 'shop',
  selection: { select: [], exclude: [] },
  defaults: {},
  streams: {},
  limits: { ...DEFAULT_LIMITS, firstRetryDelayMs: 100 },
  targetSchema: null,
  nameTemplate: null,
  adopt: false,
  allowMassDelete: false,
  allowPrivilegedRole: false,
  acceptNewSource: false,
  jobs: null,
  verify: false,
  adaptive: { ...DEFAULT_ADAPTIVE, strategy: 'off' },
  rowFilter: {},
  metadataTables: false,
  wording: 'native',
}

/** A machine with nothing to do. */
const CALM: ResourceProbe = {
  memory: () => [{ of: 'the machine', usedBytes: 1, totalBytes: 10 }],
  processBytes: () => 1,
  cpuTimes: () => null,
  diskUsage: () => Promise.resolve(10),
}

/** Time passes only when someone sleeps. */
export function makeClock(): Clock & { readonly sleeps: number[] } {
  let now = Date.UTC(2026, 0, 1)
  let seed = 1
  const sleeps: number[] = []
  return {
    sleeps,
    now: () => now,
    random() {
      seed = (seed * 1_103_515_245 + 12_345) & 0x7fffffff
      return seed / 0x80000000
    },
    sleep(ms, signal) {
      signal?.throwIfAborted()
      now += ms
      sleeps.push(ms)
      return Promise.resolve()
    },
  }
}

export interface RunOptions {
  readonly spec?: Partial<SyncSpec>
  readonly step?: Step
  readonly signal?: AbortSignal
  readonly source?: Omit<ModelSourceOptions, 'step'>
  readonly wrapSource?: (source: ModelSource) => ModelSource
  readonly onProgress?: (event: ProgressEvent) => void
  /** 0: a load is saved after each part. */
  readonly saveEveryMs?: number
  readonly logger?: Logger
}

export class World {
  readonly db: ModelDatabase
  store = new MemoryStore()
  readonly clock = makeClock()
  source: ModelSource
  /** Of all runs. */
  readonly warnings: string[] = []

  constructor(db = new ModelDatabase()) {
    this.db = db
    this.source = new ModelSource(db)
  }

  async run(options: RunOptions = {}): Promise<RunReport> {
    const step = options.step ?? (() => undefined)
    this.source = new ModelSource(this.db, { ...options.source, step })
    const source = options.wrapSource?.(this.source) ?? this.source
    return runSync({
      source,
      destination: new MemoryDestination(this.store, step),
      spec: { ...SPEC, ...options.spec },
      clock: this.clock,
      probe: CALM,
      ...(options.signal === undefined ? {} : { signal: options.signal }),
      onProgress: (event) => {
        if (event.kind === 'warning') this.warnings.push(event.message)
        options.onProgress?.(event)
      },
      ...(options.saveEveryMs === undefined ? {} : { saveEveryMs: options.saveEveryMs }),
      ...(options.logger === undefined ? {} : { logger: options.logger }),
    })
  }

  resync(stream: string): Promise<void> {
    return new MemoryDestination(this.store).editState('shop', stream, { kind: 'resync' })
  }

  /** Runs, and says no unless every stream came through. */
  async sync(options: RunOptions = {}): Promise<RunReport> {
    const report = await this.run(options)
    if (report.outcome !== 'done') {
      const errors = report.streams.map((stream) => `${stream.stream}: ${stream.error?.message ?? ''}`)
      throw new Error(`the run ended as ${report.outcome}: ${errors.join('; ')}`)
    }
    return report
  }

  /** Rows of the source that are not at the destination as they were in the table's last snapshot, and the other way round. */
  differences(table: string, only: (row: { readonly v: bigint }) => boolean = () => true): string[] {
    const snapshot = this.source.snapshotOf.get(table) ?? this.source.lastSnapshot
    if (snapshot === null) throw new Error('no run yet')
    const { columns } = this.db.table(table)
    const wanted = this.db
      .visibleRows(table, snapshot, this.source.leavesOf.get(table))
      .filter(only)
      .map((row) => print(Object.fromEntries(columns.map(({ name }) => [name, row[name]]))))
    const landed = this.landed(table).map(print)
    const lost = subtract(wanted, landed).map((row) => `lost ${row}`)
    const extra = subtract(landed, wanted).map((row) => `extra ${row}`)
    return [...lost, ...extra]
  }

  expectExact(table: string): void {
    const found = this.differences(table)
    if (found.length > 0) throw new Error(`destination and snapshot differ:\n${found.join('\n')}`)
  }

  landed(table: string): LandedRow[] {
    return this.store.live(`public.${table}`)
  }
}

function subtract(from: readonly string[], what: readonly string[]): string[] {
  const counts = new Map<string, number>()
  for (const item of what) counts.set(item, (counts.get(item) ?? 0) + 1)
  return from.filter((item) => {
    const left = counts.get(item) ?? 0
    counts.set(item, left - 1)
    return left <= 0
  })
}

export function only(report: RunReport): StreamReport {
  const [stream] = report.streams
  if (stream === undefined || report.streams.length !== 1) throw new Error('expected one stream')
  return stream
}
