import { describe, expect, test } from 'vitest'
import type { AdaptiveOptions } from '../../src/model/adaptive-options.js'
import type { LogFields, Logger } from '../../src/model/log.js'
import type { ProgressEvent } from '../../src/model/report.js'
import type { SourcePressure } from '../../src/model/source-pressure.js'
import { DEFAULT_ADAPTIVE, DEFAULT_LIMITS } from '../../src/model/thresholds.js'
import type { Split } from '../../src/source/contract.js'
import type { Clock } from '../../src/sync/clock.js'
import { MeasuredReaders } from '../../src/sync/measured-readers.js'
import { createProgress } from '../../src/sync/progress.js'
import type { ReaderPermits } from '../../src/sync/reader-permits.js'
import { ResourceMonitor } from '../../src/sync/resource-monitor.js'
import { RunPressure } from '../../src/sync/resource-pressure.js'
import { makeStream } from '../source/make-stream.js'
import { makeClock } from './model/world.js'

/** The server has answered. */
function answer(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

const never = new AbortController().signal
const CALM: SourcePressure = {
  replicaLagMs: null,
  replayBlocked: false,
  conflicts: 0,
  waitingSessions: 0,
  connections: { used: 10, most: 100 },
}

/** A run on a machine and a server that the test turns as it likes. */
class Run {
  readonly clock: Clock & { readonly sleeps: number[] } = makeClock()
  readonly machine = { memory: 10, cpu: 10, broken: false }
  source: SourcePressure
  readonly kept: number[] = []
  readonly events: ProgressEvent[] = []
  readonly log: string[] = []
  readonly readers: MeasuredReaders
  readonly permits: ReaderPermits
  readonly pressure: RunPressure
  /** What happens while it is slept. */
  onSleep = (): void => undefined
  #busyMs = 0
  #totalMs = 0

  constructor(options: Partial<AdaptiveOptions> = {}, source = CALM) {
    const jobs = 4
    this.source = source
    const adaptive = { ...DEFAULT_ADAPTIVE, ...options }
    const sleep = this.clock.sleep.bind(this.clock)
    this.clock.sleep = (ms, signal) => {
      this.#busyMs += (ms * this.machine.cpu) / 100
      this.#totalMs += ms
      this.onSleep()
      return sleep(ms, signal)
    }
    this.readers = new MeasuredReaders({ jobs, clock: this.clock, machine: { cores: 2, idleMs: () => null } })
    const probe = {
      memory: () => [{ of: 'the container', usedBytes: this.machine.memory, totalBytes: 100 }],
      processBytes: () => 0,
      cpuTimes: () => {
        if (this.machine.broken) throw new Error('no such call')
        return { busyMs: this.#busyMs, totalMs: this.#totalMs }
      },
      diskUsage: () => Promise.resolve(50),
    }
    this.pressure = new RunPressure({
      options: adaptive,
      monitor: new ResourceMonitor({ thresholds: adaptive, probe, clock: this.clock, folder: '.' }),
      readers: this.readers,
      clock: this.clock,
      progress: createProgress({
        logger: this.#logger(),
        onProgress: (event) => this.events.push(event),
        wording: 'native',
        maxAttempts: 5,
      }),
    })
    this.pressure.enter({
      pressure: () => Promise.resolve(this.source),
      limitReaders: (most) => this.kept.push(most),
    })
    this.permits = this.readers.begin({ most: jobs, fullBytes: 1e9, onChange: () => undefined })
  }

  /** As whoever reads does: time passes, the server answers, and the next batch is asked for. */
  async read(memory: number): Promise<void> {
    this.machine.memory = memory
    for (let turn = 0; turn < 3; turn++) {
      await this.clock.sleep(1000, never)
      await this.pressure.beforeBatch(never)
      await answer()
    }
  }

  #logger(): Logger {
    const keep =
      (level: string) =>
      (_fields: LogFields, message: string): void => {
        this.log.push(`${level} ${message}`)
      }
    return { debug: keep('debug'), info: keep('info'), warn: keep('warn'), error: keep('error') }
  }
}

const split = {
  stream: 'public.t',
  batchRows: 100_000,
  batchBytes: DEFAULT_LIMITS.batchBytes,
} as Split

describe('memory pressure', () => {
  test('takes readers and parts of batches, and gives them back when it has eased', async () => {
    const run = new Run()
    expect([run.permits.limit, run.pressure.shape(split).batchBytes]).toEqual([4, 8 << 20])
    await run.read(85)
    expect([run.permits.limit, run.pressure.shape(split).batchBytes]).toEqual([2, 6 << 20])
    await run.read(95)
    expect([run.permits.limit, run.pressure.shape(split).batchBytes]).toEqual([1, 4 << 20])
    await run.read(82)
    expect(run.permits.limit).toBe(2)
    // Just below the threshold is not eased yet.
    await run.read(79)
    expect(run.permits.limit).toBe(2)
    await run.read(60)
    expect(run.permits.limit).toBe(4)
    expect(run.pressure.shape(split)).toBe(split)
  })

  test('is told by events, in the log and in the report', async () => {
    const run = new Run()
    await run.read(85)
    await run.read(95)
    await run.read(60)
    const told = run.events.filter((event) => event.kind === 'pressure')
    expect(told.map(({ cause, level }) => [cause, level])).toEqual([
      ['memory', 'high'],
      ['memory', 'critical'],
      ['memory', 'normal'],
    ])
    expect(run.pressure.adaptations.map(({ message }) => message)).toEqual([
      'Memory pressure is high: 85.0% of the memory of the container in use, 0 MiB left. Until it eases: at most 2 of 4 readers, batches at 75% of their size.',
      'Memory pressure is critical: 95.0% of the memory of the container in use, 0 MiB left. Until it eases: at most 1 of 4 readers, batches at 50% of their size, a pause of at most 10 s.',
      'Memory pressure has eased: 60.0% of the memory of the container in use, 0 MiB left. Readers and batches are as before.',
    ])
    expect(run.log.map((line) => line.split(' ', 1)[0])).toEqual(['info', 'warn', 'info'])
  })

  test('that is critical stops reading until it eases', async () => {
    const run = new Run()
    run.machine.memory = 95
    let steps = 0
    run.onSleep = () => {
      if (++steps === 4) run.machine.memory = 50
    }
    await run.clock.sleep(1000, never)
    const before = run.clock.now()
    await run.pressure.beforeBatch(never)
    expect(run.clock.now() - before).toBe(1500)
    expect(run.permits.limit).toBe(4)
  })

  test('that does not ease stops reading for ten seconds, and again only when it has grown', async () => {
    const run = new Run()
    await run.read(95)
    const pausedMs = async (): Promise<number> => {
      const before = run.clock.now()
      await run.pressure.beforeBatch(never)
      return run.clock.now() - before
    }
    expect(run.clock.sleeps.filter((ms) => ms === 500)).toHaveLength(20)
    await run.clock.sleep(1000, never)
    expect(await pausedMs()).toBe(0)
    run.machine.memory = 97
    await run.clock.sleep(1000, never)
    expect(await pausedMs()).toBe(10_000)
  })

  test('lets an interruption through in the middle of a pause', async () => {
    const run = new Run()
    run.machine.memory = 95
    const abort = new AbortController()
    await run.clock.sleep(1000, never)
    run.onSleep = () => {
      abort.abort(new Error('SIGINT'))
    }
    await expect(run.pressure.beforeBatch(abort.signal)).rejects.toThrow('SIGINT')
  })

  test('is not looked for with much left, nor where it is off', async () => {
    const off = new Run({ strategy: 'off' })
    await off.read(99)
    expect(off.permits.limit).toBe(4)
    const plenty = new Run({ memoryEnoughBytes: 1 })
    await plenty.read(98)
    expect([plenty.permits.limit, plenty.log]).toEqual([4, []])
  })

  test('that cannot be measured is none, and no error', async () => {
    const run = new Run({ strategy: 'table_size' })
    run.machine.broken = true
    await run.read(99)
    expect(await run.pressure.begin(makeStream())).toMatchObject({ batchRows: 5000, readers: 4 })
    expect(run.log[0]).toBe('warn Resource monitoring failed: no such call')
  })

  test('never makes a batch larger, nor smaller than the least', async () => {
    const run = new Run({ leastBatchBytes: 7 << 20 })
    await run.read(95)
    expect(run.pressure.shape(split).batchBytes).toBe(7 << 20)
    expect(run.pressure.shape({ ...split, batchBytes: 1000 }).batchBytes).toBe(1000)
  })
})

describe('pressure on the server', () => {
  test('on its connections closes readers beyond those in use, and lets them come back', async () => {
    const run = new Run()
    run.source = { ...CALM, connections: { used: 92, most: 100 } }
    await run.read(10)
    expect([run.permits.limit, run.kept]).toEqual([2, [2]])
    run.source = { ...CALM, connections: { used: 97, most: 100 } }
    await run.read(10)
    expect([run.permits.limit, run.kept]).toEqual([1, [2, 1]])
    run.source = CALM
    await run.read(10)
    expect([run.permits.limit, run.kept]).toEqual([4, [2, 1, Infinity]])
    expect(run.log[0]).toContain("Pressure on the server's connections is high: 92% of them in use.")
  })

  test('of a standby that is behind makes reading pause again and again', async () => {
    const run = new Run()
    run.source = { ...CALM, replicaLagMs: 45_000 }
    await run.read(10)
    const pauses = (): number => run.clock.sleeps.filter((ms) => ms === 500).length
    expect(pauses()).toBe(20)
    await run.read(10)
    expect(pauses()).toBe(20)
    await run.clock.sleep(8000, never)
    await run.read(10)
    expect(pauses()).toBe(40)
    run.source = { ...CALM, replicaLagMs: 0 }
    await run.read(10)
    expect(run.log.at(-1)).toBe('info The standby is 0 s behind. Reading goes on as before.')
  })

  test('by a snapshot that replay waits for asks for saves instead of a pause', async () => {
    const run = new Run()
    run.source = { ...CALM, replicaLagMs: 45_000, replayBlocked: true }
    await run.read(10)
    expect(run.clock.sleeps.filter((ms) => ms === 500)).toHaveLength(0)
    expect(run.pressure.wantsSave).toBe(true)
    run.source = CALM
    await run.read(10)
    expect(run.pressure.wantsSave).toBe(false)
  })

  test('counts what a standby has cancelled since the run began, not before', async () => {
    const run = new Run({}, { ...CALM, conflicts: 7 })
    await run.read(10)
    expect(run.pressure.wantsSave).toBe(false)
    run.source = { ...CALM, conflicts: 8 }
    await run.clock.sleep(1000, never)
    await run.pressure.beforeBatch(never)
    await answer()
    await run.clock.sleep(1000, never)
    await run.pressure.beforeBatch(never)
    expect(run.log.at(-1)).toContain('cancelled a query of this database')
  })

  test('of sessions that wait for a lock of ours asks for saves', async () => {
    const run = new Run()
    run.source = { ...CALM, waitingSessions: 1 }
    await run.read(10)
    expect(run.pressure.wantsSave).toBe(true)
    expect(run.log.at(-1)).toContain('Sessions that wait for a lock of ours: 1.')
  })

  test('that cannot be asked is none', async () => {
    const run = new Run()
    run.pressure.enter({ pressure: () => Promise.reject(new Error('no such view')) })
    await run.read(10)
    expect(run.log).toEqual([])
    run.pressure.enter({})
    await run.read(10)
    expect(run.log).toEqual([])
  })
})

describe('tables that are read by their size', () => {
  const table = makeStream({ name: 'public.t', estimatedRows: 10 })

  test('get their figures, and their line in the log', async () => {
    const run = new Run({ strategy: 'table_size' })
    expect(await run.pressure.begin(table)).toMatchObject({
      batchRows: 5000,
      readers: 4,
      checkpointRows: 1e6,
    })
    expect(run.log).toEqual([
      'info Resource Monitor: Memory 10.0% (0.0GB available), CPU 10.0%, Disk 50.0%',
      'info Resource-aware parameters for 10 row table: 4 threads, 5,000 batch size, 50,000 partition size',
    ])
    expect(run.pressure.shape(split).batchRows).toBe(5000)
    run.pressure.end('public.t')
    expect(run.pressure.shape(split)).toBe(split)
  })

  test('get smaller batches under memory pressure and fewer threads under processor pressure', async () => {
    const run = new Run({ strategy: 'table_size' })
    Object.assign(run.machine, { memory: 91, cpu: 90 })
    await run.pressure.begin(table)
    expect(run.log.slice(-3)).toEqual([
      'warn CRITICAL MEMORY PRESSURE: Reducing batch size from 5,000 to 2,500 records',
      'info HIGH CPU PRESSURE: Reducing threads from 4 to 2',
      'info Resource-aware parameters for 10 row table: 2 threads, 2,500 batch size, 50,000 partition size',
    ])
    expect(run.pressure.shape(split).batchRows).toBe(2500)
  })

  test('are held to less, and given back more, while they are read', async () => {
    const run = new Run({ strategy: 'table_size' })
    await run.pressure.begin(table)
    const rows = (): number => run.pressure.shape(split).batchRows
    await run.read(85)
    expect(rows()).toBe(3750)
    await run.read(95)
    expect(rows()).toBe(2500)
    await run.read(82)
    expect(rows()).toBe(3750)
    await run.read(50)
    expect(rows()).toBe(5000)
    // Nothing stands still for it.
    expect(run.clock.sleeps.filter((ms) => ms === 500)).toHaveLength(0)
    expect(run.log.filter((line) => line.includes('MEMORY PRESSURE'))).toEqual([
      'info HIGH MEMORY PRESSURE: Reducing batch size from 5,000 to 3,750 records',
      'warn CRITICAL MEMORY PRESSURE: Reducing batch size from 5,000 to 2,500 records',
    ])
  })

  test('hold no more readers than their threads', async () => {
    const run = new Run({ strategy: 'table_size' })
    await run.pressure.begin({ ...table, estimatedRows: 2e6 })
    const granted: string[] = []
    for (let split = 0; split < 4; split++)
      void run.permits.acquire('public.t', never).then(() => granted.push('t'))
    void run.permits.acquire('public.other', never).then(() => granted.push('other'))
    await answer()
    expect(granted.toSorted()).toEqual(['other', 't', 't'])
  })

  test('are begun with the monitor’s line every five of them', async () => {
    const run = new Run({ strategy: 'table_size' })
    for (let index = 0; index < 11; index++) await run.pressure.begin({ ...table, name: `public.t${index}` })
    expect(run.log.filter((line) => line.includes('Resource Monitor:'))).toHaveLength(3)
  })
})
