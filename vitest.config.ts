import { defineConfig } from 'vitest/config'
import { LongestFirst } from './scripts/longest-first.mjs'

/** What is polled for comes, however slow the machine; by itself a poll gives up after a second. */
const expectOptions = { poll: { timeout: 50_000 } }

/** Two kinds of tests: pure ones, and those against real PostgreSQL servers (`*.pg.test.ts`), which start them first. */
export default defineConfig({
  test: {
    // A file per worker: enough for two cores, and what a server test waits for is mostly the server.
    maxWorkers: 2,
    teardownTimeout: 60_000,
    sequence: { sequencer: LongestFirst },
    projects: [
      {
        test: {
          name: 'pure',
          include: ['test/**/*.test.ts'],
          exclude: ['test/**/*.pg.test.ts'],
          expect: expectOptions,
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      {
        test: {
          name: 'server',
          include: ['test/**/*.pg.test.ts'],
          globalSetup: ['test/server/global-setup.ts'],
          expect: expectOptions,
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
})
