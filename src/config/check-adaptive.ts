/** Checks how a run adapts, as a program states it: in the model's words, milliseconds and bytes. */
import type { AdaptiveSettings, AdaptiveStrategy } from '../model/adaptive-options.js'
import { TrunklineError } from '../model/error.js'
import { DEFAULT_ADAPTIVE } from '../model/thresholds.js'

const STRATEGIES: Readonly<Record<AdaptiveStrategy, true>> = { pressure: true, table_size: true, off: true }

/** @throws CONFIG_INVALID, CONFIG_UNKNOWN_KEY naming the option */
export function checkAdaptive(settings: AdaptiveSettings): AdaptiveSettings {
  checkNumbers('adaptive', settings, DEFAULT_ADAPTIVE)
  const { strategy } = settings
  if (strategy !== undefined && !Object.hasOwn(STRATEGIES, strategy)) {
    throw new TrunklineError('CONFIG_INVALID', 'adaptive.strategy: unknown strategy.', {
      hint: `Must be one of: ${Object.keys(STRATEGIES).join(', ')}.`,
    })
  }
  return settings
}

function checkNumbers(place: string, stated: object, defaults: object): void {
  const known = new Map<string, unknown>(Object.entries(defaults))
  for (const [key, value] of Object.entries(stated) as [string, unknown][]) {
    const fallback = known.get(key)
    if (fallback === undefined) {
      throw new TrunklineError('CONFIG_UNKNOWN_KEY', `${place}.${key}: unknown option.`, {
        hint: `Known: ${[...known.keys()].join(', ')}.`,
      })
    }
    if (typeof fallback === 'string' || (value === null && fallback === null)) continue
    if (typeof fallback === 'object' && fallback !== null && typeof value === 'object' && value !== null) {
      checkNumbers(`${place}.${key}`, value, fallback)
    } else if (typeof value !== 'number' || !(value >= 0)) {
      throw new TrunklineError('CONFIG_INVALID', `${place}.${key}: must be a number.`, {
        hint: 'Milliseconds, bytes, rows, percent or a count, as the name says.',
      })
    }
  }
}
