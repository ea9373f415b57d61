import { RecordBatchReader, Table, tableFromIPC, tableToIPC } from 'apache-arrow'
import { expect, test } from 'vitest'
import { createArrowStream, toArrow } from '../../src/arrow.js'
import { SAMPLE_FIELDS, sampleBatch } from '../codec/sample-batch.js'

const END_OF_STREAM = 'ffffffff00000000'

test('batches of every type make the stream that Arrow itself makes of them', () => {
  const stream = createArrowStream(SAMPLE_FIELDS)
  const batches = [sampleBatch(7, true), sampleBatch(3, false)]
  const pieces = [stream.begin(), ...batches.map((batch) => stream.write(batch)), stream.end()]
  const bytes = Buffer.concat(pieces)
  expect(tableFromIPC(bytes).numRows).toBe(10)
  expect(bytes.equals(tableToIPC(new Table(batches.map(toArrow)), 'stream'))).toBe(true)
})

test('a stream without batches is its schema and its end', () => {
  const stream = createArrowStream(SAMPLE_FIELDS)
  const bytes = Buffer.concat([stream.begin(), stream.end()])
  const table = tableFromIPC(bytes)
  expect(table.numRows).toBe(0)
  expect(table.schema.fields.map(({ name }) => name)).toEqual(SAMPLE_FIELDS.map(({ name }) => name))
  expect(bytes.subarray(-8).toString('hex')).toBe(END_OF_STREAM)
})

test('a stream that was cut does not end as a whole one does', () => {
  const stream = createArrowStream(SAMPLE_FIELDS)
  const cut = Buffer.concat([stream.begin(), stream.write(sampleBatch(3, false))])
  expect(cut.subarray(-8).toString('hex')).not.toBe(END_OF_STREAM)
  const whole = Buffer.concat([cut, stream.end()])
  expect([...RecordBatchReader.from(whole)]).toHaveLength(1)
})
