import { mkdtemp, rm, utimes } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import {
  escapeName,
  findDataPaths,
  partitionFolder,
  readDataPath,
  runFolder,
} from '../../../src/destination/files/data-path.js'
import {
  EMPTY_LEDGER,
  advanceLedger,
  assembleLedger,
  formatManifest,
  manifestPath,
  nextManifest,
  parseManifest,
  streamKey,
  type Ledger,
  type StreamEntry,
} from '../../../src/destination/files/manifest.js'
import { ManifestLog } from '../../../src/destination/files/manifest-log.js'
import { createLocalStore } from '../../../src/destination/stores/local-store.js'
import type { Store } from '../../../src/destination/stores/store.js'

const RUN = { sync: 'shop', epoch: 1, runId: 'run-1', at: '2026-01-02T03:04:05.000Z' }

function entryOf(stream: string, runSeq: number): StreamEntry {
  return {
    sync: 'shop',
    stream,
    table: { schema: 'public', name: stream },
    lost: false,
    generation: 1,
    runSeq,
    runId: 'run-1',
    committedAt: RUN.at,
    paused: false,
    skipped: false,
    checkpoint: null,
    fields: [{ name: 'id', type: { kind: 'decimal', precision: 12, scale: 2 }, nullable: true }],
    comments: { table: null, columns: [['id', 'number']] },
    files: [{ path: `${stream}.jsonl`, bytes: 1, rows: 1, sha256: '00' }],
  }
}

test('a manifest reads as it was written', () => {
  const { made } = nextManifest(EMPTY_LEDGER, 'csv', { run: RUN, streams: [entryOf('a', 1)] })
  expect(parseManifest(formatManifest(made), 'x')).toEqual(made)
})

test.each([
  ['not JSON', '{', 'STATE_MALFORMED'],
  ['not a manifest', '{"format":1}', 'STATE_MALFORMED'],
  ['of a later format', '{"format":2}', 'STATE_TOO_NEW'],
  ['of a type of column that there is not', null, 'STATE_MALFORMED'],
])('a manifest that is %s is refused', (_, text, code) => {
  const { made } = nextManifest(EMPTY_LEDGER, 'csv', { run: RUN, streams: [entryOf('a', 1)] })
  const content = text ?? new TextDecoder().decode(formatManifest(made)).replace('"decimal"', '"money"')
  expect(() => parseManifest(new TextEncoder().encode(content), 'x')).toThrow(
    expect.objectContaining({ code }),
  )
})

test('of thousands of streams each commit writes a few and reads a few, and none is forgotten', () => {
  const streams = 1000
  let ledger: Ledger = EMPTY_LEDGER
  let written = 0
  let most = 0
  let last = (): Ledger => ledger
  for (let round = 1; round <= 2; round++) {
    for (let stream = 0; stream < streams; stream++) {
      const { made, below } = nextManifest(ledger, 'csv', {
        run: RUN,
        streams: [entryOf(`s${stream}`, round)],
      })
      written += made.streams.length
      most = Math.max(most, below.length)
      ledger = advanceLedger(ledger, made, below)
      last = assembleLedger.bind(null, made, below)
    }
  }
  expect(ledger.streams.size).toBe(streams)
  expect(ledger.owners.size).toBe(streams)
  // Whoever reads it all anew finds the same.
  const read = last()
  expect([...read.streams].sort()).toEqual([...ledger.streams].sort())
  expect([...read.owners].sort()).toEqual([...ledger.owners].sort())
  expect([...ledger.streams.values()].every(({ runSeq }) => runSeq === 2)).toBe(true)
  expect(written).toBeLessThan(2 * streams * 13)
  expect(most).toBeLessThan(13)
})

test('names of tables become names of folders, no two the same one', () => {
  const names = ['a/b', 'a_x2F_b', 'a_x5F_x2F_b', 'a.b', 'A', '_x', 'é', 'n'.repeat(99), 'n'.repeat(100)]
  const folders = names.map(escapeName)
  expect(new Set(folders).size).toBe(names.length)
  for (const folder of folders) expect(folder).toMatch(/^[\w-]{1,100}$/)
  expect(escapeName('plain_Name-1')).toBe('plain_Name-1')
})

test('data files of ours are told from those of others', () => {
  const folder = runFolder({ schema: 'public', name: 'a/b' }, 3, 'token')
  const file = `${folder}/part-00001.csv.gz`
  const divided = `${folder}/${partitionFolder('day', '2024 %&')}/part-123456.parquet`
  const told = { table: 'public.a_x2F_b', generation: 3, run: 'token' }
  expect(readDataPath(file)).toEqual(told)
  expect(readDataPath(divided)).toEqual(told)
  expect(findDataPaths(`{"path":"${file}"}, FROM read_csv(['/lake (1)/${divided}', 'x.csv'])`)).toEqual([
    file,
    divided,
  ])
  for (const other of ['a.b/part-00001.csv', `${folder}/mine.csv`, 'x/y', `deep/${folder}/part-00001.csv`]) {
    expect(readDataPath(other)).toBeNull()
  }
})

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'trunkline-manifests-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

test('of two that make the next manifest both do, one after the other, each on what the other made', async () => {
  const logs = [1, 2, 3].map(() => new ManifestLog(createLocalStore({ path: folder })))
  await Promise.all(
    logs.map(async (log, writer) => {
      for (let commit = 1; commit <= 10; commit++) {
        await log.append('csv', (ledger) => {
          const before = ledger.streams.get(streamKey({ sync: 'shop', stream: String(writer) }))
          return { run: RUN, streams: [entryOf(String(writer), (before?.runSeq ?? 0) + 1)] }
        })
      }
    }),
  )
  const { seq, streams } = await new ManifestLog(createLocalStore({ path: folder })).refresh()
  expect(seq).toBe(30)
  expect([...streams.values()].map(({ stream, runSeq }) => [stream, runSeq]).sort()).toEqual([
    ['0', 10],
    ['1', 10],
    ['2', 10],
  ])
})

/** Makes manifests look as if they had been made so many hours ago. */
async function age(store: Store, hours: number, seqs: readonly number[]): Promise<void> {
  const then = new Date(Date.now() - hours * 3_600_000)
  for (const seq of seqs) await utimes(store.locate(manifestPath(seq)), then, then)
}

test('manifests that were replaced a day ago are removed, and those in force and younger ones are not', async () => {
  const store = createLocalStore({ path: folder })
  const log = new ManifestLog(store)
  const append = (stream: string, runSeq: number): Promise<void> =>
    log.append('csv', () => ({ run: RUN, streams: [entryOf(stream, runSeq)] }))
  await append('a', 1)
  await append('b', 1)
  for (let runSeq = 2; runSeq < 9; runSeq++) await append('a', runSeq)
  await age(store, 25, [1, 2, 3, 4, 5])
  // The last of the old ones was in force until the first of the young ones was made: it, and what it lies over, stays.
  const oldest = parseManifest((await store.read(manifestPath(5))) ?? new Uint8Array(), 'x')
  const needed = new Set([...oldest.over, ...log.ledger.layers.map(({ seq }) => seq)])
  const expected = [1, 2, 3, 4].filter((seq) => !needed.has(seq)).map(manifestPath)
  expect(expected).not.toEqual([])
  expect(await log.prune({ dryRun: true })).toEqual(expected)
  expect(await log.prune()).toEqual(expected)
  const read = await new ManifestLog(store).refresh()
  expect([...read.streams.values()].map(({ stream, runSeq }) => [stream, runSeq]).sort()).toEqual([
    ['a', 8],
    ['b', 1],
  ])
})

test('what tables had since a moment is told, of those that were replaced before that not', async () => {
  const store = createLocalStore({ path: folder })
  const log = new ManifestLog(store)
  const append = (stream: string, runSeq: number): Promise<void> =>
    log.append('csv', () => {
      const files = [{ path: `${stream}-${runSeq}`, bytes: 1, rows: 1, sha256: '00' }]
      return { run: RUN, streams: [{ ...entryOf(stream, runSeq), files }] }
    })
  // 1 to 20 in turns, so that some lie over others.
  for (let commit = 0; commit < 20; commit++) await append(commit % 4 === 0 ? 'b' : 'a', commit)
  await age(store, 5, [1, 2, 3, 4, 5, 6, 7, 8])
  await age(store, 3, [9, 10, 11, 12])
  const named = await log.namedSince(Date.now() - 4 * 3_600_000)
  expect([...named].sort()).toEqual(
    ['b-4', 'b-8', 'b-12', 'b-16', 'a-7']
      .concat([9, 10, 11, 13, 14, 15, 17, 18, 19].map((commit) => `a-${commit}`))
      .sort(),
  )
  const now = await log.namedSince(Date.now() + 3_600_000)
  expect([...now].sort()).toEqual(['a-19', 'b-16'])
})

test('whoever slept until the number that it would take was used and removed is not taken for the newest', async () => {
  const store = createLocalStore({ path: folder })
  const append = (log: ManifestLog, runSeq: number): Promise<void> =>
    log.append('csv', () => ({ run: { ...RUN, epoch: runSeq }, streams: [entryOf('a', runSeq)] }))
  const sleeper = new ManifestLog(store)
  await append(sleeper, 1)
  const others = new ManifestLog(store)
  for (let runSeq = 2; runSeq < 6; runSeq++) await append(others, runSeq)
  await store.remove([manifestPath(2)])
  // Whatever its clock says about how long it slept.
  await expect(
    sleeper.append('csv', () => ({ run: RUN, streams: [{ ...entryOf('a', 5), runId: 'run-late' }] })),
  ).rejects.toMatchObject({ code: 'FENCED' })
  const present = await sleeper.refresh()
  expect(present.streams.get(streamKey({ sync: 'shop', stream: 'a' }))).toMatchObject({
    runSeq: 5,
    runId: 'run-1',
  })
})
