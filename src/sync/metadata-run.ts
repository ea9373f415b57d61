/** Lands the metadata tables of a run, as streams of their own beside the others. */
import type { CatalogStream } from '../model/catalog.js'
import type { SourcePosition } from '../model/checkpoint.js'
import type { StreamReport } from '../model/report.js'
import type { Destination, SyncState } from '../destination/contract.js'
import type { Clock } from './clock.js'
import { describeMetadata, landMetadata, type MetadataTable } from './metadata-tables.js'
import { reportEnd, reportResult, type StreamFacts } from './report.js'
import { stopsTheRun } from './retry.js'

/** Where they land unless a schema is stated. */
const METADATA_SCHEMA = 'main'

export interface MetadataRunInput {
  readonly destination: Destination
  readonly streams: readonly CatalogStream[]
  readonly state: SyncState
  readonly targetSchema: string | null
  /** Of the run. */
  readonly at: Date
  readonly clock: Pick<Clock, 'now'>
}

/** Their reports; a failure is in them. Rejects only when the run cannot go on. */
export async function runMetadata(
  position: SourcePosition,
  input: MetadataRunInput,
): Promise<readonly StreamReport[]> {
  const reports: StreamReport[] = []
  for (const metadata of describeMetadata(input.streams, input.at)) {
    reports.push(await runOne(metadata, position, input))
  }
  return reports
}

async function runOne(
  metadata: MetadataTable,
  position: SourcePosition,
  { destination, state: saved, targetSchema, clock }: MetadataRunInput,
): Promise<StreamReport> {
  const began = clock.now()
  const state = saved.streams.get(metadata.name) ?? null
  const table = { schema: targetSchema ?? METADATA_SCHEMA, name: metadata.name }
  const facts = (): StreamFacts => ({
    stream: metadata.name,
    options: { mode: 'full_refresh', landing: 'append', deletes: 'ignore' },
    table,
    plan: null,
    state,
    attempts: 1,
    seconds: (clock.now() - began) / 1000,
  })
  const promise = `Each run adds one row for each ${metadata.name === 'postgres_table' ? 'table' : 'column'} that it found, dated by timestamp.`
  if (state?.paused === true || state?.skipped === true) {
    return { ...reportEnd(facts(), state.skipped ? 'skipped' : 'paused', null), promise }
  }
  try {
    const { generation, runSeq } = await landMetadata(metadata, { destination, table, state, position })
    const rows = metadata.rows.length
    const report = reportResult(facts(), {
      outcome: 'done',
      fullLoadReason: null,
      generation,
      runSeq,
      rowsRead: rows,
      rowsLanded: rows,
      rowsDeleted: 0,
      bytesRead: 0,
      sourceCount: null,
      destinationCount: null,
      verified: null,
      fenceMs: null,
      phases: { count: 0, read: 0, land: 0, finish: 0 },
      warnings: [],
    })
    return { ...report, promise }
  } catch (error) {
    if (stopsTheRun(error)) throw error
    return { ...reportEnd(facts(), 'failed', error), promise }
  }
}
