/**
 * One run in a process of its own that kills itself (SIGKILL). From the environment: KILLED_JOB (see watched-run.ts) and KILLED_AT
 * (see {@link KilledAt}), both JSON. What it came to is said on stdout before: `begun public.t`, `ended public.t`, `saved public.t`.
 */
import { writeSync } from 'node:fs'
import process from 'node:process'
import { runWatched, type Job } from './watched-run.js'

export interface KilledAt {
  readonly moment: 'effect' | 'begun' | 'saved'
  /** From 1. */
  readonly nth: number
  /** After it began; null: at once, before anything of it has happened. */
  readonly delayMs: number | null
}

function setting(name: string): string {
  const value = process.env[name]
  if (value === undefined) throw new Error(`${name} is not set`)
  return value
}

function die(): void {
  process.kill(process.pid, 'SIGKILL')
}

const at = JSON.parse(setting('KILLED_AT')) as KilledAt
let seen = 0
await runWatched(JSON.parse(setting('KILLED_JOB')) as Job, (moment, stream) => {
  if (stream !== null) writeSync(process.stdout.fd, `${moment} ${stream}\n`)
  if (moment !== at.moment || ++seen !== at.nth) return
  if (at.delayMs === null) die()
  else setTimeout(die, at.delayMs)
})
// The run was faster: it dies after all, which is a moment, too.
die()
