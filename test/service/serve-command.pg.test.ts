/** `trunkline serve` as a process of its own: what it prints, what it takes from files and the environment, and how it ends. */
import type { ChildProcess } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { makeFolder, parseLines, runCli, type CliResult } from '../cli/run-cli.js'
import { onNewestServer } from '../server/servers.js'
import { fullTable, linesOf } from './open-service.js'

interface Served {
  readonly url: string
  readonly token: string
  readonly child: ChildProcess
  readonly ended: Promise<CliResult>
}

/** Resolves when it listens. */
function serve(
  args: readonly string[],
  options: { cwd: string; env?: Record<string, string> },
): Promise<Served> {
  return new Promise((resolve, reject) => {
    const ended: Promise<CliResult> = runCli(['serve', '--json', ...args], {
      ...options,
      onStdout: (text, child) => {
        if (!text.includes('\n')) return
        const [{ url, token = '' } = {}] = parseLines(text) as { url: string; token?: string }[]
        resolve({ url: url ?? '', token, child, ended })
      },
    })
    ended.then(
      ({ stderr }) => {
        reject(new Error(stderr))
      },
      (error: unknown) => {
        reject(error)
      },
    )
  })
}

const extract = (url: string, token: string, body: object): Promise<Response> =>
  fetch(`${url}/extract`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })

onNewestServer('trunkline serve', (server) => {
  test('runs from the variables of the connector service, on the port of PORT, logs JSON lines and ends in order', async () => {
    const database = await server.createDatabase()
    await database.sql('CREATE TABLE users AS SELECT i AS id FROM generate_series(1, 12000) AS i')
    const cwd = makeFolder()
    const { url, token, child, ended } = await serve([], {
      cwd,
      env: {
        PORT: '0',
        POSTGRES_HOST: database.host,
        POSTGRES_PORT: String(database.port),
        POSTGRES_DATABASE: database.name,
        POSTGRES_USERNAME: database.user,
        POSTGRES_PASSWORD: 'not-asked-for',
      },
    })
    expect(token).toMatch(/^[\w-]{43}$/)
    expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/)
    const rows = linesOf(await (await extract(url, token, fullTable('users'))).text())
    expect(rows).toHaveLength(12_000)
    child.kill('SIGTERM')
    const { code, stderr, stdout } = await ended
    expect(code).toBe(0)
    const log = parseLines(
      stderr
        .split('\n')
        .filter((line) => line.startsWith('{'))
        .join('\n'),
    )
    expect(log.map(({ msg }) => msg)).toEqual(
      expect.arrayContaining(['the service listens', 'the service stops', 'the service has stopped']),
    )
    expect(stdout + stderr).not.toContain('not-asked-for')
    expect(stderr).not.toContain(token)
  })

  test('log_level: debug of a connector configuration logs requests, and its figures are taken', async () => {
    const database = await server.createDatabase()
    await database.sql('CREATE SCHEMA app; CREATE TABLE app.users AS SELECT 1 AS id')
    const cwd = makeFolder()
    writeFileSync(
      join(cwd, 'connector.yaml'),
      `host: ${database.host}\nport: ${database.port}\ndatabase: ${database.name}\nusername: ${database.user}\npassword: x\n` +
        `schema: app\nstatement_timeout: 300s\nbatch_size: 10000\nmax_connections: 10\nlog_level: debug\n`,
    )
    const { url, child, ended } = await serve(['-c', 'connector.yaml', '--port', '0'], {
      cwd,
      env: { TRUNKLINE_TOKEN: 'a-token-of-the-environment' },
    })
    const token = 'a-token-of-the-environment'
    expect(await (await extract(url, token, fullTable('users'))).text()).toBe('{"id":1}\n')
    const health = await fetch(`${url}/health`, { headers: { authorization: `Bearer ${token}` } })
    expect(await health.json()).toMatchObject({ status: 'healthy', schema: 'app', table_count: 1 })
    child.kill('SIGINT')
    const { code, stderr } = await ended
    expect(code).toBe(0)
    const log = parseLines(
      stderr
        .split('\n')
        .filter((line) => line.startsWith('{'))
        .join('\n'),
    )
    expect(log).toContainEqual(
      expect.objectContaining({ level: 'debug', route: '/extract', status: 200, msg: 'a request has ended' }),
    )
  })

  test.each([
    ['connection refused', (url: URL) => void (url.port = '1'), 503],
    ['authentication failed', (url: URL) => void (url.username = 'nobody_of_this_name'), 502],
    ['SSL connection failed', (url: URL) => void url.searchParams.set('sslmode', 'require'), 502],
  ])('says %j where that is what is wrong', async (words, change, status) => {
    const database = await server.createDatabase()
    const url = new URL(database.url)
    change(url)
    const cwd = makeFolder()
    const sslmode = url.searchParams.get('sslmode') ?? 'disable'
    writeFileSync(
      join(cwd, 'connector.yaml'),
      `host: ${url.hostname}\nport: ${url.port}\ndatabase: ${database.name}\nusername: ${url.username}\npassword: x\nsslmode: ${sslmode}\n`,
    )
    const served = await serve(['-c', 'connector.yaml', '--port', '0'], { cwd })
    const response = await extract(served.url, served.token, fullTable('users'))
    expect([response.status, ((await response.json()) as { error: { text: string } }).error.text]).toEqual([
      status,
      expect.stringContaining(words),
    ])
    served.child.kill('SIGTERM')
    expect((await served.ended).code).toBe(0)
  })

  test('says "query timeout" where a statement takes longer than statement_timeout', async () => {
    const database = await server.createDatabase()
    await database.sql('CREATE VIEW slow AS SELECT 1 AS id, pg_sleep(30)::text AS slept')
    const cwd = makeFolder()
    writeFileSync(
      join(cwd, 'connector.yaml'),
      `host: ${database.host}\nport: ${database.port}\ndatabase: ${database.name}\nusername: ${database.user}\npassword: x\nstatement_timeout: 1s\n`,
    )
    const served = await serve(['-c', 'connector.yaml', '--port', '0'], { cwd })
    const response = await extract(served.url, served.token, fullTable('slow'))
    const { error } = (await response.json()) as { error: { code: string; text: string } }
    expect([response.status, error.code]).toEqual([503, 'QUERY_CANCELED'])
    expect(error.text).toContain('query timeout')
    served.child.kill('SIGTERM')
    expect((await served.ended).code).toBe(0)
  })

  test('trunkline.yaml says what is served, and flags go before it', async () => {
    const database = await server.createDatabase()
    const role = await database.createRole()
    await database.sql(`CREATE TABLE t AS SELECT 5 AS id; GRANT SELECT ON t TO ${role.name}`)
    const cwd = makeFolder()
    writeFileSync(
      join(cwd, 'trunkline.yaml'),
      `version: 1\nconnections:\n  shop: { url: "${role.url}" }\nsyncs:\n  copy: { source: shop, destination: "duckdb:copy.duckdb" }\n` +
        `service: { port: 1, token: "\${OUR_TOKEN}", open: [health], limits: { max_snapshot_age: 10m } }\n`,
    )
    const token = 'a-token-of-the-file-0123'
    const { url, child, ended } = await serve(['--port', '0'], { cwd, env: { OUR_TOKEN: token } })
    expect(await (await extract(url, token, fullTable('t'))).text()).toBe('{"id":5}\n')
    expect((await fetch(`${url}/health`)).status).toBe(200)
    const syncs = await fetch(`${url}/syncs`, { headers: { authorization: `Bearer ${token}` } })
    expect(await syncs.json()).toEqual({ syncs: [{ name: 'copy', source: 'shop', running: false }] })
    child.kill('SIGTERM')
    expect((await ended).code).toBe(0)
  })
})

test('with nothing to serve, or where it cannot listen, it says what to do', async () => {
  const cwd = makeFolder()
  expect(await runCli(['serve'], { cwd })).toMatchObject({
    code: 2,
    stderr: expect.stringMatching(/nothing to serve/) as string,
  })
  const port = await runCli(['serve', 'postgresql://x@localhost/x', '--port', '99999'], { cwd })
  expect(port).toMatchObject({ code: 2, stderr: expect.stringMatching(/from 0 to 65535/) as string })
  const host = await runCli(['serve', 'postgresql://x@localhost/x', '--host', '192.0.2.1', '--port', '0'], {
    cwd,
  })
  expect(host).toMatchObject({ code: 2, stderr: expect.stringMatching(/no such address/) as string })
})

test('where its packages are not installed, it names the command that installs them', async () => {
  const cwd = makeFolder()
  const hook = join(cwd, 'hook.mjs')
  writeFileSync(
    hook,
    `import { register } from 'node:module'
     register('data:text/javascript,' + encodeURIComponent(\`
       export async function resolve(specifier, context, next) {
         if (specifier !== 'fastify') return next(specifier, context)
         throw Object.assign(new Error("Cannot find package 'fastify'"), { code: 'ERR_MODULE_NOT_FOUND' })
       }\`))`,
  )
  const result = await runCli(['serve', 'postgresql://x@localhost/x', '--port', '0'], {
    cwd,
    env: { NODE_OPTIONS: `--import file://${hook}` },
  })
  expect(result.code).toBe(2)
  expect(result.stderr).toContain(
    'npm install fastify @fastify/swagger fastify-type-provider-zod prom-client pino',
  )
})
