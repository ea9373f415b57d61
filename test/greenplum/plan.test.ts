import { describe, expect, it } from 'vitest'
import type { CatalogStream, GreenplumFacts } from '../../src/model/catalog.js'
import { DEFAULT_LIMITS } from '../../src/model/thresholds.js'
import { mapColumns } from '../../src/source/column-mapping.js'
import { planSplits } from '../../src/source/plan-splits.js'
import { NO_SURVEY } from '../../src/source/survey-stream.js'
import { planStream, type StreamPlan } from '../../src/sync/plan.js'
import { MemoryDestination, MemoryStore } from '../sync/model/memory-destination.js'
import { makeColumn, makeStream } from '../source/make-stream.js'

const MIB = 1024 * 1024
const { capabilities } = new MemoryDestination(new MemoryStore())

function makeTable(facts: Partial<GreenplumFacts> = {}, stream: Partial<CatalogStream> = {}): CatalogStream {
  return makeStream({
    oddity: 'greenplum',
    columns: [makeColumn({ name: 'id', typeName: 'int4', sqlType: 'integer', nullable: false })],
    bytes: 64 * MIB,
    greenplum: { storage: 'heap', distribution: 'hashed', segments: 4, changeMark: null, ...facts },
    ...stream,
  })
}

function plan(stream: CatalogStream): StreamPlan {
  return planStream({
    stream,
    options: {},
    table: { schema: 's', name: 't' },
    savedKey: null,
    capabilities,
    mapColumns,
    limits: DEFAULT_LIMITS,
  })
}

describe('the plan of a table of Greenplum', () => {
  it('is full_refresh, and says why', () => {
    expect(plan(makeTable())).toMatchObject({
      mode: 'full_refresh',
      landing: 'replace',
      reason: 'Read in full each run: each segment of Greenplum counts transactions of its own.',
    })
  })

  it('says that an append-optimised table is not read while nobody changes it', () => {
    expect(plan(makeTable({ storage: 'append_optimised_column' })).reason).toMatch(
      /^Read in full in each run that finds it changed: /,
    )
  })

  it('is full_refresh for an external table that is named', () => {
    expect(plan(makeTable({ storage: 'external' }, { kind: 'foreign', oddity: 'external' }))).toMatchObject({
      mode: 'full_refresh',
      reason: 'Read in full each run: it is an external table, whose rows are not in the database.',
    })
  })
})

describe('the splits of a table of Greenplum', () => {
  function conditions(stream: CatalogStream, readers = 2, serverVersion = 90_426): (string | undefined)[] {
    const splits = planSplits(
      {
        stream,
        columns: mapColumns(stream, {
          types: {},
          specialNumeric: 'error',
          specialTemporal: 'error',
          invalidUtf8: 'error',
        }),
        rows: { kind: 'full' },
        where: null,
        withXmin: false,
        limits: DEFAULT_LIMITS,
      },
      { settings: { rowSecurity: false }, readers, serverVersion, blockSize: 32_768, survey: NO_SURVEY },
    )
    expect(splits.some(({ repeatable }) => repeatable === true)).toBe(false)
    return splits.map(({ selectSql }) => /WHERE (.*)$/.exec(selectSql)?.[1])
  }

  it('are its segments, each by a literal', () => {
    expect(conditions(makeTable())).toEqual([0, 1, 2, 3].map((segment) => `gp_segment_id = ${segment}`))
  })

  it.each([
    ['one reader', makeTable(), 1],
    ['a small table', makeTable({}, { bytes: 4 * 4 * MIB - 1 }), 2],
    ['a table whose segments are not known or have no column for it', makeTable({ segments: 0 }), 2],
  ])('are one for %s', (_, stream, readers) => {
    expect(conditions(stream, readers)).toEqual([undefined])
  })

  it('are never ranges of blocks, though the server on which Cloudberry is based could scan them', () => {
    expect(conditions(makeTable({ segments: 0 }), 2, 140_004)).toEqual([undefined])
  })
})
