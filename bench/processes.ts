/**
 * What processes used, read from /proc: Linux only, null elsewhere. Formats: proc(5).
 */
import { readFile, readdir } from 'node:fs/promises'

/** USER_HZ, the unit of times in /proc/<pid>/stat: 100 on every architecture that Node runs on. */
const TICKS_PER_SECOND = 100
/** Fields of /proc/<pid>/stat counted from the state, which follows the name in brackets. */
const [PARENT, USER, SYSTEM, CHILDREN_USER, CHILDREN_SYSTEM] = [1, 11, 12, 13, 14] as const

interface Usage {
  readonly parent: number
  /** CPU seconds of the process itself. */
  readonly own: number
  /** CPU seconds of its children that ended and were waited for, and of theirs. */
  readonly reaped: number
}

export const canReadProcesses = process.platform === 'linux'

/** Null when the process is gone. */
async function readUsage(pid: number | 'self'): Promise<Usage | null> {
  const text = await readFile(`/proc/${String(pid)}/stat`, 'utf8').catch(() => null)
  if (text === null) return null
  // The name may hold spaces and brackets of its own, so the last bracket counts.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  const seconds = (...at: number[]): number =>
    at.reduce((sum, index) => sum + Number(fields[index]), 0) / TICKS_PER_SECOND
  return {
    parent: Number(fields[PARENT]),
    own: seconds(USER, SYSTEM),
    reaped: seconds(CHILDREN_USER, CHILDREN_SYSTEM),
  }
}

/** CPU seconds of all children of this process that have ended so far; the difference around one child is that child's. */
export async function reapedCpuSeconds(): Promise<number | null> {
  if (!canReadProcesses) return null
  return (await readUsage('self'))?.reaped ?? null
}

/**
 * CPU seconds of a process and all its children, those that ended included: for a postmaster, the whole server. A child that is
 * waited for while we look is in neither place or in both, so then we look again.
 */
export async function familyCpuSeconds(pid: number): Promise<number | null> {
  if (!canReadProcesses) return null
  for (;;) {
    const before = await readUsage(pid)
    const children = await childrenOf(pid)
    const usage = await readUsage(pid)
    if (before === null || usage === null) return null
    if (before.reaped !== usage.reaped) continue
    return children.reduce((sum, child) => sum + child.own, usage.own + usage.reaped)
  }
}

async function childrenOf(pid: number): Promise<readonly Usage[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number)
  const usages = await Promise.all(pids.map((each) => readUsage(each)))
  return usages.filter((usage) => usage !== null).filter((usage) => usage.parent === pid)
}

/** Memory of a process and its descendants, in bytes; null when all are gone. */
export interface TreeMemory {
  /** What they hold now, added up; pages that several share count several times. */
  readonly now: number
  /** The most that any one of them has held so far: the kernel keeps it, so nothing is missed between two looks. */
  readonly peakOfOne: number
}

/** Follows children by /proc/<pid>/task/<tid>/children, which costs little enough to be asked often. */
export async function readTreeMemory(root: number): Promise<TreeMemory | null> {
  if (!canReadProcesses) return null
  let [now, peakOfOne] = [0, 0]
  const pending = [root]
  for (let pid = pending.pop(); pid !== undefined; pid = pending.pop()) {
    const status = await readFile(`/proc/${String(pid)}/status`, 'utf8').catch(() => '')
    now += kilobytes(status, 'VmRSS') * 1024
    peakOfOne = Math.max(peakOfOne, kilobytes(status, 'VmHWM') * 1024)
    pending.push(...(await childPids(pid)))
  }
  return peakOfOne === 0 ? null : { now, peakOfOne }
}

async function childPids(pid: number): Promise<readonly number[]> {
  const threads = await readdir(`/proc/${String(pid)}/task`).catch(() => [])
  const lists = await Promise.all(
    threads.map((thread) => readFile(`/proc/${String(pid)}/task/${thread}/children`, 'utf8').catch(() => '')),
  )
  return lists.flatMap((list) => list.split(' ').filter(Boolean).map(Number))
}

function kilobytes(status: string, name: string): number {
  return Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1] ?? 0)
}
