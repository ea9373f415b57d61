import { describe, test } from 'vitest'
import { firstLoadScenarios } from './model/first-load-scenarios.js'
import { scenarios } from './model/scenarios.js'

describe('the engine over a model of PostgreSQL', () => {
  for (const [name, scenario] of Object.entries(scenarios)) test(name, scenario)
})

describe('a load that is interrupted', () => {
  for (const [name, scenario] of Object.entries(firstLoadScenarios)) test(name, scenario)
})
