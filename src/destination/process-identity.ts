/** Which process a note on a run was written by, and whether that still runs. */
import { hostname } from 'node:os'

/** A process's own idea of when it started wanders a little with the clock. */
const SAME_START_MS = 10_000

export interface ProcessIdentity {
  readonly pid: number
  readonly host: string
  /** When the process started, in milliseconds since 1970: tells a process from a later one of the same id. */
  readonly processStartedAt: number
}

export function thisProcess(): ProcessIdentity {
  return { pid: process.pid, host: hostname(), processStartedAt: startedAt() }
}

/** Whether the process still runs; true where that cannot be known from here. */
export function isAlive(identity: ProcessIdentity): boolean {
  if (identity.host !== hostname()) return true
  if (identity.pid === process.pid) return isThisProcess(identity)
  try {
    process.kill(identity.pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

export function isThisProcess(identity: ProcessIdentity): boolean {
  return (
    identity.host === hostname() &&
    identity.pid === process.pid &&
    Math.abs(identity.processStartedAt - startedAt()) < SAME_START_MS
  )
}

function startedAt(): number {
  return Math.round(Date.now() - process.uptime() * 1000)
}
