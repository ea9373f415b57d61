import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { MessageFramer, readServerMessage } from '../../src/postgres/message-framer.js'
import { copyData, errorResponse, message } from './fake-server.js'

interface Seen {
  readonly messages: string[]
  payload: string
}

/** Feeds the stream in pieces that end at `cuts`; of the CopyData messages offered whole, `taken` are taken at a time. */
function frame(stream: Buffer, cuts: readonly number[], stopAt?: string, taken = 0): Seen {
  const seen: Seen = { messages: [], payload: '' }
  const framer = new MessageFramer({
    message(type, bytes) {
      seen.messages.push(bytes.toString('latin1'))
      return String.fromCharCode(type) !== stopAt
    },
    copyData(bytes, start, end) {
      seen.payload += Buffer.from(bytes.subarray(start, end)).toString('latin1')
    },
    copyMessages(bytes, start, end) {
      const piece = Buffer.from(bytes.subarray(start, end))
      let at = 0
      for (let i = 0; i < taken && piece[at] === 0x64 && piece.length - at >= 5; i += 1) {
        const stop = at + 1 + piece.readInt32BE(at + 1)
        if (stop > piece.length) break
        seen.payload += piece.toString('latin1', at + 5, stop)
        at = stop
      }
      expect(taken === 0 || at > 0).toBe(true)
      return start + at
    },
  })
  const edges = [0, ...[...cuts].sort((a, b) => a - b), stream.length]
  for (let i = 1; i < edges.length; i += 1) {
    // A copy of its own, overwritten afterwards: nothing may be kept by reference.
    const piece = Buffer.from(stream.subarray(edges[i - 1], edges[i]))
    let at = 0
    while (at < piece.length) at = framer.push(piece, at, piece.length)
    piece.fill(0xff)
  }
  expect(framer.position).toBe(stream.length)
  expect(framer.aligned).toBe(true)
  return seen
}

const stream = Buffer.concat([
  message('1'),
  copyData('hello'),
  copyData(''),
  message('Z', 'I'),
  message('S', 'a\0b\0'),
  copyData('x'.repeat(300)),
  message('D', 'y'.repeat(20_000)),
  message('c'),
])
const expected: Seen = {
  messages: [
    message('1'),
    message('Z', 'I'),
    message('S', 'a\0b\0'),
    message('D', 'y'.repeat(20_000)),
    message('c'),
  ].map((bytes) => bytes.toString('latin1')),
  payload: `hello${'x'.repeat(300)}`,
}

describe('cutting a stream into messages', () => {
  it('gives the same whatever the pieces it arrives in', () => {
    for (let cut = 0; cut <= 400; cut += 1) expect(frame(stream, [cut])).toEqual(expected)
    const cuts = fc.array(fc.integer({ min: 0, max: stream.length }), { maxLength: 40 })
    fc.assert(
      fc.property(cuts, (places) => {
        expect(frame(stream, places)).toEqual(expected)
      }),
      { numRuns: 300 },
    )
    const everyByte = Array.from({ length: 500 }, (_, i) => i)
    expect(frame(stream, everyByte)).toEqual(expected)
  })

  it('gives the same when CopyData messages are taken whole', () => {
    for (const taken of [1, 2, 100]) {
      for (let cut = 0; cut <= 400; cut += 1) expect(frame(stream, [cut], undefined, taken)).toEqual(expected)
      expect(frame(stream, [3, 9, 400], 'Z', taken)).toEqual(expected)
    }
  })

  it('goes on behind a message at which it was stopped', () => {
    expect(frame(stream, [3, 9, 400], 'Z')).toEqual(expected)
    expect(frame(stream, [], '1')).toEqual(expected)
  })

  it('reserves memory for what arrived, not for what was announced', () => {
    const framer = new MessageFramer({
      message: () => true,
      copyData: () => undefined,
      copyMessages: (_, start) => start,
    })
    const before = process.memoryUsage()
    const header = Buffer.from('D\x3f\xff\xff\xff', 'latin1')
    framer.push(header, 0, header.length)
    const after = process.memoryUsage()
    expect(after.arrayBuffers + after.external - before.arrayBuffers - before.external).toBeLessThan(
      1_000_000,
    )
  })

  it('reads the fields of an error, the untranslated severity first', () => {
    const bytes = message('E', 'SERREUR\0VERROR\0C42P01\0MIl manque\0HCherchez\0Dligne 5\0\0')
    expect(readServerMessage(bytes)).toEqual({
      severity: 'ERROR',
      sqlstate: '42P01',
      message: 'Il manque',
      hint: 'Cherchez',
    })
    expect(readServerMessage(message('E', 'Mcut off'))).toMatchObject({
      message: 'cut off',
      sqlstate: 'XX000',
    })
    expect(readServerMessage(message('E'))).toMatchObject({ message: '' })
    expect(readServerMessage(errorResponse('FATAL', '57P01', 'x'))).toMatchObject({ severity: 'FATAL' })
  })
})
