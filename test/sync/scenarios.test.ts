import { describe, test } from 'vitest'
import { scenarios } from './model/scenarios.js'

describe('the engine over a model of PostgreSQL', () => {
  for (const [name, scenario] of Object.entries(scenarios)) test(name, scenario)
})
