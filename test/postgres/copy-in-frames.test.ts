import { createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { TrunklineError } from '../../src/model/error.js'
import {
  commandComplete,
  copyData,
  copyDone,
  errorResponse,
  message,
  notice,
  parameterStatus,
  parseComplete,
  readyForQuery,
  startFakeServer,
  welcome,
} from './fake-server.js'
import type { FakeAnswers, FakeServer } from './fake-server.js'
import { STALL_MS, open } from './open.js'

/** Binary, two columns. */
const copyInResponse = message('G', '\x01\x00\x02\x00\x01\x00\x01')
const SQL = 'COPY t FROM STDIN (FORMAT binary)'
const OPTIONS = { stallTimeoutMs: STALL_MS }

let server: FakeServer | null = null
afterEach(async () => {
  await server?.close()
  server = null
})

/** Everything is answered at once, as soon as the statement comes. */
async function copyInto(answers: FakeAnswers): Promise<unknown> {
  server = await startFakeServer(answers)
  const connection = await open(server.url)
  try {
    const copy = await connection.copyIn(SQL, OPTIONS)
    await copy.write(Buffer.from('one'))
    await copy.write(Buffer.from('two'))
    return await copy.finish()
  } catch (error) {
    return error
  } finally {
    connection.destroy()
  }
}

const whole = [copyInResponse, commandComplete('COPY 2'), readyForQuery]

describe('the answer to a COPY into a table', () => {
  it.each([
    ['without any', { request: parseComplete }],
    ['before it takes rows', { request: Buffer.concat([commandComplete('COPY 2'), readyForQuery]) }],
    ['that sends rows itself', { request: Buffer.concat([copyInResponse, copyData('x')]) }],
    ['that is ready in the middle', { request: Buffer.concat([copyInResponse, readyForQuery]) }],
    ['that ends what it did not begin', { request: Buffer.concat([copyInResponse, copyDone]) }],
    ['that is complete in the middle', { request: Buffer.concat(whole) }],
    ['in a format that does not exist', { request: message('G', '\x07\x00\x00') }],
  ] as const)('%s is an error', async (_, answers) => {
    const outcome = await copyInto(answers)
    expect(outcome).toBeInstanceOf(TrunklineError)
    expect(['DECODE_FAILED', 'QUERY_FAILED']).toContain((outcome as TrunklineError).code)
  })

  it.each(['fin', 'rst'] as const)('that is cut by %s is a lost connection', async (thenClose) => {
    const outcome = await copyInto({ request: copyInResponse, thenClose })
    expect(outcome).toMatchObject({ code: 'CONNECTION_LOST', retry: 'safe' })
  })

  it('may have notices and parameter changes in between', async () => {
    const noise = [notice('beware'), parameterStatus('TimeZone', 'UTC')]
    const answer = Buffer.concat([...noise, copyInResponse, ...noise])
    const ending = Buffer.concat([...noise, commandComplete('COPY 2'), ...noise, readyForQuery])
    await using stepwise = await startStepwise([answer, ending])
    const connection = await open(stepwise.url)
    const copy = await connection.copyIn(SQL, OPTIONS)
    await copy.write(Buffer.from('one'))
    const finished = copy.finish()
    await expect
      .poll(() => stepwise.received().includes(Buffer.from('c\0\0\0\x04')), { timeout: 20_000 })
      .toBe(true)
    stepwise.answer()
    expect(await finished).toBe(2)
    expect(stepwise.received().toString('latin1')).toBe(`Q\0\0\0&${SQL}\0` + 'd\0\0\0\x07one' + 'c\0\0\0\x04')
    connection.destroy()
  })

  it('that does not count its rows is an error', async () => {
    await using stepwise = await startStepwise([
      copyInResponse,
      Buffer.concat([commandComplete('COPY'), readyForQuery]),
    ])
    const connection = await open(stepwise.url)
    const copy = await connection.copyIn(SQL, OPTIONS)
    const finished = expect(copy.finish()).rejects.toMatchObject({ code: 'DECODE_FAILED' })
    await expect
      .poll(() => stepwise.received().includes(Buffer.from('c\0\0\0\x04')), { timeout: 20_000 })
      .toBe(true)
    stepwise.answer()
    await finished
    connection.destroy()
  })

  it('names only columns that are known, whatever the server says', async () => {
    const hostile = message(
      'E',
      'SERROR\0VERROR\0C22P02\0Minvalid input syntax for type integer: "4711"\0WCOPY t, line 3, column a:b: "4711"\0\0',
    )
    for (const [columns, field] of [
      [['a', 'a:b'], 'a:b'],
      [['a'], 'a'],
      [['b'], undefined],
    ] as const) {
      server = await startFakeServer({ request: Buffer.concat([hostile, readyForQuery]) })
      const connection = await open(server.url)
      const error = await connection.copyIn(SQL, { ...OPTIONS, columns }).catch((failure: unknown) => failure)
      expect(error).toMatchObject({ context: { sqlstate: '22P02', rowNumber: 3 } })
      expect((error as TrunklineError).context.field).toBe(field)
      expect(String(error)).not.toContain('4711')
      connection.destroy()
      await server.close()
    }
  })

  it('that is an error without an end leaves nothing waiting', async () => {
    server = await startFakeServer({
      request: Buffer.concat([copyInResponse, errorResponse('ERROR', '22P02', 'bad')]),
    })
    const connection = await open(server.url)
    let isAlive = true
    const copy = await connection.copyIn(SQL, {
      stallTimeoutMs: 200,
      isAlive: () => Promise.resolve(isAlive),
    })
    isAlive = false
    await expect(
      (async () => {
        for (;;) await copy.write(Buffer.from('x'))
      })(),
    ).rejects.toMatchObject({ code: 'CONNECTION_STALLED' })
    connection.destroy()
  })
})

describe('a server that takes no more', () => {
  it('holds the sender back, and is given up after the time that was set', async () => {
    await using stepwise = await startStepwise([copyInResponse])
    const connection = await open(stepwise.url)
    let isAlive = true
    const copy = await connection.copyIn(SQL, {
      stallTimeoutMs: 300,
      isAlive: () => Promise.resolve(isAlive),
    })
    stepwise.stopReading()
    isAlive = false
    // More than all buffers between here and there hold.
    await expect(copy.write(Buffer.alloc(64 * 1024 * 1024))).rejects.toMatchObject({
      code: 'CONNECTION_STALLED',
    })
    await copy.fail('too slow')
    await expect(copy.finish()).rejects.toMatchObject({ code: 'CONNECTION_STALLED' })
    connection.destroy()
  })

  it('is waited for as long as it is said to be alive', async () => {
    await using stepwise = await startStepwise([copyInResponse])
    const connection = await open(stepwise.url)
    let asked: number | null = null
    const isAlive = (): Promise<boolean> => Promise.resolve(asked === null || ++asked < 3)
    const copy = await connection.copyIn(SQL, { stallTimeoutMs: 100, isAlive })
    stepwise.stopReading()
    asked = 0
    await expect(copy.write(Buffer.alloc(64 * 1024 * 1024))).rejects.toMatchObject({
      code: 'CONNECTION_STALLED',
    })
    expect(asked).toBe(3)
    connection.destroy()
  })

  it('does not keep an abort from ending the wait', async () => {
    await using stepwise = await startStepwise([copyInResponse])
    const connection = await open(stepwise.url)
    const abort = new AbortController()
    const copy = await connection.copyIn(SQL, { ...OPTIONS, signal: abort.signal })
    stepwise.stopReading()
    const written = expect(copy.write(Buffer.alloc(64 * 1024 * 1024))).rejects.toThrow('enough')
    abort.abort(new Error('enough'))
    await written
    await expect(connection.query('SELECT 1')).rejects.toMatchObject({ code: 'CONNECTION_LOST' })
  })
})

interface Stepwise extends AsyncDisposable {
  readonly url: string
  received(): Buffer
  /** Gives the next answer. */
  answer(): void
  stopReading(): void
}

/** Gives the first answer to what comes behind the login, and the others when it is told to. */
async function startStepwise(answers: readonly Buffer[]): Promise<Stepwise> {
  const waiting = [...answers]
  let received = Buffer.alloc(0)
  let client: Socket | null = null
  let phase: 'startup' | 'first' | 'on' = 'startup'
  const listener = createServer((socket) => {
    // A cancel comes on a connection of its own.
    client ??= socket
    socket.on('error', () => undefined)
    if (socket !== client) return
    socket.on('data', (bytes) => {
      if (phase === 'startup') {
        phase = 'first'
        socket.write(welcome)
        return
      }
      received = Buffer.concat([received, bytes])
      if (phase === 'on') return
      phase = 'on'
      socket.write(waiting.shift() ?? '')
    })
  })
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve))
  const { port } = listener.address() as AddressInfo
  return {
    url: `postgresql://reader@127.0.0.1:${port}/shop?sslmode=disable`,
    received: () => received,
    answer: () => client?.write(waiting.shift() ?? ''),
    stopReading: () => client?.pause(),
    async [Symbol.asyncDispose]() {
      client?.destroy()
      await new Promise((resolve) => listener.close(resolve))
    },
  }
}
