import { afterEach, describe, expect, it } from 'vitest'
import { TrunklineError } from '../../src/model/error.js'
import {
  bindComplete,
  commandComplete,
  copyData,
  copyDone,
  copyOutResponse,
  errorResponse,
  int32,
  message,
  notice,
  parameterStatus,
  parseComplete,
  readyForQuery,
  startFakeServer,
} from './fake-server.js'
import type { FakeAnswers, FakeServer } from './fake-server.js'
import { STALL_MS, copyOnce, drain, open } from './open.js'

const opening = [parseComplete, bindComplete, copyOutResponse]
const closing = [copyDone, commandComplete('COPY 2'), readyForQuery]
const whole = Buffer.concat([...opening, copyData('one'), copyData('two'), ...closing])

let server: FakeServer | null = null
afterEach(async () => {
  await server?.close()
  server = null
})

async function copyFrom(answers: FakeAnswers): Promise<unknown> {
  server = await startFakeServer(answers)
  return copyOnce(server.url, 'COPY t TO STDOUT').catch((error: unknown) => error)
}

describe('the answer to a COPY', () => {
  it('is whole when every message came in its order', async () => {
    expect(await copyFrom({ request: whole })).toEqual({ rows: 2, payload: Buffer.from('onetwo') })
  })

  it('is asked for by Parse, Bind, Execute and Sync', async () => {
    await copyFrom({ request: whole, thenClose: 'fin' })
    expect(server?.received[0]?.subarray(0, 53).toString('latin1')).toBe(
      'P\0\0\0\x18\0COPY t TO STDOUT\0\0\0' +
        'B\0\0\0\x0c\0\0\0\0\0\0\0\0' +
        'E\0\0\0\x09\0\0\0\0\0' +
        'S\0\0\0\x04',
    )
  })

  it('may have notices, parameter changes and notifications in between', async () => {
    const noise = [
      notice('beware'),
      parameterStatus('TimeZone', 'UTC'),
      message('A', Buffer.concat([int32(1), Buffer.from('c\0p\0')])),
    ]
    const request = Buffer.concat([
      ...noise,
      parseComplete,
      ...noise,
      bindComplete,
      ...noise,
      copyOutResponse,
      ...noise,
      copyData('one'),
      ...noise,
      copyData('two'),
      ...noise,
      copyDone,
      ...noise,
      commandComplete('COPY 2'),
      ...noise,
      readyForQuery,
      ...noise,
    ])
    expect(await copyFrom({ request })).toEqual({ rows: 2, payload: Buffer.from('onetwo') })
  })

  it('carries an empty payload', async () => {
    const request = Buffer.concat([
      ...opening,
      copyData(''),
      copyDone,
      commandComplete('COPY 0'),
      readyForQuery,
    ])
    expect(await copyFrom({ request })).toEqual({ rows: 0, payload: Buffer.alloc(0) })
  })

  it.each<[string, Buffer[]]>([
    ['data before the response', [parseComplete, bindComplete, copyData('x'), ...closing]],
    ['no BindComplete', [parseComplete, copyOutResponse, ...closing]],
    ['two responses', [...opening, copyOutResponse, ...closing]],
    ['no CopyDone', [...opening, copyData('x'), commandComplete('COPY 1'), readyForQuery]],
    ['no CommandComplete', [...opening, copyData('x'), copyDone, readyForQuery]],
    ['ReadyForQuery in the middle', [...opening, copyData('x'), readyForQuery]],
    ['data behind CopyDone', [...opening, copyDone, copyData('x'), commandComplete('COPY 1'), readyForQuery]],
    ['a tag without a count', [...opening, copyDone, commandComplete('COPY'), readyForQuery]],
    ['the tag of another command', [...opening, copyDone, commandComplete('SELECT 5'), readyForQuery]],
    [
      'a failed transaction behind success',
      [...opening, copyDone, commandComplete('COPY 0'), message('Z', 'E')],
    ],
    ['a row of a query', [...opening, message('D', '\0\0'), ...closing]],
    ['an unknown type of message', [...opening, message('@', 'x'), ...closing]],
    ['a type of the frontend', [...opening, message('Q', 'x'), ...closing]],
    ['a request to authenticate', [...opening, message('R', int32(3)), ...closing]],
    ['a format that does not exist', [parseComplete, bindComplete, message('H', '\x02\0\0'), ...closing]],
    [
      'fewer formats than columns',
      [parseComplete, bindComplete, message('H', '\x01\0\x02\0\x01'), ...closing],
    ],
    ['a length that is too small', [...opening, Buffer.from('d\0\0\0\x03')]],
    ['a length of more than a gigabyte', [...opening, Buffer.from('d\x40\0\0\x05')]],
    ['a negative length', [...opening, Buffer.from('d\xff\xff\xff\xff', 'latin1')]],
    ['a short message with a huge length', [...opening, Buffer.from('c\0\x10\0\0', 'latin1')]],
    ['a huge error', [...opening, Buffer.from('E\x3f\xff\xff\xff', 'latin1')]],
  ])('is refused with %s', async (_, messages) => {
    const outcome = await copyFrom({ request: Buffer.concat(messages) })
    expect(outcome).toMatchObject({ code: expect.stringMatching(/^(DECODE_FAILED|AUTH_)/) as string })
  })

  it('is what the server says when it fails, also right before it closes', async () => {
    const fatal = errorResponse('FATAL', '57P01', 'terminating connection')
    for (const at of [[], [parseComplete], opening, [...opening, copyData('x')], [...opening, copyDone]]) {
      const outcome = await copyFrom({ request: Buffer.concat([...at, fatal]), thenClose: 'fin' })
      expect(outcome).toMatchObject({
        code: 'CONNECTION_LOST',
        retry: 'safe',
        context: { sqlstate: '57P01' },
      })
      await server?.close()
    }
  })

  it('does not become whole by what follows an error', async () => {
    const failure = errorResponse('ERROR', '53100', 'could not write')
    const request = Buffer.concat([...opening, copyData('x'), failure, readyForQuery])
    expect(await copyFrom({ request })).toMatchObject({ code: 'SERVER_BUSY', context: { sqlstate: '53100' } })
  })

  it('names the error even when the server closes instead of becoming ready', async () => {
    const failure = errorResponse('ERROR', '40001', 'conflict with recovery')
    const request = Buffer.concat([...opening, copyData('x'), failure])
    expect(await copyFrom({ request, thenClose: 'fin' })).toMatchObject({ code: 'RECOVERY_CONFLICT' })
  })

  it('ends with the error of whoever visits the payload', async () => {
    server = await startFakeServer({ request: whole })
    const connection = await open(server.url)
    const copy = await connection.copyOut('COPY t TO STDOUT', { stallTimeoutMs: STALL_MS })
    const broken = new TrunklineError('FIELD_TOO_LARGE', 'too large')
    const visit = (): never => {
      throw broken
    }
    await expect(copy.next(visit)).rejects.toBe(broken)
    await expect(copy.next(visit)).rejects.toBe(broken)
    await expect(connection.query('SELECT 1')).rejects.toThrow()
    connection.destroy()
  })

  it('is never taken for the same when a bit of its framing is flipped', { timeout: 120_000 }, async () => {
    // 1: payload, which the decoder judges.
    const isPayload = Buffer.concat([
      Buffer.alloc(Buffer.concat(opening).length + 5),
      Buffer.alloc(3, 1),
      Buffer.alloc(5),
      Buffer.alloc(3, 1),
      Buffer.alloc(Buffer.concat(closing).length),
    ])
    let tried = 0
    for (let position = 0; position < whole.length; position += 1) {
      for (let bit = 0; bit < 8; bit += 1) {
        const flipped = Buffer.from(whole)
        flipped[position] = (flipped[position] ?? 0) ^ (1 << bit)
        const outcome = await copyFrom({ request: flipped, thenClose: 'fin' })
        await server?.close()
        tried += 1
        if (isPayload[position] === 1) {
          expect(outcome).toMatchObject({ rows: 2 })
        } else if (outcome instanceof Error) {
          expect(outcome).toBeInstanceOf(TrunklineError)
          expect((outcome as TrunklineError).code).not.toBe('INTERNAL')
        } else {
          // What passes has another count or another payload, and the decoder checks both.
          expect(outcome, `bit ${bit} of byte ${position}`).not.toEqual({
            rows: 2,
            payload: Buffer.from('onetwo'),
          })
        }
      }
    }
    expect(tried).toBe(whole.length * 8)
  })
})

describe('a COPY payload', () => {
  it('waits at the server while nobody asks for it', async () => {
    const piece = copyData('x'.repeat(60_000))
    const request = Buffer.concat([...opening, ...Array.from({ length: 1000 }, () => piece), ...closing])
    server = await startFakeServer({ request })
    await using connection = await open(server.url)
    const copy = await connection.copyOut('COPY t TO STDOUT', { stallTimeoutMs: STALL_MS })
    let bytes = 0
    expect(await copy.next((_, start, end) => (bytes += end - start))).toBe(true)
    await new Promise((resolve) => setTimeout(resolve, 50))
    const held = bytes
    expect(held).toBeLessThan(1_000_000)
    expect((await drain(copy)).length + held).toBe(60_000_000)
  })
})
