import { Table, tableFromArrays, tableToIPC } from 'apache-arrow'
import fc from 'fast-check'
import { describe, expect, it, test } from 'vitest'
import { toArrow } from '../../src/arrow.js'
import type { Batch } from '../../src/batch/batch.js'
import { buildBatch } from '../../src/batch/build-batch.js'
import type { RowRange } from '../../src/batch/row-range.js'
import { createArrowEncoder, type ArrowOptions } from '../../src/codec/arrow-ipc.js'
import { MalformedArrow, readArrow, type ArrowReadOptions } from '../../src/codec/arrow-reader.js'
import { loadCompressor } from '../../src/codec/compression/compressor.js'
import { loadZstdExpander } from '../../src/codec/compression/zstd.js'
import type { Field } from '../../src/model/column-type.js'
import { encoded } from './encoded.js'
import { exactRows, randomBatches } from './random-batch.js'
import { SAMPLE_FIELDS, sampleBatch } from './sample-batch.js'

const whole = (batch: Batch): RowRange => ({ batch, start: 0, count: batch.rowCount })

function encode(ranges: readonly RowRange[], options: ArrowOptions): Buffer {
  return encoded(createArrowEncoder(ranges[0]!.batch.fields, options), ranges)
}

async function read(bytes: Uint8Array, options: Partial<ArrowReadOptions> = {}): Promise<Batch[]> {
  const source = {
    length: bytes.length,
    read: (target: Uint8Array, position: number): Promise<void> => {
      const piece = bytes.subarray(position, position + target.length)
      expect(piece).toHaveLength(target.length)
      target.set(piece)
      return Promise.resolve()
    },
  }
  const batches: Batch[] = []
  for await (const batch of readArrow(source, { fields: SAMPLE_FIELDS, expand: null, ...options })) {
    batches.push(batch)
  }
  return batches
}

const rowsOf = (batches: readonly Batch[]): unknown[][] => batches.flatMap((batch) => exactRows(batch))

/** What is wrong with the bytes; null where nothing is. Any other failure is thrown on. */
async function fault(bytes: Uint8Array, options: Partial<ArrowReadOptions> = {}): Promise<string | null> {
  try {
    await read(bytes, options)
    return null
  } catch (error) {
    if (error instanceof MalformedArrow) return error.message
    throw error
  }
}

describe.each(['file', 'stream'] as const)('an Arrow %s', (framing) => {
  it('is read as the batches it was written from, which make the same bytes again', async () => {
    await fc.assert(
      fc.asyncProperty(randomBatches, fc.nat(), async (batch, cut) => {
        const start = batch.rowCount === 0 ? 0 : cut % batch.rowCount
        const ranges = [whole(batch), { batch, start, count: batch.rowCount - start }]
        const bytes = encode(ranges, { framing })
        const batches = await read(bytes, { fields: batch.fields })
        const written = ranges.filter(({ count }) => count > 0)
        expect(batches.map(({ rowCount }) => rowCount)).toEqual(written.map(({ count }) => count))
        expect(batches.map((each) => exactRows(each))).toEqual(
          written.map((range) => exactRows(batch, range.start)),
        )
        if (batches.length > 0) expect(encode(batches.map(whole), { framing }).equals(bytes)).toBe(true)
      }),
      { numRuns: 150, seed: 5 },
    )
  })

  it('is read with the extremes of every kind, compressed or not', async () => {
    const compress = await loadCompressor('zstd')
    for (const expand of [await loadZstdExpander(), await loadZstdExpander(false)]) {
      for (const nulls of [false, true]) {
        const batch = sampleBatch(500, nulls)
        for (const options of [{ framing }, { framing, compress }]) {
          const batches = await read(encode([whole(batch), whole(batch)], options), { expand })
          expect(batches).toHaveLength(2)
          expect(rowsOf(batches)).toEqual([...exactRows(batch), ...exactRows(batch)])
        }
      }
    }
  })

  it('that apache-arrow wrote of the same rows is read as them', async () => {
    await fc.assert(
      fc.asyncProperty(randomBatches, async (batch) => {
        const bytes = tableToIPC(new Table(toArrow(batch)), framing)
        expect(rowsOf(await read(bytes, { fields: batch.fields }))).toEqual(exactRows(batch))
      }),
      { numRuns: 60, seed: 6 },
    )
  })

  it('without rows, and with 1,600 columns, is one', async () => {
    const fields: readonly Field[] = Array.from({ length: 1600 }, (_, index) => ({
      name: `c${index}`,
      type: index % 2 === 0 ? { kind: 'text' } : { kind: 'int', bits: 32 },
      nullable: true,
    }))
    const batch = buildBatch(fields, [
      fields.map((_, index) => (index % 3 === 0 ? null : index % 2 ? index : 'v')),
    ])
    expect(rowsOf(await read(encode([whole(batch)], { framing }), { fields }))).toEqual(exactRows(batch))
    expect(await read(encode([whole(buildBatch(fields, []))], { framing }), { fields })).toEqual([])
  })

  it('has the column whose name begins with a byte order mark', async () => {
    const fields: readonly Field[] = [{ name: '\uFEFFid', type: { kind: 'int', bits: 32 }, nullable: true }]
    const batch = buildBatch(fields, [[7]])
    expect(rowsOf(await read(encode([whole(batch)], { framing }), { fields }))).toEqual([['7']])
  })

  it('that was cut anywhere is an error', async () => {
    const fields = SAMPLE_FIELDS.slice(0, 3)
    const batch = buildBatch(fields, [[true, 1, null]])
    const bytes = encode([whole(batch), whole(batch)], { framing })
    expect(await fault(bytes, { fields })).toBeNull()
    for (let length = 0; length < bytes.length; length++) {
      expect(await fault(bytes.subarray(0, length), { fields }), `${length} bytes`).not.toBeNull()
    }
    expect(await fault(Buffer.concat([bytes, Buffer.alloc(8)]), { fields })).not.toBeNull()
  })

  it('of which a bit was changed is an error or has other rows, and never fails otherwise', async () => {
    const fields: readonly Field[] = [
      ...SAMPLE_FIELDS.filter(({ name }) => ['flag', 'price', 'span', 'name', 'document'].includes(name)),
      { name: 'parts', type: { kind: 'list', element: { kind: 'text' } }, nullable: true },
    ]
    const batch = buildBatch(fields, [
      [true, '1.25', 'P1Y2M3DT4S', 'Größe', '{}', ['a', null, 'é']],
      [null, null, null, null, null, null],
      [false, '-3.50', 'PT0S', '', 'null', []],
    ])
    const bytes = encode([whole(batch)], { framing })
    let [errors, changed, same] = [0, 0, 0]
    const expected = JSON.stringify(exactRows(batch))
    for (let at = 0; at < bytes.length; at += 2) {
      const other = Uint8Array.from(bytes)
      other[at]! ^= 1 << ((at >> 1) % 8)
      try {
        const rows = JSON.stringify(rowsOf(await read(other, { fields })))
        if (rows === expected) same++
        else changed++
      } catch (error) {
        if (!(error instanceof MalformedArrow)) throw error
        errors++
      }
    }
    expect(errors).toBeGreaterThan(100)
    expect(changed).toBeGreaterThan(20)
    // Padding, names and what nobody asks for.
    expect(same).toBeGreaterThan(0)
  })
})

describe('columns that are asked for', () => {
  const batch = sampleBatch(20, true)
  const bytes = encode([whole(batch)], { framing: 'file' })

  it('come in their order, without those that are not', async () => {
    const fields = [SAMPLE_FIELDS[14]!, SAMPLE_FIELDS[6]!, SAMPLE_FIELDS[0]!]
    const rows = exactRows(batch).map((row) => [row[14], row[6], row[0]])
    expect(rowsOf(await read(bytes, { fields }))).toEqual(rows)
  })

  it('are null where the file has none, whatever their type', async () => {
    const added = SAMPLE_FIELDS.flatMap(({ name, type }): Field[] => [
      { name: `new_${name}`, type, nullable: true },
      ...(type.kind === 'list'
        ? []
        : [{ name: `list_${name}`, type: { kind: 'list', element: type }, nullable: true } satisfies Field]),
    ])
    const read20 = await read(bytes, { fields: [SAMPLE_FIELDS[1]!, ...added] })
    const rows = exactRows(batch).map((row) => [row[1], ...added.map(() => null)])
    expect(rowsOf(read20)).toEqual(rows)
    // They can be written and read again.
    const again = encode(read20.map(whole), { framing: 'file' })
    expect(rowsOf(await read(again, { fields: [SAMPLE_FIELDS[1]!, ...added] }))).toEqual(rows)
  })

  it('are found by names that fold to the same', async () => {
    const fields = [{ ...SAMPLE_FIELDS[1]!, name: 'SMALL' }]
    const foldName = (name: string): string => name.toLowerCase()
    expect(rowsOf(await read(bytes, { fields, foldName }))).toEqual(exactRows(batch).map((row) => [row[1]]))
    expect(rowsOf(await read(bytes, { fields }))).toEqual(exactRows(batch).map(() => [null]))
  })

  it('of another type than those of the file are an error that says both', async () => {
    for (const [index, { name, type }] of SAMPLE_FIELDS.entries()) {
      const other = SAMPLE_FIELDS[(index + 1) % SAMPLE_FIELDS.length]!.type
      const message = await fault(bytes, { fields: [{ name, type: other, nullable: true }] })
      expect(message, type.kind).toContain(`column ${name} is `)
    }
    const price: Field = {
      name: 'price',
      type: { kind: 'decimal', precision: 9, scale: 3 },
      nullable: true,
    }
    expect(await fault(bytes, { fields: [price] })).toBe(
      'column price is decimal(9,2) there, not decimal(9,3)',
    )
    const document: Field = { name: 'document', type: { kind: 'text' }, nullable: true }
    expect(await fault(bytes, { fields: [document] })).toBe(
      'column document is utf8 (arrow.json) there, not utf8',
    )
  })
})

test('compressed buffers are an error for who cannot expand them, and where they are damaged', async () => {
  const compress = await loadCompressor('zstd')
  const batch = sampleBatch(50, true)
  const bytes = encode([whole(batch)], { framing: 'file', compress })
  const plain = encode([whole(batch)], { framing: 'file' })
  expect(await fault(bytes)).toContain('cannot be expanded')
  for (const expand of [await loadZstdExpander(), await loadZstdExpander(false)]) {
    expect(await fault(bytes, { expand })).toBeNull()
    expect(await fault(plain, { expand })).toBeNull()
    let errors = 0
    for (let at = 0; at < bytes.length; at += 61) {
      const other = Uint8Array.from(bytes)
      other[at]! ^= 0x41
      if ((await fault(other, { expand })) !== null) errors++
    }
    expect(errors).toBeGreaterThan(5)
  }
})

test('what Trunkline does not write is refused by name', async () => {
  const bytes = tableToIPC(tableFromArrays({ kind: ['a', 'b', 'a'] }), 'file')
  expect(await fault(bytes, { fields: [] })).toBe('it has dictionaries')
  const stream = tableToIPC(tableFromArrays({ kind: ['a', 'b', 'a'] }), 'stream')
  expect(await fault(stream, { fields: [] })).toBe('column kind has a dictionary')
  const bytes8 = tableToIPC(tableFromArrays({ small: Uint8Array.of(1, 2) }), 'file')
  expect(await fault(bytes8, { fields: [] })).toBe('column small has a type that Trunkline does not write')
})
