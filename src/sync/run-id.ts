/** The name of one run, in reports and at the destination. */
import type { Clock } from './clock.js'

/** Sortable by time, and told apart from a run that began in the same second. */
export function makeRunId(clock: Pick<Clock, 'now' | 'random'>): string {
  const time = new Date(clock.now()).toISOString().replaceAll(/[-:]|\.\d+/g, '')
  const chance = Math.floor(clock.random() * 2 ** 48)
  return `${time}-${chance.toString(16).padStart(12, '0')}`
}
