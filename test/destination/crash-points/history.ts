/** A source with three versions of one table, and runs that bring a destination from one to the next as a sync would. */
import type { Batch } from '../../../src/batch/batch.js'
import type {
  Destination,
  StreamLanding,
  StreamState,
  StreamWriter,
} from '../../../src/destination/contract.js'
import type { LoadProgress } from '../../../src/model/checkpoint.js'
import {
  STREAM,
  batchesOf,
  keysOf,
  landingBy,
  landingOf,
  makeCheckpoint,
  makeProgress,
  orders,
  runOf,
  type OrderRow,
} from '../../../src/testing/landings.js'

/** `resume`: a new generation that is saved after each part. */
export type CrashMode = 'replace' | 'upsert' | 'append' | 'resume'
/** 0: nothing is there. */
export type Version = 0 | 1 | 2 | 3

/** Rows that are changed, deleted and new in each version. */
const VERSIONS: Readonly<Record<Version, readonly OrderRow[]>> = {
  0: [],
  1: [
    [1, 'of 1'],
    [2, 'of 1'],
    [3, null],
    [4, 'of 1'],
    [5, 'of 1'],
    [6, 'of 1'],
  ],
  2: [
    [1, 'of 1'],
    [2, 'of 2'],
    [4, 'of 1'],
    [5, 'of 2'],
    [6, 'of 1'],
    [7, 'of 2'],
  ],
  3: [
    [2, 'of 2'],
    [4, 'of 3'],
    [5, 'of 2'],
    [6, 'of 1'],
    [7, 'of 3'],
    [8, 'of 3'],
  ],
}

/** What readers find at a version; null: no table. */
export function contentOf(mode: CrashMode, version: Version): readonly OrderRow[] | null {
  if (version === 0) return null
  if (mode !== 'append') return VERSIONS[version]
  const landed = ([1, 2, 3] as const).filter((each) => each <= version)
  return landed.flatMap(rowsAddedBy).sort(([a], [b]) => a - b)
}

/** Of a stream that is appended to. */
function rowsAddedBy(version: 1 | 2 | 3): OrderRow[] {
  return [1, 2, 3, 4].map((index): OrderRow => [version * 10 + index, `of ${version}`])
}

export function versionOf(state: StreamState | undefined): Version {
  const { checkpoint } = state ?? {}
  return checkpoint?.kind === 'horizon' ? (Number(checkpoint.horizon) as Version) : 0
}

/** How a run lands, so that a mutant can do it in another way. */
export interface Landing {
  readonly mode: CrashMode
  readonly to: 1 | 2 | 3
  readonly runId: string
}

/** Goes on from what the destination says is there. Closes whatever happens. */
export async function runTo(destination: Destination, { mode, to, runId }: Landing): Promise<void> {
  try {
    const state = await destination.open(runOf({ runId }))
    const saved = state.streams.get(STREAM)
    const from = versionOf(saved)
    if (from === to) return
    const expectedRunSeq = saved?.runSeq ?? 0
    const landing = { expectedRunSeq, ...landingFor(mode, saved) }
    const writer = await destination.begin(landingOf(landing))
    try {
      await writeRows(writer, {
        mode,
        from,
        to,
        resumed: landing.resume === true ? saved?.partial?.progress : null,
      })
      await writer.commit(makeCheckpoint(String(to)))
    } catch (error) {
      await writer.abort()
      throw error
    }
  } finally {
    await destination.close().catch(() => undefined)
  }
}

function landingFor(mode: CrashMode, saved: StreamState | undefined): Partial<StreamLanding> {
  const generation = (saved?.generation ?? 0) + 1
  if (mode === 'append') return landingBy('append', 1)
  if (mode === 'replace') return landingBy('replace', generation)
  // An upsert into a generation that is there; the first one loads it.
  if (mode === 'upsert') return landingBy('upsert', 1)
  const resume = saved?.partial?.generation === generation
  return { landing: 'upsert', deletes: 'hard', generation, ...(resume ? { resume } : {}) }
}

interface Work {
  readonly mode: CrashMode
  readonly from: Version
  readonly to: 1 | 2 | 3
  /** What an earlier run saved of the load that this one goes on in. */
  readonly resumed: LoadProgress | null | undefined
}

async function writeRows(writer: StreamWriter, { mode, from, to, resumed }: Work): Promise<void> {
  const all = VERSIONS[to]
  switch (mode) {
    case 'replace':
      await writeInTwo(writer, all)
      return
    case 'append': {
      const missing = ([1, 2, 3] as const).filter((version) => version > from && version <= to)
      for (const version of missing) await writeInTwo(writer, rowsAddedBy(version))
      return
    }
    case 'upsert': {
      const before = new Set(VERSIONS[from].map((row) => row.join()))
      await writeInTwo(
        writer,
        all.filter((row) => !before.has(row.join())),
      )
      await writer.reconcileKeys(keysOf(...all.map(([id]) => id)), { maxDeleted: 9 })
      return
    }
    case 'resume': {
      // Parts of two rows; those of an earlier run are of an earlier version.
      const done = resumed?.rows ?? 0
      for (let part = done / 2; part < all.length / 2; part++) {
        await writer.write(orders(...all.slice(part * 2, part * 2 + 2)))
        await writer.save(makeProgress((part + 1) * 2, all.length / 2 - part - 1))
      }
      if (done === 0) return
      // What was loaded may have changed meanwhile, as rows of it may have gone.
      await writer.replaceByKey(batchesOf(orders(...all)))
      await writer.reconcileKeys(keysOf(...all.map(([id]) => id)), { maxDeleted: 9 })
    }
  }
}

async function writeInTwo(writer: StreamWriter, rows: readonly OrderRow[]): Promise<void> {
  const half = Math.ceil(rows.length / 2)
  const parts: Batch[] = [orders(...rows.slice(0, half)), orders(...rows.slice(half))]
  for (const part of parts) await writer.write(part)
  await writer.liveCount()
}
