import { describe, expect, test } from 'vitest'
import { DEFAULT_ADAPTIVE } from '../../src/model/thresholds.js'
import {
  describeStatus,
  monitorResources,
  ResourceMonitor,
  type ResourceStatus,
} from '../../src/sync/resource-monitor.js'
import {
  createProbe,
  systemProbe,
  type MemoryUse,
  type ResourceProbe,
} from '../../src/sync/resource-probe.js'
import { makeClock } from './model/world.js'

const GIB = 2 ** 30

/** The files of a machine, by path. */
function probeOf(files: Readonly<Record<string, string>>): ResourceProbe {
  return createProbe({ readText: (path) => files[path] ?? null })
}

const MEMINFO = 'MemTotal:       16777216 kB\nMemFree:         1048576 kB\nMemAvailable:    4194304 kB\n'

describe('memory', () => {
  test('of a machine is what is not available, whatever its caches hold', () => {
    expect(probeOf({ '/proc/meminfo': MEMINFO }).memory()).toEqual([
      { of: 'the machine', usedBytes: 12 * GIB, totalBytes: 16 * GIB },
    ])
  })

  test('of a container of version 2 is counted without the pages of files, against the tightest limit above it', () => {
    const memory = probeOf({
      '/proc/meminfo': MEMINFO,
      '/proc/self/cgroup': '0::/pods/ours\n',
      '/sys/fs/cgroup/pods/ours/memory.max': 'max\n',
      '/sys/fs/cgroup/pods/ours/memory.current': '900\n',
      '/sys/fs/cgroup/pods/memory.max': '1000\n',
      '/sys/fs/cgroup/pods/memory.current': '950\n',
      '/sys/fs/cgroup/pods/memory.stat': 'anon 500\ninactive_file 300\nactive_file 50\nshmem 100\n',
      '/sys/fs/cgroup/memory.max': '5000\n',
      '/sys/fs/cgroup/memory.current': '2000\n',
    }).memory()
    expect(memory).toContainEqual({ of: 'the container', usedBytes: 600, totalBytes: 1000 })
    expect(memory).toHaveLength(2)
  })

  test('of a container of version 1 likewise, also where it sees its own group as the root', () => {
    const [container] = probeOf({
      '/proc/self/cgroup': '5:devices:/docker/x\n4:memory:/docker/x\n0::/\n',
      '/sys/fs/cgroup/memory/memory.limit_in_bytes': '1000\n',
      '/sys/fs/cgroup/memory/memory.usage_in_bytes': '800\n',
      '/sys/fs/cgroup/memory/memory.stat': 'cache 9\ntotal_inactive_file 100\ntotal_active_file 200\n',
    }).memory()
    expect(container).toEqual({ of: 'the container', usedBytes: 500, totalBytes: 1000 })
  })

  test('is not bounded by a group without a limit', () => {
    const memory = probeOf({
      '/proc/self/cgroup': '4:memory:/x\n0::/\n',
      '/sys/fs/cgroup/memory/x/memory.limit_in_bytes': '9223372036854771712\n',
      '/sys/fs/cgroup/memory/x/memory.usage_in_bytes': '800\n',
      '/sys/fs/cgroup/memory.max': 'max\n',
    }).memory()
    expect(memory.map(({ of }) => of)).toEqual(['the machine'])
  })

  test('is our own of all there is, where the system tells nothing else', () => {
    const [use] = probeOf({}).memory()
    expect(use?.usedBytes).toBeGreaterThan(1e6)
    expect(use?.usedBytes).toBeLessThan(use?.totalBytes ?? 0)
  })
})

interface Fake {
  memory: MemoryUse[]
  rss: number
  busyMs: number
  totalMs: number
}

function fakeProbe(fake: Fake): ResourceProbe {
  return {
    memory: () => fake.memory,
    processBytes: () => fake.rss,
    cpuTimes: () => ({ busyMs: fake.busyMs, totalMs: fake.totalMs }),
    diskUsage: () => Promise.resolve(55.06),
  }
}

function fakeMachine(): Fake {
  return {
    memory: [{ of: 'the machine', usedBytes: 4 * GIB, totalBytes: 16 * GIB }],
    rss: GIB,
    busyMs: 0,
    totalMs: 0,
  }
}

describe('the monitor', () => {
  test('measures processors between two samples, and none where too little time passed', async () => {
    const fake = fakeMachine()
    const clock = makeClock()
    const monitor = new ResourceMonitor({
      thresholds: DEFAULT_ADAPTIVE,
      probe: fakeProbe(fake),
      clock,
      folder: null,
    })
    await clock.sleep(50, undefined)
    expect(monitor.sample().cpu).toBeNull()
    await clock.sleep(950, undefined)
    Object.assign(fake, { busyMs: 1800, totalMs: 2000 })
    expect(monitor.sample().cpu).toBe(90)
    await clock.sleep(1000, undefined)
    Object.assign(fake, { busyMs: 2000, totalMs: 4000 })
    expect(monitor.sample().cpu).toBe(10)
  })

  test('takes the tightest of what bounds us, and the limit that is stated is one', () => {
    const fake = fakeMachine()
    const options = { probe: fakeProbe(fake), clock: makeClock(), folder: null }
    const monitor = new ResourceMonitor({ ...options, thresholds: DEFAULT_ADAPTIVE })
    expect(monitor.sample().memory).toMatchObject({ of: 'the machine', percent: 25 })
    const bounded = { ...DEFAULT_ADAPTIVE, memoryLimitBytes: 2 * GIB }
    const limited = new ResourceMonitor({ ...options, thresholds: bounded })
    expect(limited.sample().memory).toMatchObject({ of: 'the configured limit', percent: 50 })
    fake.memory.push({ of: 'the container', usedBytes: 95, totalBytes: 100 })
    expect(limited.sample().memory).toMatchObject({ of: 'the container', percent: 95 })
  })

  test('passes over memory of which enough is left', () => {
    const fake = fakeMachine()
    fake.memory = [
      { of: 'the machine', usedBytes: 60 * GIB, totalBytes: 64 * GIB },
      { of: 'the container', usedBytes: 1.7 * GIB, totalBytes: 2 * GIB },
    ]
    const monitor = new ResourceMonitor({
      thresholds: DEFAULT_ADAPTIVE,
      probe: fakeProbe(fake),
      clock: makeClock(),
      folder: null,
    })
    expect(monitor.sample(2 * GIB).memory).toMatchObject({ of: 'the container' })
    expect(monitor.sample().memory).toMatchObject({ of: 'the machine' })
    expect(monitor.sample(0.1 * GIB).memory).toBeNull()
  })
})

describe('the status', () => {
  async function statusAt(percent: number, cpu = 20): Promise<ResourceStatus> {
    const fake = fakeMachine()
    fake.memory = [{ of: 'the machine', usedBytes: percent, totalBytes: 100 }]
    const clock = makeClock()
    const probe = fakeProbe(fake)
    const sleep = clock.sleep.bind(clock)
    clock.sleep = (ms, signal) => {
      Object.assign(fake, { busyMs: cpu, totalMs: 100 })
      return sleep(ms, signal)
    }
    return monitorResources({ probe, clock })
  }

  test('has the fields that the example’s own function returns, over a second', async () => {
    expect(await statusAt(85, 12)).toEqual({
      status: 'active',
      memory_usage: 85,
      memory_available_gb: 15 / GIB,
      cpu_percent: 12,
      disk_usage: 55.06,
      memory_pressure: true,
      memory_critical: false,
      cpu_pressure: false,
      cpu_critical: false,
      timestamp: '2026-01-01T00:00:01.000Z',
    })
    expect(await statusAt(95, 96)).toMatchObject({
      memory_pressure: true,
      memory_critical: true,
      cpu_pressure: true,
      cpu_critical: true,
    })
  })

  test('is strict: at a threshold nothing presses', async () => {
    expect(await statusAt(80, 85)).toMatchObject({ memory_pressure: false, cpu_pressure: false })
  })

  test('is disabled where nothing can be measured, and an error where measuring fails; neither throws', async () => {
    const fake = fakeMachine()
    fake.memory = []
    const clock = makeClock()
    expect(await monitorResources({ probe: fakeProbe(fake), clock })).toEqual({
      status: 'disabled',
      reason: 'memory readings not available',
      timestamp: '2026-01-01T00:00:01.000Z',
    })
    const broken: ResourceProbe = {
      ...fakeProbe(fake),
      cpuTimes: () => {
        throw new Error('no such call')
      },
    }
    expect(await monitorResources({ probe: broken, clock })).toMatchObject({
      status: 'error',
      error: 'no such call',
    })
  })

  test('of this machine is active', async () => {
    const status = await monitorResources({ clock: { ...makeClock(), now: () => Date.now() } })
    expect(status).toMatchObject({ status: 'active' })
    if (status.status !== 'active') return
    expect(status.memory_usage).toBeGreaterThan(0)
    expect(status.memory_available_gb).toBeGreaterThan(0)
    expect(status.disk_usage).toBeGreaterThan(0)
    expect(await systemProbe.diskUsage('/no/such/folder')).toBeNull()
  })

  test('is said in the log, and what is too much of it', async () => {
    expect(describeStatus(await statusAt(41.2, 12))).toEqual([
      { level: 'info', text: 'Resource Monitor: Memory 41.2% (0.0GB available), CPU 12.0%, Disk 55.1%' },
    ])
    expect(describeStatus(await statusAt(85, 90)).slice(1)).toEqual([
      { level: 'warn', text: 'HIGH MEMORY USAGE: 85.0% - Consider reducing batch sizes' },
      { level: 'warn', text: 'HIGH CPU USAGE: 90.0% - Consider reducing thread count' },
    ])
    expect(describeStatus(await statusAt(91.5, 96)).slice(1)).toEqual([
      { level: 'warn', text: 'CRITICAL MEMORY USAGE: 91.5% - System under severe memory pressure!' },
      { level: 'warn', text: 'CRITICAL CPU USAGE: 96.0% - System under severe CPU pressure!' },
    ])
    const timestamp = ''
    expect(describeStatus({ status: 'disabled', reason: 'x', timestamp })[0]?.text).toContain('disabled: x')
    expect(describeStatus({ status: 'error', error: 'y', timestamp })[0]?.text).toContain('failed: y')
  })
})
