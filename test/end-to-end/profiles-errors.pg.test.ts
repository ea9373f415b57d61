/** Each error text of the documents, by its real cause, as the command line prints it; our own sentence, hint and code below. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type ERROR_CODES } from '../../src/model/error.js'
import type { CliResult } from '../cli/run-cli.js'
import { type DocumentServer, startDocumentServer } from './profiles-server.js'

/** Must never be seen again, whatever goes wrong with it. */
const CANARY = 'kanarienvogel4711'

let documents: DocumentServer
const outputs: string[] = []

beforeAll(async () => {
  documents = await startDocumentServer()
})
afterAll(() => documents[Symbol.asyncDispose]())

interface Expected {
  /** The whole first line of the error. */
  readonly line: string | RegExp
  readonly code: keyof typeof ERROR_CODES
}

async function run(content: object | string, ...args: readonly string[]): Promise<CliResult> {
  const file = typeof content === 'string' ? 'config.yaml' : 'configuration.json'
  const result = await documents.run(file, content, ['errors.duckdb', ...args])
  outputs.push(result.stdout, result.stderr)
  return result
}

/** The text of the document on a line of its own, then what is ours. */
async function expectRefused(content: object | string, { line, code }: Expected): Promise<CliResult> {
  const result = await run(content, '-v')
  const lines = result.stderr.split('\n')
  const found = lines.findIndex((text) => (typeof line === 'string' ? text === line : line.test(text)))
  expect(found, result.stderr).toBeGreaterThanOrEqual(0)
  expect(result.stderr).toMatch(/→ \S/)
  expect(result.stderr).toContain(code)
  expect(result.code).not.toBe(0)
  return result
}

describe('server-side cursors', () => {
  const configuration = {
    hostname: 'db.example',
    port: '5432',
    database: 'shop',
    username: 'reader',
    password: 'hunter2',
    sslmode: 'require',
    table_name: 'people',
  }

  test('a wrong password, with the original error kept as the cause', async () => {
    const { stderr } = await expectRefused(
      { ...configuration, password: CANARY },
      {
        line: /^RuntimeError: Failed to connect to database: db\.example:5432 \(127\.0\.0\.1\): password authentication failed for user "reader"/,
        code: 'AUTH_FAILED',
      },
    )
    expect(stderr).toContain('caused by: ')
  })

  test.each([
    ['a port where nothing listens', { hostname: '127.0.0.1', port: '1' }, 'CONNECT_FAILED'],
    ['a database that is not there', { database: 'nowhere' }, 'DATABASE_MISSING'],
  ] as const)('%s', async (_, values, code) => {
    await expectRefused(
      { ...configuration, ...values },
      { line: /^RuntimeError: Failed to connect to database: ./, code },
    )
  })

  test('a table that is not there', async () => {
    await expectRefused(
      { ...configuration, table_name: 'peoples' },
      {
        line: /^RuntimeError: Failed during named cursor streaming: .*public\.peoples/,
        code: 'STREAM_MISSING',
      },
    )
  })

  test('a table without last_updated', async () => {
    await expectRefused(
      { ...configuration, table_name: 'places', cursor_mode: 'client' },
      { line: /^RuntimeError: Failed to fetch or upsert data: .*last_updated/, code: 'STREAM_MISSING' },
    )
  })

  test.each([
    [{ hostname: '' }, 'ValueError: Missing required configuration parameter: hostname'],
    [{ sslmode: 'verify-full' }, 'ValueError: Invalid sslmode value: verify-full'],
    [
      { cursor_mode: 'SERVER' },
      "ValueError: Unsupported cursor_mode: SERVER. Please use 'CLIENT' or 'NAMED'.",
    ],
  ])('the configuration with %o, before anything is touched', async (values, line) => {
    const { code, stdout } = await expectRefused(
      { ...configuration, ...values },
      { line, code: 'CONFIG_INVALID' },
    )
    expect([code, stdout]).toEqual([2, ''])
  })
})

describe('adaptive', () => {
  const configuration = {
    host: 'db.example',
    port: '5432',
    database: 'shop',
    username: 'reader',
    password: 'hunter2',
  }

  test('a missing value, and one that is not text', async () => {
    await expectRefused(
      { ...configuration, password: '' },
      { line: 'ValueError: Missing required configuration value: password', code: 'CONFIG_INVALID' },
    )
    await expectRefused(
      { ...configuration, port: 5432, region: 'eu' },
      { line: 'ValueError: Configuration value for port must be a string, got int', code: 'CONFIG_INVALID' },
    )
  })

  test('a wrong password', async () => {
    await expectRefused(
      { ...configuration, password: CANARY },
      { line: /^ConnectionError: .*password authentication failed/, code: 'AUTH_FAILED' },
    )
  })
})

describe('Greenplum', () => {
  const configuration = {
    HOST: '127.0.0.1',
    PORT: '1',
    DATABASE: 'shop',
    USERNAME: 'reader',
    PASSWORD: CANARY,
  }

  test('a server that is not there', async () => {
    await expectRefused(configuration, {
      line: /^ConnectionError: Error connecting to Greenplum database: 127\.0\.0\.1:1: nothing listens there/,
      code: 'CONNECT_FAILED',
    })
  })

  test('a missing key, before any connection is tried', async () => {
    const { PASSWORD: _, ...rest } = configuration
    await expectRefused(rest, {
      line: 'ValueError: Missing required configuration: PASSWORD',
      code: 'CONFIG_INVALID',
    })
  })
})

describe('SQLFlow', () => {
  const configuration = {
    host: 'db.example',
    database: 'ecommerce',
    username: 'readonly_user',
    password: 'hunter2',
    table: 'customers',
  }

  test('no database and no user', async () => {
    await expectRefused(
      { host: 'db.example', table: 'customers' },
      {
        line: "ParameterError: Missing required parameters: {'database', 'username'}",
        code: 'CONFIG_INVALID',
      },
    )
  })

  test('incremental without a cursor field', async () => {
    await expectRefused(
      { ...configuration, sync_mode: 'incremental' },
      {
        line: 'IncrementalError: cursor_field is required for incremental sync_mode',
        code: 'CONFIG_INVALID',
      },
    )
  })

  test('a port where nothing listens', async () => {
    await expectRefused(
      { ...configuration, host: '127.0.0.1', port: 1 },
      {
        line: 'ConnectorError: Failed to create connection pool: could not connect to server: Connection refused',
        code: 'CONNECT_FAILED',
      },
    )
  })

  test('a wrong user', async () => {
    await expectRefused(
      { ...configuration, username: 'wrong_user', password: CANARY },
      {
        line: 'ConnectorError: FATAL: password authentication failed for user "wrong_user"',
        code: 'AUTH_FAILED',
      },
    )
  })

  test('a table that is not there', async () => {
    await expectRefused(
      { ...configuration, table: 'invalid_table' },
      { line: 'ConnectorError: Table not found: invalid_table in schema public', code: 'STREAM_MISSING' },
    )
  })

  test('a cursor field that is not there', async () => {
    await documents.sql(
      'ecommerce',
      'CREATE TABLE plain (id int PRIMARY KEY, name text, created_at timestamptz); GRANT SELECT ON plain TO PUBLIC',
    )
    await expectRefused(
      { ...configuration, table: 'plain', sync_mode: 'incremental', cursor_field: 'invalid_field' },
      {
        line: "IncrementalError: Cursor field 'invalid_field' not found in data chunk columns: ['id', 'name', 'created_at']",
        code: 'STREAM_MISSING',
      },
    )
  })
})

describe('noesis', () => {
  const configuration = `host: db.example
port: 5432
database: mydb
username: reader
password: hunter2
`

  test('a missing field', async () => {
    await expectRefused(configuration.replace('username: reader\n', ''), {
      line: "Error: invalid configuration: required field 'username' is missing or empty",
      code: 'CONFIG_INVALID',
    })
  })

  test('a port where nothing listens', async () => {
    const text = configuration.replace('db.example', '127.0.0.1').replace('5432', '1')
    await expectRefused(text, { line: 'Error: connection refused', code: 'CONNECT_FAILED' })
  })

  test('a wrong password', async () => {
    await expectRefused(configuration.replace('hunter2', CANARY), {
      line: 'Error: authentication failed',
      code: 'AUTH_FAILED',
    })
  })

  test('a certificate that nobody vouches for', async () => {
    await expectRefused(`${configuration}sslmode: verify-full\n`, {
      line: 'Error: SSL connection failed',
      code: 'TLS_FAILED',
    })
  })

  test('a query that takes longer than statement_timeout', async () => {
    const text = `${configuration}statement_timeout: 200ms\nmode: { fullTable: { entity: slow } }\n`
    await expectRefused(text, { line: 'Error: query timeout', code: 'QUERY_CANCELED' })
  })

  test('log_level debug shows what happens, and a key that is not known is warned of', async () => {
    const text = `${configuration}mode: { fullTable: { entity: users } }\n`
    const quiet = await run(text)
    const debug = await run(`${text}log_level: debug\ncolour: red\n`)
    expect([quiet.code, debug.code]).toEqual([0, 0])
    expect(quiet.stderr).not.toContain('debug:')
    expect(debug.stderr).toMatch(/^(debug|info): /m)
    expect(debug.stderr).toMatch(/^warning: config\.yaml:8:1 \(colour\): the key `colour` has no effect\.$/m)
  })
})

test('another command says the same: check, with a wrong password', async () => {
  const content = { host: 'db.example', database: 'ecommerce', user: 'nobody', password: CANARY }
  const { code, stderr } = await documents.run('check.json', content, [], { command: 'check' })
  outputs.push(stderr)
  expect(code).toBe(1)
  expect(stderr.split('\n')).toContain(
    'ConnectorError: FATAL: password authentication failed for user "nobody"',
  )
})

test('no output of this file showed a password', () => {
  expect(outputs.length).toBeGreaterThan(30)
  for (const output of outputs) {
    expect(output).not.toContain(CANARY)
    expect(output).not.toContain('hunter2')
  }
})
