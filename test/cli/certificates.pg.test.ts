import { afterAll, beforeAll, expect, test } from 'vitest'
import { certificateFile, serverFiles } from '../postgres/certificates/certificates.js'
import { startServer, type SpecialServer } from '../server/servers.js'
import { makeFolder, runCli } from './run-cli.js'

let server: SpecialServer

beforeAll(async () => {
  server = await startServer({
    major: 18,
    conf: { ssl: 'on', ssl_cert_file: 'server.crt', ssl_key_file: 'server.key' },
    files: serverFiles(),
  })
})
afterAll(() => server.close())

/** `check` of the server, which goes by the name localhost, with a root certificate. */
const check = (sslmode: string, root: string) =>
  runCli(['check', '--json', `postgresql://postgres@localhost:${server.port}/postgres?hostaddr=127.0.0.1`], {
    cwd: makeFolder(),
    env: { PGSSLMODE: sslmode, PGSSLROOTCERT: certificateFile(root) },
  })

test('a certificate of another authority fails with exit code 1, its code and what to do, and never goes on without', async () => {
  const { code, stdout, stderr } = await check('verify-full', 'wrong-ca.crt')
  expect(code).toBe(1)
  expect(stderr).toContain('TLS_FAILED')
  expect(stderr).toMatch(/sslrootcert/)
  expect(JSON.parse(stdout)).toMatchObject({ kind: 'error', error: { code: 'TLS_FAILED', retry: 'never' } })
})

test('the certificate of the right authority is taken', async () => {
  const { code, stdout } = await check('verify-full', 'right-ca.crt')
  expect(code).toBe(0)
  expect(JSON.parse(stdout)).toMatchObject({
    kind: 'check',
    check: { tls: expect.stringContaining('TLS') as unknown },
  })
})
