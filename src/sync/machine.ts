/** The computer that the engine runs on, as far as it asks: handed in, so that a test can have any. */
import { availableParallelism, cpus } from 'node:os'

export interface Machine {
  readonly cores: number
  /** Milliseconds that all cores together have been idle since some moment; null where the system does not say. */
  idleMs(): number | null
}

export const systemMachine: Machine = {
  cores: availableParallelism(),
  idleMs() {
    const cores = cpus()
    if (cores.length === 0) return null
    return cores.reduce((sum, { times }) => sum + times.idle, 0)
  },
}
