/** Files in which a value is told by its place in a row: CSV without a header. Columns come, go and change places; no value does. */
import { afterEach, beforeEach, expect, it } from 'vitest'
import { createCsvFormat } from '../../../src/destination/files/csv-format.js'
import type { FileFormat } from '../../../src/destination/files/file-format.js'
import type { Field } from '../../../src/model/column-type.js'
import { ID, NOTE, inRun, landingOf, makeCheckpoint, runOf } from '../../../src/testing/landings.js'
import { makeBatch } from '../../../src/testing/make-batch.js'
import type { Plain } from '../../../src/testing/plain.js'
import { makeFilesPlace, type FilesPlace } from './files-place.js'

const CITY: Field = { name: 'city', type: { kind: 'text' }, nullable: true }
const ZIP: Field = { name: 'zip', type: { kind: 'text' }, nullable: true }

let place: FilesPlace
beforeEach(async () => {
  place = await makeFilesPlace(await createCsvFormat({ header: 'false' }))
})
afterEach(() => place.remove())

interface Addition {
  readonly fields: readonly Field[]
  readonly added?: readonly Field[]
  readonly row: readonly Plain[]
  readonly runAt?: Date
  readonly format?: FileFormat
}

let runSeq = 0
async function append({ fields, added = [], row, runAt, format }: Addition): Promise<void> {
  const destination = place.create(format === undefined ? {} : { format })
  await inRun(destination, runOf(), async () => {
    const writer = await destination.begin(
      landingOf({
        fields,
        landing: 'append',
        key: null,
        deletes: 'ignore',
        expectedRunSeq: runSeq,
        runAt: runAt ?? null,
      }),
    )
    if (added.length > 0) await writer.alter({ add: added })
    await writer.write(makeBatch(fields, [row]))
    await writer.commit(makeCheckpoint('1'))
  })
  runSeq++
}
beforeEach(() => {
  runSeq = 0
})

const read = (): ReturnType<FilesPlace['query']> =>
  place.query('SELECT id, note, city, zip FROM public.orders ORDER BY id')

it('a column that comes in the middle is at the end of each later row, and others stay where they were', async () => {
  await append({ fields: [ID, CITY], row: [1, 'Oslo'] })
  await append({ fields: [ID, NOTE, CITY, ZIP], added: [NOTE, ZIP], row: [2, 'b', 'Bonn', '53111'] })
  await append({ fields: [ZIP, NOTE, ID, CITY], row: ['00120', 'c', 3, 'Rome'] })
  expect(await read()).toEqual([
    [1, null, 'Oslo', null],
    [2, 'b', 'Bonn', '53111'],
    [3, 'c', 'Rome', '00120'],
  ])
})

it('a new column of dated copies does not take the place of their date', async () => {
  const runAt = new Date('2026-01-02T03:04:05Z')
  await append({ fields: [ID], row: [1], runAt })
  await append({ fields: [ID, NOTE], added: [NOTE], row: [2, 'b'], runAt })
  expect(
    await place.query('SELECT id, note, _trunkline_run_at::VARCHAR FROM public.orders ORDER BY id'),
  ).toEqual([
    [1, null, '2026-01-02 03:04:05+00'],
    [2, 'b', '2026-01-02 03:04:05+00'],
  ])
})

it('a column that does not come any more is refused, as the next one would take its place; with a header it is not', async () => {
  await append({ fields: [ID, NOTE, CITY, ZIP], row: [1, 'a', 'Oslo', '0010'] })
  await expect(append({ fields: [ID, CITY, ZIP], row: [2, 'Bonn', '53111'] })).rejects.toMatchObject({
    code: 'DESTINATION_FAILED',
    message: expect.stringContaining('the column note') as string,
    hint: expect.stringContaining('trunkline state resync public.orders') as string,
  })
  expect(await read()).toEqual([[1, 'a', 'Oslo', '0010']])
  await place.remove()

  place = await makeFilesPlace(await createCsvFormat({}))
  runSeq = 0
  await append({ fields: [ID, NOTE, CITY, ZIP], row: [1, 'a', 'Oslo', '0010'] })
  await append({ fields: [ZIP, ID, CITY], row: ['53111', 2, 'Bonn'] })
  expect(await read()).toEqual([
    [1, 'a', 'Oslo', '0010'],
    [2, null, 'Bonn', '53111'],
  ])
})

it('a name that no reader finds in a header is told by its place, whatever is done to formulas, and does not come later', async () => {
  const sum: Field = { name: '=sum', type: { kind: 'text' }, nullable: true }
  await place.remove()
  place = await makeFilesPlace(await createCsvFormat({}))
  await append({ fields: [ID, sum], row: [1, 'kept'] })
  const format = await createCsvFormat({ formulas: 'escape' })
  await append({ fields: [ID, sum], row: [2, 'escaped'], format })
  expect(await place.query('SELECT id, "=sum" FROM public.orders ORDER BY id')).toEqual([
    [1, 'kept'],
    [2, 'escaped'],
  ])
  await place.remove()
  place = await makeFilesPlace(await createCsvFormat({}))
  runSeq = 0
  await append({ fields: [ID], row: [1] })
  await expect(append({ fields: [ID, sum], added: [sum], row: [2, 'x'] })).rejects.toMatchObject({
    code: 'DESTINATION_FAILED',
    message: expect.stringContaining('the column =sum') as string,
  })
})

it.each(['true', 'false'])('a row of one column without a value is a row (header=%s)', async (header) => {
  await place.remove()
  place = await makeFilesPlace(await createCsvFormat({ header }))
  for (const value of ['a', null, '', null]) await append({ fields: [NOTE], row: [value] })
  const rows = await place.query('SELECT note FROM public.orders ORDER BY note NULLS FIRST')
  expect(rows).toEqual([[null], [null], [''], ['a']])
})
