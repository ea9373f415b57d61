/** Results as a benchmark could find them, for the tests that print and draw. */
import type { AbsentJob, BenchResults, ImpactRow, ResultRow } from '../../bench/results.js'
import type { Spread } from '../../bench/statistics.js'

const MIB = 1024 * 1024

export const spread = (median: number, min = median, max = median, n = 5): Spread => ({ median, min, max, n })

export function resultRow(differences: Partial<ResultRow> = {}): ResultRow {
  return {
    group: 'readers',
    job: 'duckdb',
    by: 'trunkline',
    task: 'table to DuckDB file',
    title: 'table to DuckDB file',
    version: 'trunkline 0.1.0',
    commandLine: 'trunkline sync "$SOURCE" narrow.duckdb',
    dataSet: 'narrow',
    rowCount: 10_000_000,
    copyBytes: 340_000_000,
    path: { name: 'tcp', title: 'TCP over loopback', roundTripMs: 0.1 },
    wallSeconds: spread(2, 1.9, 2.4),
    baseline: {
      title: 'psql COPY',
      commandLine: "psql -c 'COPY narrow' > /dev/null",
      version: 'psql (PostgreSQL) 15.18',
      wallSeconds: spread(1.6, 1.5, 1.7),
      clientCpuSeconds: spread(0.5),
      serverCpuSeconds: spread(1.4),
      peakRssBytes: spread(9 * MIB),
    },
    ratio: spread(1.25, 1.1, 1.5),
    target: 1.4,
    clientCpuSeconds: spread(2.5),
    serverCpuSeconds: spread(1.45),
    peakRssBytes: spread(230 * MIB, 220 * MIB, 240 * MIB),
    charted: true,
    checkedRuns: 5,
    checkedAs: null,
    against: null,
    measuredAt: '2026-01-02T03:04:05.000Z',
    commit: 'abc1234',
    ...differences,
  }
}

export function benchResults(
  rows: readonly ResultRow[],
  differences: Partial<BenchResults> = {},
): BenchResults {
  return {
    format: 2,
    machine: {
      processor: 'Some <CPU> & more',
      cores: 2,
      memoryBytes: 24 * 1024 * MIB,
      system: 'Linux 6.1',
      node: 'v20.1.0',
    },
    server: { version: '18.4', settings: {} },
    rows,
    impact: [],
    absent: [],
    ...differences,
  }
}

export function absentJob(differences: Partial<AbsentJob> = {}): AbsentJob {
  return {
    group: 'peers',
    job: 'absent',
    title: 'absent',
    task: 'table to DuckDB file',
    dataSet: null,
    reason: 'it is not installed',
    ...differences,
  }
}

export function impactRow(differences: Partial<ImpactRow> = {}): ImpactRow {
  return {
    load: 'none',
    title: 'pgbench alone',
    commandLine: null,
    p50Ms: spread(1),
    p99Ms: spread(3),
    p50Ratio: null,
    p99Ratio: null,
    transactions: 9000,
    perSecond: 200,
    windowSeconds: 15,
    rowsPerSecond: null,
    measuredAt: '2026-01-02T03:04:05.000Z',
    commit: 'abc1234',
    ...differences,
  }
}
