import { describe, expect, test } from 'vitest'
import { checkSyncOptions } from '../../src/config/check-options.js'
import { parseConfiguration } from '../../src/config/configuration.js'
import { findSync } from '../../src/config/find-configuration.js'
import { toSyncSpec } from '../../src/config/sync-options.js'
import { TrunklineError } from '../../src/model/error.js'
import type { SyncSpec } from '../../src/model/sync-spec.js'
import { DEFAULT_ADAPTIVE } from '../../src/model/thresholds.js'

function specOf(body: string): SyncSpec {
  const text = `version: 1\nconnections: { c: { url: 'postgresql://localhost/shop' } }\nsyncs:\n  s:\n    source: c\n    destination: duckdb:x\n${body}`
  const configuration = parseConfiguration(text, 'trunkline.yaml', '/x/trunkline.yaml', {})
  return toSyncSpec(findSync(configuration, 's').options, 'shop')
}

function refusal(make: () => unknown): TrunklineError {
  try {
    make()
  } catch (error) {
    if (error instanceof TrunklineError) return error
    throw error
  }
  throw new Error('it was not refused')
}

describe('how a run adapts', () => {
  test('has defaults, all of them in one place', () => {
    expect(specOf('').adaptive).toEqual(DEFAULT_ADAPTIVE)
    expect(specOf('')).toMatchObject({ rowFilter: {}, metadataTables: false, wording: 'native' })
  })

  test('can be stated in every number, with units', () => {
    const spec = specOf(`
    adaptive:
      strategy: table_size
      memory_limit: 1GiB
      memory_high: 70
      memory_critical: 75.5
      memory_enough: 1MiB
      cpu_high: 50
      cpu_critical: 60
      connections_high: 51
      connections_critical: 61
      replica_lag_high: 5s
      replica_lag_critical: 1m
      ease_by: 2
      sample_every: 500ms
      pause_at_most: 3s
      batch_share_high: 0.9
      batch_share_critical: 0.1
      least_batch_rows: 7
      least_batch: 64KiB
      small_below: 10
      large_from: 20
      log_every_tables: 2
      small: { batch_rows: 1, partition_rows: 2, queue_rows: 3, readers: 4, checkpoint_rows: 5 }
      large: { readers: 2 }
    row_filter: { region: eu }
    metadata_tables: true
    wording: connector_sdk
    limits: { save_every: 10s, save_every_rows: 1000 }
    defaults: { landing_without_key: replace }`)
    expect(spec.adaptive).toEqual({
      strategy: 'table_size',
      memoryLimitBytes: 2 ** 30,
      memoryHigh: 70,
      memoryCritical: 75.5,
      memoryEnoughBytes: 2 ** 20,
      cpuHigh: 50,
      cpuCritical: 60,
      connectionsHigh: 51,
      connectionsCritical: 61,
      replicaLagHighMs: 5000,
      replicaLagCriticalMs: 60_000,
      easeBy: 2,
      sampleEveryMs: 500,
      pauseAtMostMs: 3000,
      batchShareHigh: 0.9,
      batchShareCritical: 0.1,
      leastBatchRows: 7,
      leastBatchBytes: 64 * 1024,
      smallBelowRows: 10,
      largeFromRows: 20,
      logEveryTables: 2,
      small: { batchRows: 1, partitionRows: 2, queueRows: 3, readers: 4, checkpointRows: 5 },
      medium: DEFAULT_ADAPTIVE.medium,
      large: { ...DEFAULT_ADAPTIVE.large, readers: 2 },
    })
    expect(spec).toMatchObject({
      rowFilter: { region: 'eu' },
      metadataTables: true,
      wording: 'connector_sdk',
      limits: { saveEveryMs: 10_000, saveEveryRows: 1000 },
      defaults: { landingWithoutKey: 'replace' },
    })
  })

  test.each([
    ['adaptive: { memory_hihg: 5 }', 'memory_high'],
    ['adaptive: { small: { batch_row: 5 } }', 'batch_rows'],
  ])('suggests for %s what was meant', (line, meant) => {
    const error = refusal(() => specOf(`    ${line}`))
    expect([error.code, error.hint]).toEqual(['CONFIG_UNKNOWN_KEY', expect.stringContaining(meant)])
  })

  test.each([
    'adaptive: { memory_high: 101 }',
    'adaptive: { batch_share_high: 0 }',
    'adaptive: { strategy: fast }',
    'adaptive: { sample_every: 5 }',
    'adaptive: { small: { readers: 0 } }',
    'wording: loud',
  ])('refuses %s', (line) => {
    expect(refusal(() => specOf(`    ${line}`)).code).toBe('CONFIG_INVALID')
  })

  test('is checked where a program states it, too', () => {
    const adaptive = { memoryLimitBytes: null, small: { readers: 2 }, strategy: 'off' } as const
    expect(checkSyncOptions({ adaptive })).toEqual({ adaptive })
    expect(refusal(() => checkSyncOptions({ adaptive: { memoryHihg: 1 } as never })).code).toBe(
      'CONFIG_UNKNOWN_KEY',
    )
    expect(refusal(() => checkSyncOptions({ adaptive: { memoryHigh: '1' } as never })).code).toBe(
      'CONFIG_INVALID',
    )
    expect(refusal(() => checkSyncOptions({ adaptive: { large: { readers: -1 } } })).code).toBe(
      'CONFIG_INVALID',
    )
    expect(refusal(() => checkSyncOptions({ adaptive: { strategy: 'x' } as never })).code).toBe(
      'CONFIG_INVALID',
    )
  })
})
