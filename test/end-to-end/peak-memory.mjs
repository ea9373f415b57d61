// @ts-check
import { readFileSync } from 'node:fs'
import process from 'node:process'

/**
 * Highest resident memory of this program. maxRSS starts at what the parent had, where a process is made by a fork; Linux tells
 * what this program had.
 */
export function peakBytes() {
  try {
    const line = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))
    if (line) return Number(line[1]) * 1024
  } catch {
    // Not Linux.
  }
  return process.resourceUsage().maxRSS * 1024
}
