/** libpq itself, where the machine has it: what we must agree with. */
import { spawnSync } from 'node:child_process'
import { makeTemporaryFolder } from '../temporary-folder.js'

export const hasPsql = spawnSync('psql', ['--version']).status === 0
if (!hasPsql) console.warn('psql is not on this machine: comparisons with libpq are skipped.')

const emptyHome = makeTemporaryFolder('home')

/** One row, unaligned; null where psql could not connect. */
export function psql(conninfo: string, sql: string, env: Record<string, string> = {}): string | null {
  const { status, stdout } = spawnSync('psql', ['-XAtw', '-d', conninfo, '-c', sql], {
    env: { PATH: process.env['PATH'], HOME: emptyHome, ...env },
    encoding: 'utf8',
    timeout: 30_000,
  })
  return status === 0 ? stdout.trim() : null
}
