/** Tables that are divided by a column: how far that goes, and that no value of a row gets into an error. */
import { readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { inspect } from 'node:util'
import { afterEach, beforeEach, expect, it } from 'vitest'
import type { Batch } from '../../../src/batch/batch.js'
import type { FileLayout } from '../../../src/destination/files/files-destination.js'
import { createJsonlFormat } from '../../../src/destination/files/jsonl-format.js'
import { createParquetFormat } from '../../../src/destination/files/parquet-format.js'
import { silentLogger, type LogFields } from '../../../src/model/log.js'
import { ID, NOTE, inRun, landingOf, makeCheckpoint, orders, runOf } from '../../../src/testing/landings.js'
import { makeBatch } from '../../../src/testing/make-batch.js'
import { makeFilesPlace, type FilesPlace } from './files-place.js'

const byNote: FileLayout = { partitionBy: [{ table: null, column: 'note' }] }

let place: FilesPlace
beforeEach(async () => {
  place = await makeFilesPlace(await createJsonlFormat({}))
})
afterEach(() => place.remove())

/** Each batch in a run of its own. @returns how the last one failed, with everything that an error tells */
async function land(layout: FileLayout, ...batches: readonly Batch[]): Promise<string | null> {
  for (const [index, batch] of batches.entries()) {
    const destination = place.create({ layout })
    try {
      await inRun(destination, runOf(), async () => {
        const landing = { landing: 'append', key: null, deletes: 'ignore', expectedRunSeq: index } as const
        const writer = await destination.begin(landingOf(landing))
        try {
          await writer.write(batch)
          await writer.commit(makeCheckpoint('1'))
        } catch (error) {
          await writer.abort()
          throw error
        }
      })
    } catch (error) {
      return inspect(error, { depth: 9 })
    }
  }
  return null
}

it('a value whose folder no file system would take is refused, and not told', async () => {
  const fits = 'x'.repeat(255 - 'note='.length)
  expect(await land(byNote, orders([1, fits], [2, 'й'.repeat(41)]))).toBeNull()
  for (const value of [`${fits}x`, 'й'.repeat(42)]) {
    const failure = await land(byNote, orders([1, 'a'], [2, value]))
    expect(failure).toMatch(/the column note is too long to partition by.*255 bytes/)
    expect(failure).toContain('DESTINATION_FAILED')
    expect(failure).not.toContain(value.slice(0, 20))
  }
  expect(await place.query('SELECT count(*)::INTEGER FROM public.orders')).toEqual([[2]])
})

it('a table of more files than are to be had is refused, those of earlier runs counted, with what to do', async () => {
  const layout: FileLayout = { ...byNote, maxFiles: 3 }
  expect(await land(layout, orders([1, 'a'], [2, 'b']))).toBeNull()
  await place.remove()
  const failure = await land(layout, orders([1, 'a'], [2, 'b']), orders([3, 'a'], [4, 'b']))
  expect(failure).toMatch(/public\.orders: its table would be more than 3 files/)
  expect(failure).toContain('trunkline state resync public.orders')
  expect(await place.query('SELECT count(*)::INTEGER FROM public.orders')).toEqual([[2]])
})

it('more values than folders are to be made of are refused before anything is written', async () => {
  const rows = Array.from({ length: 10_001 }, (_, id) => [id, `v${id}`])
  expect(await land(byNote, makeBatch([ID, NOTE], rows))).toMatch(/more than 10000 values to partition by/)
})

it('a column to partition by that no table of the run has is warned of, as what is not spelled right divides nothing', async () => {
  const warnings: string[] = []
  const logger = { ...silentLogger, warn: (_: LogFields, message: string) => void warnings.push(message) }
  const run = async (columns: readonly string[], work: boolean): Promise<void> => {
    const layout: FileLayout = { partitionBy: columns.map((column) => ({ table: null, column })) }
    const destination = place.create({ layout, logger })
    await inRun(destination, runOf(), async ({ streams }) => {
      if (!work) return
      const { runSeq = 0, generation = 0 } = streams.get('public.orders') ?? {}
      const landing = { landing: 'replace', generation: generation + 1, expectedRunSeq: runSeq } as const
      const writer = await destination.begin(landingOf(landing))
      await writer.write(orders([1, 'a']))
      await writer.commit(makeCheckpoint('1'))
    })
  }
  await run(['note', 'nota'], true)
  expect(warnings).toEqual([expect.stringContaining('partition_by=nota')])
  await run(['note'], true)
  await run(['nota'], false)
  expect(warnings).toHaveLength(1)
})

it('a value that is called as no value is has a folder of its own', async () => {
  expect(await land(byNote, orders([1, '__HIVE_DEFAULT_PARTITION__'], [2, null]))).toBeNull()
  const { tables } = JSON.parse(await readFile(path.join(place.folder, 'latest.json'), 'utf8')) as {
    tables: { files: { path: string }[] }[]
  }
  expect(tables[0]?.files.map((file) => file.path.split('/')[3]).sort()).toEqual([
    'note=%5F_HIVE_DEFAULT_PARTITION__',
    'note=__HIVE_DEFAULT_PARTITION__',
  ])
})

it('a file that cannot be read back is named without the value that it lies under', async () => {
  expect(await land(byNote, orders([1, 'canary']))).toBeNull()
  const { tables } = JSON.parse(await readFile(path.join(place.folder, 'latest.json'), 'utf8')) as {
    tables: { files: { path: string }[] }[]
  }
  const file = tables[0]?.files[0]?.path ?? ''
  await writeFile(path.join(place.folder, file), '{"id":"canary","note":"canary"}\n')
  const destination = place.create({ layout: byNote })
  const failure = await inRun(destination, runOf(), async () => {
    const landing = { landing: 'append', key: null, deletes: 'ignore', expectedRunSeq: 1 } as const
    const writer = await destination.begin(landingOf(landing))
    try {
      return await writer.verify(one(orders([1, 'canary'])))
    } catch (error) {
      return inspect(error, { depth: 9 })
    } finally {
      await writer.abort()
    }
  })
  expect(failure).toMatch(/DESTINATION_FAILED|cannot be read back/)
  expect(failure).toContain(path.basename(file))
  expect(failure).not.toContain('canary')
})

it('files that are in the making at once share the memory that one may hold rows in', async () => {
  const format = await createParquetFormat({ row_group_bytes: '100000', dictionary: 'false' })
  const batches = (values: number): readonly Batch[] =>
    Array.from({ length: 40 }, (_, batch) =>
      orders(
        ...Array.from({ length: 400 }, (_, row) => [batch * 400 + row, `note ${row % values}`] as const),
      ),
    )
  const longestGroup = async (values: number): Promise<number> => {
    const parquet = await makeFilesPlace(format)
    try {
      const destination = parquet.create({ layout: byNote })
      await inRun(destination, runOf(), async () => {
        const writer = await destination.begin(landingOf({ landing: 'append', key: null, deletes: 'ignore' }))
        for (const batch of batches(values)) await writer.write(batch)
        await writer.commit(makeCheckpoint('1'))
      })
      const files = path.join(parquet.folder, 'public.orders', '**', '*.parquet')
      const [row] = await parquet.query(
        `SELECT max(row_group_num_rows)::INTEGER FROM parquet_metadata('${files}')`,
      )
      return Number(row?.[0])
    } finally {
      await parquet.remove()
    }
  }
  const alone = await longestGroup(1)
  expect(alone).toBeLessThan(16_000)
  expect(await longestGroup(8)).toBeLessThan(alone / 4)
})

async function* one(batch: Batch): AsyncGenerator<Batch> {
  yield batch
}
