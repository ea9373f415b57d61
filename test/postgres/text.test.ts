import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ERROR_CODES } from '../../src/model/error.js'
import { ConnectionBudget, divideBudget } from '../../src/postgres/connection-budget.js'
import { quoteIdent, quoteLiteral, quoteQualified } from '../../src/postgres/quote.js'
import { printable, redact } from '../../src/postgres/redact.js'
import { sessionPreamble } from '../../src/postgres/session.js'
import {
  SQLSTATE_CLASSES,
  SQLSTATE_CODES,
  classifySqlState,
  toTrunklineError,
} from '../../src/postgres/sqlstate.js'

describe('quoting', () => {
  it('doubles quotes and refuses what can be no name', () => {
    expect(quoteIdent('My "table"')).toBe('"My ""table"""')
    expect(quoteQualified('a.b', 'c')).toBe('"a.b"."c"')
    expect(() => quoteIdent('')).toThrow()
    expect(() => quoteIdent('a\0')).toThrow()
    expect(() => quoteLiteral('a\0')).toThrow()
  })
  it('gives a literal that standard_conforming_strings does not change', () => {
    expect(quoteLiteral("it's")).toBe("'it''s'")
    expect(quoteLiteral("\\'")).toBe(" E'\\\\'''")
  })
})

describe('redaction', () => {
  it.each([
    ['postgresql://u:SECRET@h/d', 'postgresql://u:***@h/d'],
    ['postgres://u:SECRET%40x@h,i:5/d?password=SECRET&x=1', 'postgres://u:***@h,i:5/d?password=***&x=1'],
    ["host=h password='SEC\\'RET' user=u", 'host=h password=*** user=u'],
    ['host=h password=SECRET user=u', 'host=h password=*** user=u'],
    ['PGPASSWORD=SECRET psql', 'PGPASSWORD=*** psql'],
    ['{"password": "SECRET", "user": "u"}', '{"password": ***, "user": "u"}'],
    ['sslpassword=SECRET', 'sslpassword=***'],
    ['access_token=SECRET', 'access_token=***'],
    ['user=u host=h', 'user=u host=h'],
    ['password authentication failed for user "u"', 'password authentication failed for user "u"'],
    ['see https://example.com/a:b', 'see https://example.com/a:b'],
  ])('%s', (text, expected) => {
    expect(redact(text)).toBe(expected)
  })
  it('lets no terminal escape or bidirectional override act', () => {
    expect(printable('a\u001b[2Jb\u202ec\u0085d\te\nf')).toBe('a\\u001b[2Jb\\u202ec\\u0085d\te\nf')
    expect(printable('x'.repeat(5000))).toHaveLength(2001)
  })
})

describe('SQLSTATE', () => {
  it('maps to codes and retries that exist', () => {
    for (const [state, entry] of [...Object.entries(SQLSTATE_CODES), ...Object.entries(SQLSTATE_CLASSES)]) {
      expect(state).toMatch(/^[0-9A-Z]{2}([0-9A-Z]{3})?$/)
      expect(ERROR_CODES).toHaveProperty(entry.code)
    }
  })
  it.each([
    ['57014', 'QUERY_CANCELED', 'backoff'],
    ['57P01', 'CONNECTION_LOST', 'safe'],
    ['57P03', 'SERVER_RESTARTING', 'backoff'],
    ['40001', 'RECOVERY_CONFLICT', 'backoff'],
    ['40P01', 'DEADLOCK', 'safe'],
    ['53300', 'SERVER_BUSY', 'backoff'],
    ['53999', 'SERVER_BUSY', 'backoff'],
    ['55P03', 'LOCK_TIMEOUT', 'backoff'],
    ['42501', 'PERMISSION_DENIED', 'never'],
    ['42P01', 'STREAM_MISSING', 'never'],
    ['28P01', 'AUTH_FAILED', 'never'],
    ['3D000', 'DATABASE_MISSING', 'never'],
    ['22012', 'QUERY_FAILED', 'never'],
    ['25P03', 'SNAPSHOT_LOST', 'safe'],
    ['ZZZZZ', 'QUERY_FAILED', 'never'],
  ])('%s is %s, %s', (state, code, retry) => {
    expect(classifySqlState(state)).toMatchObject({ code, retry })
  })
  it('repeats no value of a row', () => {
    const server = {
      severity: 'ERROR',
      code: '22P02',
      message: 'invalid input syntax for type integer: "secret value"',
      detail: 'Key (email)=(a@b) exists.',
    }
    const error = toTrunklineError(server, { doing: 'reading public.t', stream: 'public.t' })
    expect(error.message).toBe('reading public.t: invalid input syntax for type integer (22P02)')
    expect(error.context).toEqual({ stream: 'public.t', sqlstate: '22P02' })
    expect(JSON.stringify(error)).not.toMatch(/secret|a@b/)
    const first = {
      severity: 'ERROR',
      code: '22003',
      message: '"1e400" is out of range for type double precision',
    }
    expect(toTrunklineError(first, { doing: 'reading public.t' })).toMatchObject({
      message: 'reading public.t: a value does not fit its type (22003)',
      hint: expect.stringContaining('type_profile') as string,
    })
  })
  it('does not take a system error for one', () => {
    const broken = Object.assign(new Error('write EPIPE'), { code: 'EPIPE' })
    expect(toTrunklineError(broken)).toMatchObject({ code: 'CONNECTION_LOST', retry: 'safe' })
  })
})

describe('the session', () => {
  it('is pinned in one text that begins the transaction', () => {
    const text = sessionPreamble(160_004, { lockTimeoutMs: 10_000 })
    expect(text.split(';\n')).toEqual([
      'BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY',
      'SET LOCAL statement_timeout = 0',
      'SET LOCAL idle_in_transaction_session_timeout = 0',
      'SET LOCAL lock_timeout = 10000',
      'SET LOCAL row_security = off',
      'SET LOCAL search_path = pg_catalog',
      "SET LOCAL TimeZone = 'UTC'",
      "SET LOCAL DateStyle = 'ISO, YMD'",
      "SET LOCAL IntervalStyle = 'iso_8601'",
      'SET LOCAL extra_float_digits = 3',
      "SET LOCAL bytea_output = 'hex'",
      "SET LOCAL lc_monetary = 'C'",
      'SET LOCAL standard_conforming_strings = on',
      'SET LOCAL synchronize_seqscans = off',
      'SET LOCAL max_parallel_workers_per_gather = 0',
      'SET LOCAL jit = off',
      'SET LOCAL enable_tidscan = on',
    ])
    expect(sessionPreamble(170_000, { lockTimeoutMs: 1 })).toContain('SET LOCAL transaction_timeout = 0')
    expect(sessionPreamble(170_000, { lockTimeoutMs: 1, statementTimeoutMs: 5, rowSecurity: 'on' })).toMatch(
      /statement_timeout = 5;[^]*row_security = on/,
    )
    expect(() => sessionPreamble(170_000, { lockTimeoutMs: Number.NaN })).toThrow()
  })
})

describe('the connection budget', () => {
  it('never plans more than allowed', () => {
    expect(divideBudget(1)).toEqual({ readers: 0, side: false })
    expect(divideBudget(2)).toEqual({ readers: 0, side: true })
    expect(divideBudget(4)).toEqual({ readers: 2, side: true })
    for (let max = 1; max < 20; max += 1) {
      const { readers, side } = divideBudget(max)
      expect(1 + readers + (side ? 1 : 0)).toBe(max)
    }
    for (const bad of [0, -1, 1.5, Number.NaN]) expect(() => divideBudget(bad)).toThrow()
  })

  it('lets nobody in beyond it, whatever the order of leaving', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 4 }),
        fc.array(fc.nat(9), { maxLength: 30 }),
        async (max, order) => {
          const budget = new ConnectionBudget(max)
          let [inside, most, done] = [0, 0, 0]
          const visitors = order.map(async (turns) => {
            const lease = await budget.acquire()
            inside += 1
            most = Math.max(most, inside)
            for (let turn = 0; turn < turns; turn += 1) await Promise.resolve()
            inside -= 1
            lease.release()
            lease.release()
            done += 1
          })
          await Promise.all(visitors)
          expect(done).toBe(order.length)
          expect(most).toBeLessThanOrEqual(max)
          expect(budget.open).toBe(0)
        },
      ),
    )
  })

  it('forgets whoever stops waiting', async () => {
    const budget = new ConnectionBudget(1)
    const first = await budget.acquire()
    const controller = new AbortController()
    const second = budget.acquire(controller.signal)
    const third = budget.acquire()
    controller.abort(new Error('enough'))
    await expect(second).rejects.toThrow('enough')
    first.release()
    const lease = await third
    expect(budget.open).toBe(1)
    lease.release()
    expect(budget.open).toBe(0)
  })
})
