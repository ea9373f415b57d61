/**
 * When something counts as pressed, when it counts as eased again, and what is done meanwhile. Pure.
 *
 * A threshold is passed upwards at once and downwards only some way below it, so that what hovers at one does not switch to and
 * fro with every sample.
 */
import type { AdaptiveOptions } from '../model/adaptive-options.js'
import type { PressureCause, PressureLevel } from '../model/report.js'

export interface Threshold {
  readonly high: number
  readonly critical: number
  /** So far below a threshold it counts as eased. */
  readonly easeBy: number
}

export function nextLevel(
  level: PressureLevel,
  value: number | null,
  { high, critical, easeBy }: Threshold,
): PressureLevel {
  // What nobody measures presses nobody.
  if (value === null) return 'normal'
  if (value > critical) return 'critical'
  if (level === 'critical' && value > critical - easeBy) return 'critical'
  if (value > high) return 'high'
  return level !== 'normal' && value > high - easeBy ? 'high' : 'normal'
}

export type PressureLevels = Readonly<Record<PressureCause, PressureLevel>>

export const NO_PRESSURE: PressureLevels = {
  memory: 'normal',
  cpu: 'normal',
  connections: 'normal',
  replica_lag: 'normal',
  replay: 'normal',
  lock: 'normal',
}

/** What was measured; null where nothing is known. Shares are percent. */
export interface PressureReading {
  readonly memory: number | null
  readonly cpu: number | null
  readonly connections: number | null
  readonly replicaLagMs: number | null
  readonly replayBlocked: boolean
  readonly waitingSessions: number
}

export function nextLevels(
  levels: PressureLevels,
  reading: PressureReading,
  options: AdaptiveOptions,
): PressureLevels {
  const { easeBy } = options
  const percent = (high: number, critical: number): Threshold => ({ high, critical, easeBy })
  return {
    memory: nextLevel(levels.memory, reading.memory, percent(options.memoryHigh, options.memoryCritical)),
    // Natively a busy processor is one that is used.
    cpu:
      options.strategy === 'table_size'
        ? nextLevel(levels.cpu, reading.cpu, percent(options.cpuHigh, options.cpuCritical))
        : 'normal',
    connections: nextLevel(
      levels.connections,
      reading.connections,
      percent(options.connectionsHigh, options.connectionsCritical),
    ),
    replica_lag: nextLevel(levels.replica_lag, reading.replicaLagMs, {
      high: options.replicaLagHighMs,
      critical: options.replicaLagCriticalMs,
      easeBy: (options.replicaLagHighMs * easeBy) / 100,
    }),
    replay: reading.replayBlocked ? 'high' : 'normal',
    lock: reading.waitingSessions > 0 ? 'high' : 'normal',
  }
}

export interface Relief {
  /** Readers in use, at most, of so many; never fewer than one. */
  readonly readers: number
  /** What remains of a batch. */
  readonly batchShare: number
  /** What asks for a pause; null: nothing does. */
  readonly pause: 'memory' | 'replica_lag' | null
  /** Whoever can save what it has read should do so: the snapshot may be taken from us. */
  readonly save: boolean
}

/** What is done about them. `most`: readers that there may be without any pressure. */
export function reliefFor(levels: PressureLevels, most: number, options: AdaptiveOptions): Relief {
  const bySize = options.strategy === 'table_size'
  // By size, processors govern readers, and memory the rows of a batch, table by table.
  const causes: readonly PressureLevel[] = bySize ? [levels.connections] : [levels.memory, levels.connections]
  const halves = causes.includes('high') ? Math.max(1, Math.floor(most / 2)) : most
  const batchShare =
    bySize || levels.memory === 'normal'
      ? 1
      : levels.memory === 'high'
        ? options.batchShareHigh
        : options.batchShareCritical
  const byMemory = !bySize && levels.memory === 'critical'
  // Where replay waits for snapshots like ours, a pause only makes it wait longer.
  const byLag = levels.replica_lag !== 'normal' && levels.replay === 'normal'
  return {
    readers: causes.includes('critical') ? 1 : halves,
    batchShare,
    pause: byMemory ? 'memory' : byLag ? 'replica_lag' : null,
    save: levels.replay !== 'normal' || levels.lock !== 'normal' || levels.replica_lag === 'critical',
  }
}
