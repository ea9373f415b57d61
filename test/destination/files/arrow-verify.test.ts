import { randomUUID } from 'node:crypto'
import { cp, mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Batch } from '../../../src/batch/batch.js'
import { buildBatch } from '../../../src/batch/build-batch.js'
import { valueReader } from '../../../src/batch/rows.js'
import { createArrowFormat } from '../../../src/destination/files/arrow-format.js'
import { verifyFiles } from '../../../src/destination/files/verify-files.js'
import { createLocalStore } from '../../../src/destination/stores/local-store.js'
import type { Store } from '../../../src/destination/stores/store.js'
import type { ColumnType, Field } from '../../../src/model/column-type.js'
import type { VerifyResult } from '../../../src/model/report.js'
import { encoded } from '../../codec/encoded.js'
import { SAMPLE_FIELDS, sampleBatch } from '../../codec/sample-batch.js'

const TEXT: ColumnType = { kind: 'text' }
const fieldOf = (name: string, type: ColumnType): Field => ({ name, type, nullable: true })
const EQUAL: VerifyResult = { equal: true, missing: 0, unexpected: 0 }
const ONE_DIFFERS: VerifyResult = { equal: false, missing: 1, unexpected: 1 }

async function* one(batch: Batch): AsyncGenerator<Batch> {
  yield await Promise.resolve(batch)
}

describe.each<[string, Record<string, string>]>([
  ['Arrow files', {}],
  ['Arrow files in zstd', { compression: 'zstd' }],
  ['Arrow streams', { framing: 'stream' }],
])('%s that are compared', (_, options) => {
  let folder: string
  let store: Store
  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'trunkline-arrow-'))
    store = createLocalStore({ path: folder })
    await store.open({})
  })
  afterEach(() => rm(folder, { recursive: true, force: true }))

  async function save(...batches: Batch[]): Promise<string> {
    const format = await createArrowFormat(options)
    const name = `${randomUUID()}${format.suffix}`
    const ranges = batches.map((batch) => ({ batch, start: 0, count: batch.rowCount }))
    await store.put(
      name,
      encoded(
        format.encoder(batches[0]!.fields, {}, () => 1),
        ranges,
      ),
    )
    return name
  }

  async function compare(
    expected: Batch,
    files: readonly string[],
    { from = store, fields = expected.fields }: { from?: Store; fields?: readonly Field[] } = {},
  ): Promise<VerifyResult> {
    const format = await createArrowFormat({})
    return verifyFiles({ format, store: from, rows: one(expected), fields, files })
  }

  it('have the rows of the source, whatever their kind, over several files and record batches', async () => {
    const batch = sampleBatch(60, true)
    const twice = buildBatch([fieldOf('x', TEXT)], [['a'], ['b'], ['a'], ['b']])
    const half = buildBatch([fieldOf('x', TEXT)], [['a'], ['b']])
    expect(await compare(batch, [await save(batch)])).toEqual(EQUAL)
    expect(await compare(twice, [await save(half, half)])).toEqual(EQUAL)
    expect(await compare(twice, [await save(half), await save(half)])).toEqual(EQUAL)
    expect(await compare(twice, [await save(half)])).toEqual({ equal: false, missing: 2, unexpected: 0 })
    expect(await compare(half, [await save(twice)])).toEqual({ equal: false, missing: 0, unexpected: 2 })
    const none = buildBatch([fieldOf('x', TEXT)], [])
    expect(await compare(half, [await save(none)])).toEqual({ equal: false, missing: 2, unexpected: 0 })
    expect(await compare(none, [])).toEqual(EQUAL)
  })

  it('have no value of a column that came later, and compare those that are asked for', async () => {
    const before = buildBatch([fieldOf('id', { kind: 'int', bits: 32 })], [[1], [2]])
    const fields = [fieldOf('id', { kind: 'int', bits: 32 }), fieldOf('note', TEXT)]
    const after = buildBatch(fields, [[3, 'c']])
    const files = [await save(before), await save(after)]
    const [all, changed] = ['c', 'd'].map((note) =>
      buildBatch(fields, [
        [1, null],
        [2, null],
        [3, note],
      ]),
    )
    expect(await compare(all!, files)).toEqual(EQUAL)
    expect(await compare(changed!, files)).toEqual(ONE_DIFFERS)
    const notes = buildBatch([fields[1]!], [['c'], [null], [null]])
    expect(await compare(notes, files)).toEqual(EQUAL)
  })

  it('that were damaged, cut or removed are an error that names the file', async () => {
    const batch = buildBatch([fieldOf('id', { kind: 'int', bits: 32 })], [[1], [2]])
    const file = await save(batch)
    const place = path.join(folder, file)
    const whole = await readFile(place)
    const refusal = { code: 'DESTINATION_FAILED', message: expect.stringContaining(place) as string }
    const text = buildBatch([fieldOf('id', TEXT)], [['1'], ['2']])
    await expect(compare(text, [file])).rejects.toMatchObject({
      ...refusal,
      message: expect.stringContaining('column id is int(32) there, not utf8') as string,
    })
    await truncate(place, whole.length - 9)
    await expect(compare(batch, [file])).rejects.toMatchObject(refusal)
    await writeFile(place, Buffer.from('id\n1\n2\n'.repeat(9)))
    await expect(compare(batch, [file])).rejects.toMatchObject(refusal)
    await rm(place)
    await expect(compare(batch, [file])).rejects.toMatchObject(refusal)
  })

  it('are fetched one after the other where they do not lie here, and let go of', async () => {
    const batch = buildBatch([fieldOf('x', TEXT)], [['a'], ['b']])
    const files = [await save(batch), await save(batch)]
    const fetched: string[] = []
    const elsewhere: Store = {
      ...bound(store),
      locate: (file) => `s3://lake/${file}`,
      async fetch(file) {
        // Without its name, as a bucket's copy is.
        const copy = path.join(folder, 'copy')
        await cp(path.join(folder, file), copy, { errorOnExist: true, force: false })
        fetched.push(file)
        return { path: copy, release: () => rm(copy) }
      },
    }
    const twice = buildBatch([fieldOf('x', TEXT)], [['a'], ['b'], ['a'], ['b']])
    expect(await compare(twice, files, { from: elsewhere })).toEqual(EQUAL)
    expect(fetched).toEqual(files)
    await truncate(path.join(folder, files[1]!), 40)
    await expect(compare(twice, files, { from: elsewhere })).rejects.toMatchObject({
      code: 'DESTINATION_FAILED',
      message: expect.stringContaining(`s3://lake/${files[1]}`) as string,
    })
    await expect(readFile(path.join(folder, 'copy'))).rejects.toMatchObject({ code: 'ENOENT' })
  })
})

it('a value of any kind that another one took the place of in an Arrow file is found', async () => {
  const folder = await mkdtemp(path.join(tmpdir(), 'trunkline-arrow-'))
  const store = createLocalStore({ path: folder })
  const format = await createArrowFormat({})
  await store.open({})
  try {
    const sample = sampleBatch(3, false)
    for (const [index, field] of SAMPLE_FIELDS.entries()) {
      const read = valueReader(sample, index)
      const [first, second, third] = [read(0), read(1), read(2)]
      const expected = buildBatch([field], [[first], [second], [third]])
      const other = buildBatch([field], [[index % 4 === 0 ? null : third], [second], [third]])
      const bytes = encoded(
        format.encoder([field], {}, () => 1),
        [{ batch: other, start: 0, count: 3 }],
      )
      await store.put('changed.arrow', bytes)
      const compared = { format, store, rows: one(expected), fields: [field], files: ['changed.arrow'] }
      expect(await verifyFiles(compared), field.name).toEqual(ONE_DIFFERS)
    }
  } finally {
    await rm(folder, { recursive: true })
  }
})

/** What a bucket has of it: no folder. */
function bound(store: Store): Omit<Store, 'folder'> {
  return {
    description: store.description,
    locate: (file) => store.locate(file),
    open: (options) => store.open(options),
    create: (file) => store.create(file),
    put: (file, content) => store.put(file, content),
    putNew: (file, content) => store.putNew(file, content),
    read: (file) => store.read(file),
    list: (prefix, options) => store.list(prefix, options),
    remove: (files) => store.remove(files),
    fetch: (file) => store.fetch(file),
    close: () => store.close(),
    [Symbol.asyncDispose]: () => store.close(),
  }
}
