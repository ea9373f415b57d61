/** Numbers and notes of results as text, for tables and charts alike. Pure. */
import type { BenchResults, Provenance } from './results.js'
import type { Spread } from './statistics.js'

/** `5 M`, `1.2 M`, `250 k`, `300`. */
export function formatCount(count: number): string {
  const scaled = (value: number, unit: string): string =>
    `${value >= 100 ? value.toFixed(0) : value.toFixed(1).replace(/\.0$/, '')} ${unit}`
  if (count >= 999_500) return scaled(count / 1e6, 'M')
  if (count >= 1000) return scaled(count / 1000, 'k')
  return count.toFixed(0)
}

/** `1.25 (1.10–1.50)`. */
export function formatRatio({ median, min, max }: Spread): string {
  return `${median.toFixed(2)} (${min.toFixed(2)}–${max.toFixed(2)})`
}

/** One line: which machine. */
export function describeMachineAndServer({ machine, server }: BenchResults): string {
  const memory = `${(machine.memoryBytes / 1024 ** 3).toFixed(0)} GiB`
  const cores = `${String(machine.cores)} ${machine.cores === 1 ? 'core' : 'cores'}`
  return `${machine.processor}, ${cores}, ${memory}, ${machine.system}, Node ${machine.node}, PostgreSQL ${server.version} on the same machine.`
}

/** `2026-01-02, commit abc1234`, each once, the oldest first. */
export function describeProvenance(of: readonly Provenance[]): string {
  const sorted = [...of].sort((a, b) => a.measuredAt.localeCompare(b.measuredAt))
  return [...new Set(sorted.map(formatProvenance))].join('; ')
}

export function formatProvenance({ measuredAt, commit }: Provenance): string {
  return `${measuredAt.slice(0, 10)}, commit ${commit}`
}
