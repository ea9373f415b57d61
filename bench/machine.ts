/** Where and with what a benchmark ran: numbers without it mean nothing. */
import { spawnSync } from 'node:child_process'
import { cpus, release, totalmem, type } from 'node:os'
import type { Machine } from './results.js'

export function describeMachine(): Machine {
  const processors = cpus()
  return {
    processor: processors[0]?.model.trim() ?? 'unknown',
    cores: processors.length,
    memoryBytes: totalmem(),
    system: `${type()} ${release().split('-')[0] ?? ''}`.trim(),
    node: process.version,
  }
}

/** Short hash of the commit, with `+` where tracked files differ from it; `unknown` outside a clone. */
export function describeCommit(folder: string): string {
  const git = (...args: string[]): string | null => {
    const { status, stdout } = spawnSync('git', args, { cwd: folder, encoding: 'utf8' })
    return status === 0 ? stdout.trim() : null
  }
  const hash = git('rev-parse', '--short', 'HEAD')
  if (hash === null) return 'unknown'
  return git('status', '--porcelain', '--untracked-files=no') === '' ? hash : `${hash}+`
}
