/**
 * What the system says of memory, processors and disks, as far as it does: files of Linux where there are any, else what Node
 * knows. Handed in, so that a test can have any machine.
 */
import { readFileSync } from 'node:fs'
import { statfs } from 'node:fs/promises'
import { cpus, totalmem } from 'node:os'

export interface MemoryUse {
  /** Whose memory it is, as part of a sentence. */
  readonly of: string
  readonly usedBytes: number
  readonly totalBytes: number
}

/** Milliseconds of all cores together since some moment. */
export interface CpuTimes {
  readonly busyMs: number
  readonly totalMs: number
}

export interface ResourceProbe {
  /** Everything that bounds what we may use; empty where nothing is known. */
  memory(): readonly MemoryUse[]
  /** Bytes of this process that are resident. */
  processBytes(): number
  cpuTimes(): CpuTimes | null
  /** Percent of the disk of a folder that is in use; null where it cannot be asked. */
  diskUsage(folder: string): Promise<number | null>
}

/** The text of a file; null where there is none, or it may not be read. */
export type ReadText = (path: string) => string | null

export const systemProbe: ResourceProbe = createProbe({
  readText(path) {
    try {
      return readFileSync(path, 'utf8')
    } catch {
      return null
    }
  },
})

export function createProbe({ readText }: { readonly readText: ReadText }): ResourceProbe {
  return {
    memory: () => {
      const uses = [containerMemory(readText), machineMemory(readText)].filter((use) => use !== null)
      // Free memory says little where caches count as used; what we take of all there is, is sure.
      return uses.length > 0
        ? uses
        : [{ of: 'the machine', usedBytes: process.memoryUsage.rss(), totalBytes: totalmem() }]
    },
    processBytes: () => process.memoryUsage.rss(),
    cpuTimes() {
      const cores = cpus()
      if (cores.length === 0) return null
      let busyMs = 0
      let idleMs = 0
      for (const { times } of cores) {
        idleMs += times.idle
        busyMs += times.user + times.nice + times.sys + times.irq
      }
      return { busyMs, totalMs: busyMs + idleMs }
    },
    async diskUsage(folder) {
      try {
        const { blocks, bfree, bavail } = await statfs(folder)
        const used = blocks - bfree
        return used + bavail === 0 ? null : (used / (used + bavail)) * 100
      } catch {
        return null
      }
    },
  }
}

function machineMemory(readText: ReadText): MemoryUse | null {
  const text = readText('/proc/meminfo')
  if (text === null) return null
  const total = kibOf(text, 'MemTotal')
  const available = kibOf(text, 'MemAvailable')
  if (total === null || available === null || total === 0) return null
  return { of: 'the machine', usedBytes: (total - available) * 1024, totalBytes: total * 1024 }
}

function kibOf(text: string, key: string): number | null {
  const match = new RegExp(`^${key}:\\s+(\\d+) kB$`, 'm').exec(text)
  return match === null ? null : Number(match[1])
}

/** What lies between a version 1 group and "no limit": the limit is then the largest multiple of a page. */
const NO_LIMIT_BYTES = 2 ** 60

/** The tightest limit of the control groups that the process is in, version 2 or 1, with what is used below it. */
function containerMemory(readText: ReadText): MemoryUse | null {
  const groups = readText('/proc/self/cgroup')
  if (groups === null) return null
  const uses = groups.split('\n').flatMap((line) => {
    const [, controllers = '', path = ''] = /^\d+:([^:]*):(.*)$/.exec(line) ?? []
    if (path === '') return []
    if (controllers === '') return groupsAbove(path).map((group) => readGroup(readText, group, VERSION_2))
    if (!controllers.split(',').includes('memory')) return []
    return groupsAbove(path).map((group) => readGroup(readText, group, VERSION_1))
  })
  let tightest: MemoryUse | null = null
  for (const use of uses) {
    if (use === null) continue
    if (tightest === null || leftOf(use) < leftOf(tightest)) tightest = use
  }
  return tightest
}

/** Every group bounds those within it. In a container the path may be that of the host, and the root our own group. */
function groupsAbove(path: string): readonly string[] {
  const parts = path.split('/').filter((part) => part !== '')
  return Array.from({ length: parts.length + 1 }, (_, count) =>
    parts.slice(0, parts.length - count).join('/'),
  )
}

interface GroupFiles {
  readonly root: string
  readonly limit: string
  readonly used: string
  /** Pages of files, which the kernel takes back before it kills anybody. */
  readonly caches: readonly string[]
}

const VERSION_2: GroupFiles = {
  root: '/sys/fs/cgroup',
  limit: 'memory.max',
  used: 'memory.current',
  caches: ['inactive_file', 'active_file'],
}
const VERSION_1: GroupFiles = {
  root: '/sys/fs/cgroup/memory',
  limit: 'memory.limit_in_bytes',
  used: 'memory.usage_in_bytes',
  caches: ['total_inactive_file', 'total_active_file'],
}

function readGroup(readText: ReadText, group: string, files: GroupFiles): MemoryUse | null {
  const folder = group === '' ? files.root : `${files.root}/${group}`
  const limit = Number(readText(`${folder}/${files.limit}`) ?? 'max')
  const used = readText(`${folder}/${files.used}`)
  if (!Number.isFinite(limit) || limit <= 0 || limit >= NO_LIMIT_BYTES || used === null) return null
  const stat = readText(`${folder}/memory.stat`) ?? ''
  const cached = files.caches.reduce((sum, key) => {
    const match = new RegExp(`^${key} (\\d+)$`, 'm').exec(stat)
    return sum + Number(match?.[1] ?? 0)
  }, 0)
  return { of: 'the container', usedBytes: Math.max(0, Number(used) - cached), totalBytes: limit }
}

function leftOf({ usedBytes, totalBytes }: MemoryUse): number {
  return totalBytes - usedBytes
}
