import { expect, test } from 'vitest'
import { parseConfiguration } from '../../../src/config/configuration.js'
import { configurationFromEnvironment } from '../../../src/config/find-configuration.js'
import { TrunklineError } from '../../../src/model/error.js'
import { exampleText, readProfile } from './read-profile.js'

const env = { DB_HOST: 'db', DB_USER: 'u', DB_PASSWORD: 'p', ANALYTICS_PASSWORD: 'p', PROD_DB_PASSWORD: 'p' }

test.each([
  [
    'server-side-cursors',
    { hostname: 'db', port: '1', database: 'd', username: 'u', password: 'p', table_name: 't' },
  ],
  ['adaptive', { host: 'db', port: '1', database: 'd', username: 'u', password: 'p' }],
  ['adaptive', { host: 'db', port: '1', database: 'd', username: 'u', password: 'p', region: 'eu' }],
  ['greenplum', { HOST: 'db', PORT: '1', DATABASE: 'd', USERNAME: 'u', PASSWORD: 'p' }],
  ['sqlflow', { host: 'db', database: 'd', username: 'u', password: 'p', table: 't' }],
  ['sqlflow', { host: 'db', port: 1, dbname: 'd', user: 'u', password: 'p' }],
  ['noesis', { hostname: 'db', port: 1, database: 'd', username: 'u', password: 'p', sslMode: 'require' }],
  ['noesis', { profile: 'noesis', host: 'db', port: 1, database: 'd', username: 'u', password: 'p' }],
  ['sqlflow', { profile: 'sqlflow', host: 'db', port: 1, database: 'd', username: 'u' }],
] as const)('%s is recognised by the keys of its JSON: %o', (name, values) => {
  expect(readProfile(values).profile.name).toBe(name)
})

test.each([
  ['sqlflow', 'sqlflow/postgres.yaml'],
  ['sqlflow', 'sqlflow/customers.json'],
  ['sqlflow', 'sqlflow/orders.json'],
  ['sqlflow', 'sqlflow/legacy-orders.json'],
  ['sqlflow', 'sqlflow/recommended-orders.json'],
  ['sqlflow', 'sqlflow/mixed-names.json'],
  ['sqlflow', 'sqlflow/analytics_data.json'],
  ['sqlflow', 'sqlflow/production-orders.json'],
  ['noesis', 'noesis/config.yaml'],
  ['greenplum', 'greenplum/configuration.json'],
] as const)('%s is what examples/%s is read as', (name, path) => {
  expect(readProfile(exampleText(path), env, path.split('/')[1]).profile.name).toBe(name)
})

test('YAML with a host and nothing more particular is of noesis, JSON of the same with numbers is not guessed at', () => {
  expect(readProfile('host: db\nport: 5432\ndatabase: d\nusername: u\npassword: p\n').profile.name).toBe(
    'noesis',
  )
  expect(() => readProfile({ host: 'db', port: 5432, database: 'd', username: 'u', password: 'p' })).toThrow(
    'configuration.json: this is no configuration that is known.',
  )
})

test('a file that is nothing of all this is refused with the list of what is known', () => {
  const error = errorOf('colour: red\n')
  expect(error.code).toBe('CONFIG_INVALID')
  for (const name of ['server-side-cursors', 'adaptive', 'greenplum', 'sqlflow', 'noesis', 'trunkline.yaml'])
    expect(error.hint).toContain(name)
})

test('a profile that does not exist is refused with a suggestion', () => {
  expect(errorOf('profile: greenplumb\nhost: db\n').hint).toBe('Did you mean `greenplum`?')
})

test("trunkline.yaml's own shape is never taken for another, whatever the file is called", () => {
  const text = 'version: 1\nconnections: { shop: "postgresql://db/shop?sslmode=verify-full" }\n'
  expect(parseConfiguration(text, 'any.yaml', '/any.yaml', {}).profile).toBeUndefined()
  expect(() => parseConfiguration('host: db\n', 'trunkline.yaml', '/trunkline.yaml', {})).toThrow(
    '(version): must be 1',
  )
})

test('one missing key does not make a configuration of another kind', () => {
  const cursors = {
    hostname: 'h',
    port: '1',
    database: 'd',
    username: 'u',
    password: 'p',
    table_name: 't',
    cursor_mode: 'NAMED',
  }
  for (const key of Object.keys(cursors)) {
    const values = Object.fromEntries(Object.entries(cursors).filter(([name]) => name !== key))
    if (key === 'cursor_mode') expect(readProfile(values).profile.name).toBe('server-side-cursors')
    else expect(() => readProfile(values)).toThrow(`\`${key}\` is missing or empty`)
  }
})

test('without a file POSTGRES_* says it all, unless the variables of libpq do', async () => {
  const stated = {
    POSTGRES_HOST: 'db',
    POSTGRES_PORT: '5433',
    POSTGRES_DATABASE: 'shop',
    POSTGRES_USERNAME: 'reader',
    POSTGRES_PASSWORD: 'secret',
  }
  const found = await configurationFromEnvironment(stated)
  expect(found?.profile?.name).toBe('noesis')
  expect([...(found?.connections.values() ?? [])][0]?.options).toMatchObject({
    host: 'db',
    port: '5433',
    dbname: 'shop',
    user: 'reader',
    password: 'secret',
    sslmode: 'prefer',
  })
  expect(await configurationFromEnvironment({ ...stated, PGHOST: 'other' })).toBeNull()
  expect(await configurationFromEnvironment({})).toBeNull()
  // They may belong to another program.
  for (const name of Object.keys(stated)) {
    expect(await configurationFromEnvironment({ ...stated, [name]: '' })).toBeNull()
  }
})

function errorOf(text: string): TrunklineError {
  try {
    parseConfiguration(text, 'some.yaml', '/some.yaml', {})
  } catch (error) {
    if (error instanceof TrunklineError) return error
    throw error
  }
  throw new Error('was accepted')
}
