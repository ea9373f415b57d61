/** What is pressed and what is done about it, as a person reads it. Pure. */
import type { AdaptiveOptions } from '../model/adaptive-options.js'
import { unreachable } from '../model/column-type.js'
import type { PressureCause, PressureLevel } from '../model/report.js'
import type { PressureReading, Relief } from './adaptive-pressure.js'
import type { ResourceSample } from './resource-monitor.js'

export interface PressureFacts {
  readonly cause: PressureCause
  readonly level: PressureLevel
  readonly reading: PressureReading
  readonly memory: ResourceSample['memory']
  /** Replay is not waiting now, and has cancelled a query. */
  readonly conflicted: boolean
  readonly relief: Relief
  /** Readers that there may be without any pressure. */
  readonly most: number
  readonly options: AdaptiveOptions
}

export function describePressure(facts: PressureFacts): string {
  const { cause, level } = facts
  const is = level === 'normal' ? 'has eased' : `is ${level}`
  switch (cause) {
    case 'memory':
      return `Memory pressure ${is}: ${describeMemory(facts)}. ${describeRelief(facts)}`
    case 'cpu':
      return `Processor pressure ${is}: ${facts.reading.cpu?.toFixed(1) ?? 'unknown'}% in use.`
    case 'connections':
      return `Pressure on the server's connections ${is}: ${facts.reading.connections?.toFixed(0) ?? 'unknown'}% of them in use. ${describeRelief(facts)}`
    case 'replica_lag':
      return `The standby is ${Math.round((facts.reading.replicaLagMs ?? 0) / 1000)} s behind. ${
        level === 'normal' ? 'Reading goes on as before.' : describeLagRelief(facts)
      }`
    case 'replay':
      if (level === 'normal') return 'Replay on the standby no longer waits for a snapshot.'
      return `${facts.conflicted ? 'Replay on the standby cancelled a query of this database' : 'Replay on the standby waits for a snapshot such as ours'}. What is read is saved now, where it can be.`
    case 'lock':
      if (level === 'normal') return 'No session waits for a lock of ours any more.'
      return `Sessions that wait for a lock of ours: ${facts.reading.waitingSessions}. What is read is saved now, where it can be; limits.yield_to_ddl says how long we hold on.`
    default:
      return unreachable(cause)
  }
}

function describeMemory({ memory }: PressureFacts): string {
  if (memory === null) return 'enough is left'
  const left = Math.max(0, Math.round((memory.totalBytes - memory.usedBytes) / 2 ** 20))
  return `${memory.percent.toFixed(1)}% of the memory of ${memory.of} in use, ${left} MiB left`
}

function describeRelief({ level, relief, most, options }: PressureFacts): string {
  const parts: string[] = []
  if (relief.readers < most) parts.push(`at most ${relief.readers} of ${most} readers`)
  if (relief.batchShare < 1) parts.push(`batches at ${Math.round(relief.batchShare * 100)}% of their size`)
  if (relief.pause === 'memory') parts.push(`a pause of at most ${options.pauseAtMostMs / 1000} s`)
  if (parts.length > 0) return `Until it eases: ${parts.join(', ')}.`
  return level === 'normal' ? 'Readers and batches are as before.' : 'There is nothing to give up.'
}

function describeLagRelief({ relief, options }: PressureFacts): string {
  if (relief.pause !== 'replica_lag')
    return 'Reading goes on: a pause would make replay wait for us the longer.'
  return `Until it has caught up, reading pauses again and again for at most ${options.pauseAtMostMs / 1000} s.`
}
