import { chmodSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { afterEach, describe, expect, it } from 'vitest'
import { TrunklineError, toErrorData } from '../../src/model/error.js'
import type { Logger } from '../../src/model/log.js'
import { connect } from '../../src/postgres/connect.js'
import { parseServerVersion } from '../../src/postgres/login.js'
import { runPasswordCommand } from '../../src/postgres/password.js'
import { resolveConnection } from '../../src/postgres/resolve-connection.js'
import { errorResponse, int32, message, startFakeServer, welcome } from './fake-server.js'
import type { FakeAnswers, FakeServer } from './fake-server.js'
import { open } from './open.js'
import { makeTemporaryFolder } from '../temporary-folder.js'

const CANARY = 'canary-S3CRET'

const servers: FakeServer[] = []
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.close()))
})

async function fake(answers: FakeAnswers): Promise<FakeServer> {
  const server = await startFakeServer(answers)
  servers.push(server)
  return server
}

/** An address of this machine that is not loopback to us, though the system takes it for itself. */
const NOT_LOOPBACK = '0.0.0.0'
const asksForPassword = message('R', int32(3))
const asksForMd5 = message('R', Buffer.concat([int32(5), Buffer.from('salt')]))
const asksForScram = message('R', Buffer.concat([int32(10), Buffer.from('SCRAM-SHA-256\0\0')]))

describe('a request for the password', () => {
  it.each([
    ['in clear text', asksForPassword],
    ['as MD5', asksForMd5],
  ])('%s is refused without TLS, and nothing is sent', async (_, login) => {
    const server = await fake({ login })
    const attempt = open(server.url, { hostaddr: NOT_LOOPBACK, password: CANARY })
    await expect(attempt).rejects.toMatchObject({
      code: 'AUTH_INSECURE',
      hint: expect.stringContaining('sslmode=verify-full') as string,
    })
    expect(server.received[0]).toHaveLength(0)
  })

  it('in clear text is answered on loopback', async () => {
    const server = await fake({ login: asksForPassword })
    const controller = new AbortController()
    const attempt = open(server.url, { password: CANARY }, { signal: controller.signal })
    const ended = expect(attempt).rejects.toBe('enough')
    await expect.poll(() => server.received[0]?.toString('latin1')).toBe(`p\0\0\0\x12${CANARY}\0`)
    controller.abort('enough')
    await ended
  })

  it('is refused where require_auth or channel_binding excludes it', async () => {
    const scramOnly = { require_auth: 'scram-sha-256', password: CANARY }
    for (const login of [asksForPassword, asksForMd5, welcome]) {
      const server = await fake({ login })
      await expect(open(server.url, scramOnly)).rejects.toMatchObject({ code: 'AUTH_INSECURE' })
      const bound = { channel_binding: 'require', password: CANARY }
      await expect(open(server.url, bound)).rejects.toMatchObject({ code: 'AUTH_INSECURE' })
    }
    const server = await fake({ login: asksForScram })
    const bound = { channel_binding: 'require', password: CANARY }
    await expect(open(server.url, bound)).rejects.toMatchObject({ code: 'AUTH_INSECURE' })
    await expect(open(server.url, { require_auth: '!scram-sha-256' })).rejects.toMatchObject({
      code: 'AUTH_INSECURE',
    })
  })

  it('without a password known says where to give one', async () => {
    const server = await fake({ login: asksForScram })
    await expect(open(server.url)).rejects.toMatchObject({
      code: 'AUTH_FAILED',
      hint: expect.stringContaining('PGPASSWORD') as string,
    })
  })

  it('by a method we do not speak names it', async () => {
    const server = await fake({ login: message('R', int32(7)) })
    await expect(open(server.url)).rejects.toMatchObject({
      code: 'AUTH_FAILED',
      message: expect.stringContaining('GSSAPI') as string,
    })
  })
})

describe('where the password comes from', () => {
  const folder = makeTemporaryFolder('passfile')
  const passfile = join(folder, 'pass')
  writeFileSync(passfile, `*:*:*:*:${CANARY}\n`)

  async function sent(input: {
    options?: Record<string, string>
    passwordCommand?: string
  }): Promise<unknown> {
    const server = await fake({ login: asksForPassword, closeAfterLogin: false })
    const settings = await resolveConnection({
      url: server.url,
      env: {},
      homeDir: '',
      userName: 'x',
      ...input,
    })
    const controller = new AbortController()
    const outcome = connect(settings, { signal: controller.signal }).catch((error: unknown) => error)
    const seen = (): string => server.received[0]?.subarray(5).toString().replace('\0', '') ?? ''
    const done = Promise.race([outcome, expect.poll(seen, { timeout: 10_000 }).not.toBe('').then(seen)])
    const result: unknown = await done
    controller.abort()
    await outcome
    return result
  }

  it('is the password file, if only its owner can read it', async () => {
    chmodSync(passfile, 0o600)
    expect(await sent({ options: { passfile } })).toBe(CANARY)
    expect(await sent({ options: { passfile, password: 'stated' } })).toBe('stated')
    chmodSync(passfile, 0o640)
    expect(await sent({ options: { passfile } })).toMatchObject({ code: 'SECRET_FILE_PERMISSIONS' })
    expect(await sent({ options: { passfile: '/nowhere' } })).toMatchObject({ code: 'AUTH_FAILED' })
  })

  it('is a command, asked anew for each connection', async () => {
    const counter = join(folder, 'counter')
    const passwordCommand = `printf x >>${counter}; printf '%s\\nsecond line\\n' "${CANARY}$(wc -c <${counter})"`
    expect(await sent({ passwordCommand })).toBe(`${CANARY}1`)
    expect(await sent({ passwordCommand })).toBe(`${CANARY}2`)
    expect(await sent({ passwordCommand, options: { password: 'stated' } })).toBe(`${CANARY}3`)
  })

  it('is a command whose failure tells the exit code and nothing that it printed', async () => {
    const failing = runPasswordCommand(`echo ${CANARY}; echo ${CANARY} >&2; exit 7`)
    const error: unknown = await failing.catch((caught: unknown) => caught)
    expect(error).toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining('exit code 7') as string,
    })
    expect(inspect(error)).not.toContain(CANARY)
    await expect(runPasswordCommand('true')).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
    await expect(runPasswordCommand('kill -9 $$')).rejects.toMatchObject({
      message: expect.stringContaining('SIGKILL') as string,
    })
    await expect(runPasswordCommand('cat /dev/zero')).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
    expect(await runPasswordCommand(`printf '${CANARY} \\r\\n'`)).toBe(`${CANARY} `)
  })

  it('stops a command when the connection is aborted', async () => {
    const controller = new AbortController()
    const running = runPasswordCommand('sleep 600', controller.signal)
    controller.abort(new Error('enough'))
    await expect(running).rejects.toThrow('enough')
  })
})

describe('a connection that cannot be made', () => {
  it('says what listens there, or that nothing does', async () => {
    const closed = createServer()
    await new Promise<void>((resolve) => closed.listen(0, '127.0.0.1', resolve))
    const { port } = closed.address() as AddressInfo
    await new Promise((resolve) => closed.close(resolve))
    await expect(open(`postgresql://u@127.0.0.1:${port}/d`)).rejects.toMatchObject({
      code: 'CONNECT_FAILED',
      retry: 'backoff',
      message: expect.stringContaining(`127.0.0.1:${port}`) as string,
      hint: expect.stringContaining('port') as string,
    })
    await expect(open('postgresql://u@no-such-host.invalid/d')).rejects.toMatchObject({
      code: 'CONNECT_FAILED',
      message: expect.stringContaining('does not resolve') as string,
    })
    await expect(open('postgresql:///d?host=/nowhere')).rejects.toMatchObject({
      code: 'CONNECT_FAILED',
      message: expect.stringContaining('/nowhere/.s.PGSQL.5432') as string,
    })
  })

  it('gives up on a server that never answers', async () => {
    const silent = createServer(() => undefined)
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
    const { port } = silent.address() as AddressInfo
    for (const sslmode of ['disable', 'require']) {
      const settings = await resolveConnection({
        url: `postgresql://u@127.0.0.1:${port}/d?sslmode=${sslmode}`,
        env: {},
        homeDir: '',
        userName: 'x',
      })
      await expect(connect({ ...settings, connectTimeoutMs: 50 })).rejects.toMatchObject({
        code: 'CONNECT_TIMEOUT',
      })
    }
    silent.close()
  })

  it.each<[string, string, string, string]>([
    ['a wrong password', '28P01', 'AUTH_FAILED', 'never'],
    ['no line in pg_hba.conf', '28000', 'AUTH_FAILED', 'never'],
    ['no such database', '3D000', 'DATABASE_MISSING', 'never'],
    ['too many connections', '53300', 'SERVER_BUSY', 'backoff'],
    ['a starting server', '57P03', 'SERVER_RESTARTING', 'backoff'],
    ['no CONNECT privilege', '42501', 'PERMISSION_DENIED', 'never'],
    ['a pooler without a server', '08P01', 'CONNECT_FAILED', 'backoff'],
  ])('because of %s is told apart', async (_, sqlstate, code, retry) => {
    const server = await fake({ login: errorResponse('FATAL', sqlstate, 'no'), closeAfterLogin: true })
    const error: unknown = await open(server.url).catch((caught: unknown) => caught)
    expect(error).toMatchObject({ code, retry, context: { sqlstate } })
    expect((error as Error).message).toContain(`127.0.0.1:${server.port}`)
  })

  it.each<[string, FakeAnswers]>([
    ['closes at once', { login: Buffer.alloc(0), closeAfterLogin: true }],
    ['speaks HTTP', { login: Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'), closeAfterLogin: true }],
    ['sends data before it knows us', { login: message('D', '\0\0') }],
    ['claims to be ready before it knows us', { login: message('Z', 'I') }],
    ['sends a huge message', { login: Buffer.from('R\x7f\xff\xff\xff', 'latin1') }],
  ])('because the other end %s', async (_, answers) => {
    const server = await fake(answers)
    await expect(open(server.url)).rejects.toMatchObject({
      code: expect.stringMatching(/^(CONNECT_FAILED|DECODE_FAILED)$/) as string,
    })
  })

  it.each<[string, Buffer]>([
    ['more than one byte', Buffer.concat([Buffer.from('S'), welcome])],
    ['something else', Buffer.from('X')],
    ['an error', errorResponse('FATAL', '0A000', 'what?')],
  ])('because it answers the request for TLS with %s', async (_, sslRequest) => {
    const server = await fake({ sslRequest })
    for (const sslmode of ['prefer', 'require']) {
      await expect(open(server.url, { sslmode })).rejects.toMatchObject({
        code: 'CONNECT_FAILED',
        retry: 'never',
      })
    }
  })

  it('names every host and why', async () => {
    const starting = await fake({
      login: errorResponse('FATAL', '57P03', 'starting up'),
      closeAfterLogin: true,
    })
    const error: unknown = await open(
      `postgresql://u@127.0.0.1:${starting.port},no-such-host.invalid:1/d?sslmode=disable`,
    ).catch((caught: unknown) => caught)
    expect(error).toMatchObject({ retry: 'backoff' })
    expect((error as Error).message).toMatch(
      /127\.0\.0\.1.*starting up[^]*no-such-host\.invalid.*does not resolve/,
    )
  })

  it('goes on to the next host, but not past one that refuses', async () => {
    const good = await fake({})
    const starting = await fake({
      login: errorResponse('FATAL', '57P03', 'starting up'),
      closeAfterLogin: true,
    })
    const refusing = await fake({ login: errorResponse('FATAL', '28P01', 'no'), closeAfterLogin: true })
    const url = (first: FakeServer): string =>
      `postgresql://u@127.0.0.1:${first.port},127.0.0.1:${good.port}/d?sslmode=disable`
    await using connection = await open(url(starting))
    expect(connection.settings.hosts).toEqual([{ host: '127.0.0.1', hostaddr: '127.0.0.1', port: good.port }])
    await expect(open(url(refusing))).rejects.toMatchObject({ code: 'AUTH_FAILED' })
  })
})

describe('a session', () => {
  it('is asked for with user, database and name only: poolers refuse more', async () => {
    process.env['PGOPTIONS'] = '-c geqo=off'
    let startup: Buffer = Buffer.alloc(0)
    const server = createServer((socket) => {
      socket.once('data', (bytes) => {
        startup = bytes
        socket.write(welcome)
      })
      socket.on('error', () => undefined)
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    const connection = await open(`postgresql://reader@127.0.0.1:${port}/shop?sslmode=disable`)
    delete process.env['PGOPTIONS']
    connection.destroy()
    server.close()
    const words = startup.subarray(8).toString().split('\0')
    expect(words.slice(0, -2)).toEqual([
      'user',
      'reader',
      'database',
      'shop',
      'application_name',
      'trunkline',
      'client_encoding',
      'UTF8',
    ])
  })

  it('tells when it ends on its own', async () => {
    const server = await fake({ request: errorResponse('FATAL', '57P01', 'shutting down'), thenClose: 'fin' })
    const connection = await open(server.url)
    await expect(connection.query('SELECT 1')).rejects.toMatchObject({
      code: 'CONNECTION_LOST',
      retry: 'safe',
    })
    await expect.poll(() => connection.lost.aborted).toBe(true)
    expect(connection.lost.reason).toMatchObject({ context: { sqlstate: '57P01' } })
    await connection.close()
  })

  it('is cut when a reset comes in the middle of a query', async () => {
    const server = await fake({ request: message('1'), thenClose: 'rst' })
    const connection = await open(server.url)
    await expect(connection.query('SELECT 1')).rejects.toMatchObject({
      code: 'CONNECTION_LOST',
      retry: 'safe',
    })
  })

  it('knows the version by what the server reports', () => {
    expect(parseServerVersion('18.1 (Debian 18.1-1)')).toBe(180_001)
    expect(parseServerVersion('9.4.26')).toBe(90_426)
    expect(parseServerVersion('19devel')).toBe(190_000)
    expect(parseServerVersion('17beta2')).toBe(170_000)
    expect(parseServerVersion('')).toBeNull()
  })
})

describe('an unverified server', () => {
  it('is told of once per host and logger, unless it is this machine', async () => {
    const server = await fake({})
    const lines: string[] = []
    const keep =
      (level: string) =>
      (_: unknown, text: string): void => {
        lines.push(`${level} ${text}`)
      }
    const newLogger = (): Logger => ({
      debug: () => undefined,
      info: keep('info'),
      warn: keep('warn'),
      error: keep('error'),
    })
    const url = `postgresql://reader@127.0.0.1:${server.port}/shop`
    const logger = newLogger()
    await (await open(url, {}, { logger })).close()
    expect(lines).toEqual([])
    for (let i = 0; i < 2; i += 1) await (await open(url, { hostaddr: NOT_LOOPBACK }, { logger })).close()
    expect(lines).toHaveLength(1)
    expect(lines[0]).toMatch(/^warn .*verify-full/)
    await (await open(url, { hostaddr: NOT_LOOPBACK, sslmode: 'disable' }, { logger: newLogger() })).close()
    expect(lines[1]).toMatch(/^info /)
  })
})

describe('secrets', () => {
  it('leave by no error, however a connection fails', { timeout: 60_000 }, async () => {
    const folder = makeTemporaryFolder('canary')
    const key = join(folder, 'key.pem')
    writeFileSync(key, `-----BEGIN PRIVATE KEY-----\n${CANARY}\n-----END PRIVATE KEY-----\n`, { mode: 0o600 })
    const echo = (sqlstate: string): Buffer =>
      errorResponse(
        'FATAL',
        sqlstate,
        `what you said: postgresql://u:${CANARY}@h/d password=${CANARY}\u001b[2J`,
      )
    const failing: FakeAnswers[] = [
      { login: echo('28P01'), closeAfterLogin: true },
      { login: echo('57P03'), closeAfterLogin: true },
      { login: Buffer.alloc(0), closeAfterLogin: true },
      { login: asksForScram, closeAfterLogin: true },
      { login: asksForPassword, request: echo('28P01'), thenClose: 'fin' },
      { login: asksForMd5, request: echo('28000'), thenClose: 'fin' },
      { login: asksForPassword, request: echo('28000'), thenClose: 'rst' },
      { login: message('R', int32(99)) },
      { sslRequest: Buffer.from('X'), login: echo('28P01'), closeAfterLogin: true },
    ]
    const attempts: (() => Promise<unknown>)[] = failing.flatMap((answers) =>
      ['disable', 'prefer', 'require'].map((sslmode) => async () => {
        const server = await fake(answers)
        return open(
          `postgresql://u:${CANARY}@127.0.0.1:${server.port}/d?sslmode=${sslmode}&sslpassword=${CANARY}`,
        )
      }),
    )
    attempts.push(
      () => open(`postgresql://u:${CANARY}@no-such-host.invalid/d`),
      () => open(`postgresql://u:${CANARY}@127.0.0.1:1/d`),
      () => open(`postgresql://u:${CANARY}@[::1/d`),
      () => open(`postgresql://u:${CANARY}%@h/d`),
      () => open(`postgresql://u@h:${CANARY}/d`),
      () => open(`postgresql://u:${CANARY}@h,i/d?port=1,2,3`),
      () => open(`host=h password='${CANARY}`),
      () => open(`host=h ${CANARY}`),
      () => open(`host=h pasword=${CANARY}`),
      () => open(`postgresql://h/d?${CANARY}=${CANARY}`),
      () => open(`jdbc:postgresql://h/d?user=u&password=${CANARY}`),
      () => open('postgresql://127.0.0.1:1/d', { sslmode: CANARY }),
      () => open('postgresql://127.0.0.1:1/d', { scram_client_key: CANARY }),
      () => open('postgresql://127.0.0.1:1/d', { oauth_client_secret: CANARY }),
      () => open('postgresql://127.0.0.1:1/d', { options: `-c x=${CANARY}` }),
      () =>
        open('postgresql://127.0.0.1:1/d', {
          sslmode: 'require',
          sslcert: key,
          sslkey: key,
          sslpassword: CANARY,
        }),
      () => runPasswordCommand(`echo ${CANARY} >&2; exit 1`),
      () => runPasswordCommand(`/nowhere/${CANARY}`),
    )
    let seen = 0
    for (const attempt of attempts) {
      const error: unknown = await attempt().then(
        () => null,
        (caught: unknown) => caught,
      )
      expect(error).toBeInstanceOf(TrunklineError)
      const failure = error as TrunklineError
      const printed = [
        inspect(failure, { depth: 20, showHidden: true }),
        JSON.stringify(toErrorData(failure)),
        failure.hint ?? '',
        failure.stack ?? '',
        String(failure.cause),
      ].join('\n')
      // eslint-disable-next-line no-control-regex
      expect(printed).not.toMatch(/canary-S3CRET|\u001b\[2J/)
      expect(failure.code).not.toBe('INTERNAL')
      seen += 1
    }
    expect(seen).toBe(attempts.length)
  })
})
