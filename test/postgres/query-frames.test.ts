/** What a server may answer to a query or a cursor, and everything else that is refused. */
import { afterEach, describe, expect, it } from 'vitest'
import { TrunklineError } from '../../src/model/error.js'
import {
  bindComplete,
  commandComplete,
  errorResponse,
  message,
  parseComplete,
  readyForQuery,
  startFakeServer,
} from './fake-server.js'
import type { FakeServer } from './fake-server.js'
import { STALL_MS, drain, open } from './open.js'

/** int16 fields; of each: name, table, column, type, length, modifier, format. */
const description = (columns: number, format = 1): Buffer =>
  message(
    'T',
    Buffer.concat([
      Buffer.from([0, columns]),
      ...Array.from({ length: columns }, () =>
        Buffer.concat([Buffer.from('c\0'), Buffer.alloc(16), Buffer.from([0, format])]),
      ),
    ]),
  )
const dataRow = (payload: string): Buffer => message('D', payload)
const begin = [parseComplete, bindComplete]
const select = (tag: string, ...rows: string[]): Buffer[] => [
  ...begin,
  description(2),
  ...rows.map(dataRow),
  commandComplete(tag),
  readyForQuery,
]
const fetch = (...rows: string[]): Buffer[] => select(`FETCH ${rows.length}`, ...rows)
const declare = [...begin, commandComplete('DECLARE CURSOR'), readyForQuery]
const close = [...begin, commandComplete('CLOSE CURSOR'), readyForQuery]

let server: FakeServer | null = null
afterEach(async () => {
  await server?.close()
  server = null
})

async function answer(
  messages: readonly Buffer[],
  fetchRows: number | null,
): Promise<{ readonly rows: number | null; readonly payload: string } | TrunklineError> {
  server = await startFakeServer({ request: Buffer.concat(messages), thenClose: 'fin' })
  const connection = await open(server.url)
  try {
    const rows = await connection.queryRows(
      { sql: 'SELECT 1, 2', columns: 2, fetchRows },
      { stallTimeoutMs: STALL_MS },
    )
    const payload = await drain(rows)
    return { rows: rows.rows, payload: payload.toString('latin1') }
  } catch (error) {
    if (error instanceof TrunklineError) return error
    throw error
  } finally {
    connection.destroy()
  }
}

const refused = async (messages: readonly Buffer[], fetchRows: number | null): Promise<string> => {
  const outcome = await answer(messages, fetchRows)
  return outcome instanceof TrunklineError ? outcome.code : 'accepted'
}

describe('the answer to a query', () => {
  it('is whole when every message came in its order', async () => {
    expect(await answer(select('SELECT 2', 'one', 'two'), null)).toEqual({ rows: 2, payload: 'onetwo' })
    expect(await answer(select('SELECT 0'), null)).toEqual({ rows: 0, payload: '' })
  })

  it('says how many rows there are, which is not taken from what arrived', async () => {
    expect(await answer(select('SELECT 3', 'one', 'two'), null)).toMatchObject({ rows: 3 })
  })

  it('is refused in text, with other columns, and with another tag', async () => {
    const rest = [commandComplete('SELECT 0'), readyForQuery]
    expect(await refused([...begin, description(2, 0), ...rest], null)).toBe('DECODE_FAILED')
    expect(await refused([...begin, description(3), ...rest], null)).toBe('DECODE_FAILED')
    expect(await refused([...begin, message('T', Buffer.from([0, 2, 0x63])), ...rest], null)).toBe(
      'DECODE_FAILED',
    )
    for (const tag of ['SELECT', 'COPY 2', 'FETCH 2', 'SELECT -1'])
      expect(await refused(select(tag, 'one', 'two'), null), tag).toBe('DECODE_FAILED')
  })

  it('has its messages in one order only', async () => {
    const [parse, bind] = begin
    const end = [commandComplete('SELECT 1'), readyForQuery]
    for (const messages of [
      [bind, parse, description(2), dataRow('one'), ...end],
      [parse, bind, dataRow('one'), description(2), ...end],
      [parse, bind, description(2), description(2), ...end],
      [parse, bind, ...end],
      [parse, bind, description(2), readyForQuery],
      [parse, bind, description(2), ...end.slice(0, 1), dataRow('one'), readyForQuery],
      [parse, bind, description(2), message('s'), readyForQuery],
      [parse, bind, message('H', '\x01\0\0')],
    ])
      expect(await refused(messages as Buffer[], null)).toBe('DECODE_FAILED')
  })

  it('is not whole without its end', async () => {
    const whole = select('SELECT 1', 'one')
    for (let kept = 0; kept < whole.length; kept++) {
      const code = await refused(whole.slice(0, kept), null)
      expect(code, `${kept} messages`).toBe(kept < 3 ? 'CONNECTION_LOST' : 'COPY_INCOMPLETE')
    }
  })
})

describe('the answer to a cursor', () => {
  it('is whole when a FETCH came with fewer rows, the one behind it with none, and the cursor is closed', async () => {
    const messages = [...declare, ...fetch('one', 'two'), ...fetch('three'), ...fetch(), ...close]
    expect(await answer(messages, 2)).toEqual({ rows: 3, payload: 'onetwothree' })
    expect(await answer([...declare, ...fetch(), ...fetch(), ...close], 2)).toEqual({ rows: 0, payload: '' })
    const exact = [...declare, ...fetch('one', 'two'), ...fetch(), ...fetch(), ...close]
    expect(await answer(exact, 2)).toEqual({ rows: 2, payload: 'onetwo' })
  })

  it('asks in binary for as many rows as a batch has, one FETCH ahead, and closes', async () => {
    await answer([...declare, ...fetch('one'), ...fetch(), ...close], 2)
    const asked = (): string => server?.received[0]?.toString('latin1') ?? ''
    await expect.poll(asked).toContain('CLOSE trunkline_read')
    const sent = asked()
    expect(sent).toContain('DECLARE trunkline_read NO SCROLL BINARY CURSOR WITHOUT HOLD FOR SELECT 1, 2')
    expect(sent.match(/FETCH FORWARD 2 FROM trunkline_read/g)).toHaveLength(2)
  })

  it('has no rows after its last ones, and never more than it was asked for', async () => {
    expect(await refused([...declare, ...fetch('one'), ...fetch('two'), ...close], 2)).toBe('DECODE_FAILED')
    expect(await refused([...declare, ...fetch('one', 'two', 'three')], 2)).toBe('DECODE_FAILED')
  })

  it('is the first error that the server said, after everything that was asked has its answer', async () => {
    const failed = (code: string): Buffer[] => [errorResponse('ERROR', code, 'no'), message('Z', 'E')]
    const outcome = await answer(
      [...declare, ...fetch('one', 'two'), ...begin, description(2), ...failed('22012'), ...failed('25P02')],
      2,
    )
    expect(outcome).toMatchObject({ code: 'QUERY_FAILED', context: { sqlstate: '22012' } })
    expect(await answer([...failed('42P03'), ...failed('25P02')], 2)).toMatchObject({
      context: { sqlstate: '42P03' },
    })
  })

  it('is not whole without its end', async () => {
    const whole = [...declare, ...fetch('one'), ...fetch(), ...close]
    for (let kept = 0; kept < whole.length; kept++) {
      const code = await refused(whole.slice(0, kept), 2)
      expect(code, `${kept} messages`).toMatch(/^(CONNECTION_LOST|COPY_INCOMPLETE)$/)
    }
  })
})
