import { request } from 'node:http'
import { expect, test } from 'vitest'
import { makeToken } from '../../src/service/authorize.js'
import { resolveServiceSettings } from '../../src/config/service-settings.js'
import { onNewestServer } from '../server/servers.js'
import { TOKEN, connectionTo, fullTable, openService, readerOf } from './open-service.js'

/** As fetch does not let one: with any Host. */
function statusFor(url: string, headers: Record<string, string>): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const asked = request(url, { headers }, (response) => {
      response.resume()
      resolve(response.statusCode)
    })
    asked.on('error', reject)
    asked.end()
  })
}

test('a token that is made has 256 bits, and one that is stated may not be short', () => {
  expect(makeToken()).toMatch(/^[A-Za-z0-9_-]{43}$/)
  expect(makeToken()).not.toBe(makeToken())
  expect(() => resolveServiceSettings({ token: 'short' })).toThrow(/fewer than 16 characters/)
})

test('the first that states a setting wins, and what is undefined states nothing', () => {
  const settings = resolveServiceSettings({ port: undefined, host: '::1' }, { port: 9000, host: '0.0.0.0' })
  expect(settings).toMatchObject({ port: 9000, host: '::1', authentication: 'token', open: [] })
})

test('without the token nothing is answered but whether the service lives and is ready', async () => {
  const service = await openService()
  const paths = ['/health', '/metrics', '/catalog', '/syncs', '/runs', '/runs/x', '/openapi.json', '/nothing']
  for (const path of paths) {
    const response = await fetch(`${service.url}${path}`)
    expect([path, response.status, response.headers.get('www-authenticate')]).toEqual([path, 401, 'Bearer'])
  }
  const post = await fetch(`${service.url}/extract`, { method: 'POST', body: JSON.stringify(fullTable('t')) })
  expect([post.status, await post.json()]).toMatchObject([401, { error: { code: 'UNAUTHORIZED' } }])
  expect((await fetch(`${service.url}/health/live`)).status).toBe(200)
  expect((await fetch(`${service.url}/health/ready`)).status).toBe(200)
})

test.each([
  '',
  'Bearer',
  'Bearer ',
  `Bearer ${TOKEN}x`,
  `Bearer ${TOKEN.slice(0, -1)}`,
  `Basic ${TOKEN}`,
  TOKEN,
])('the header %j lets nobody in', async (authorization) => {
  const service = await openService()
  expect((await service.ask('/syncs', { headers: { authorization } })).status).toBe(401)
})

test('health and metrics can be open while everything else asks for the token', async () => {
  const service = await openService({ settings: { open: ['health', 'metrics'] } })
  expect((await fetch(`${service.url}/metrics`)).status).toBe(200)
  expect((await fetch(`${service.url}/health`)).status).toBe(200)
  expect((await fetch(`${service.url}/syncs`)).status).toBe(401)
})

test('where no token is asked for, everybody is let in, and the log warns', async () => {
  const service = await openService({ settings: { authentication: 'none', token: null } })
  expect((await fetch(`${service.url}/syncs`)).status).toBe(200)
  expect(service.token).toBeNull()
  expect(service.log.map(({ level, msg }) => `${String(level)}: ${String(msg)}`)).toContainEqual(
    expect.stringMatching(/^warn: Requests need no token/),
  )
})

test('on loopback a request with the name of another host is refused, token or not', async () => {
  const service = await openService()
  const authorization = `Bearer ${TOKEN}`
  for (const [host, status] of [
    ['localhost', 200],
    ['127.0.0.1:8080', 200],
    ['[::1]:8080', 200],
    ['evil.example', 403],
    ['localhost.evil.example', 403],
    ['127.0.0.1.evil.example:80', 403],
  ] as const) {
    expect([host, await statusFor(`${service.url}/syncs`, { host, authorization })]).toEqual([host, status])
  }
})

test('what is not a small JSON document is not read', async () => {
  const service = await openService()
  const post = (body: string, type: string) =>
    service.ask('/extract', { method: 'POST', body, headers: { 'content-type': type } })
  expect((await post('{"mode":', 'application/json')).status).toBe(400)
  expect((await post('{}', 'text/plain')).status).toBe(415)
  expect((await post('{"__proto__": {"a": 1}}', 'application/json')).status).toBe(400)
  expect((await post(JSON.stringify({ mode: 'x'.repeat(100_000) }), 'application/json')).status).toBe(413)
  expect((await service.ask('/extract')).status).toBe(404)
})

onNewestServer('Secrets of a service', (server) => {
  test('neither answers nor logs show a password or the token', async () => {
    const database = await server.createDatabase()
    const role = await database.createRole("PASSWORD 'hunter2-secret'")
    const url = role.url.replace('@', ':hunter2-secret@').replace(database.name, `${database.name}_missing`)
    const service = await openService({
      connections: new Map([['shop', connectionTo(url)]]),
      settings: { logLevel: 'debug', allowInline: true, allowHosts: ['127.0.0.1'] },
    })
    const answers = [
      await (await service.extract(fullTable('t'))).text(),
      await (await service.extract({ ...fullTable('t'), connection: url })).text(),
      await (await service.extract({ ...fullTable('t'), connection: `${url}?sslkey=/x` })).text(),
      await (await service.ask('/health')).text(),
      await (await service.ask('/catalog')).text(),
      await (await service.ask('/metrics')).text(),
      await (await service.ask(`/syncs?token=${TOKEN}`)).text(),
    ]
    const said = [...answers, JSON.stringify(service.log)].join('\n')
    expect(said).toContain(`${database.name}_missing`)
    expect(said).not.toContain('hunter2-secret')
    expect(said).not.toContain(TOKEN)
  })

  test('a log line says which route was asked for, not what was written in its place', async () => {
    const database = await server.createDatabase()
    const service = await openService({
      connections: new Map([['shop', await readerOf(database)]]),
      settings: { logLevel: 'debug' },
    })
    await service.ask('/runs/some-id-of-mine?password=abc')
    const ended = service.log.filter(({ msg }) => msg === 'a request has ended')
    expect(ended).toMatchObject([{ level: 'debug', method: 'GET', route: '/runs/:id', status: 404 }])
  })
})
