import { expect, test } from 'vitest'
import { parseConfiguration } from '../../src/config/configuration.js'
import { findSync } from '../../src/config/find-configuration.js'
import type { Configuration } from '../../src/config/find-configuration.js'
import { toSyncSpec } from '../../src/config/sync-options.js'
import { TrunklineError } from '../../src/model/error.js'
import type { SyncSpec } from '../../src/model/sync-spec.js'
import { DEFAULT_ADAPTIVE, DEFAULT_LIMITS } from '../../src/model/thresholds.js'

const parse = (text: string, env: Record<string, string> = {}): Configuration =>
  parseConfiguration(text, 'trunkline.yaml', '/etc/trunkline.yaml', env)

const CONNECTION = 'version: 1\nconnections:\n  shop: postgresql://reader@db/shop?sslmode=verify-full\n'

/** The spec of a sync whose body is given, indented by four. */
function specOf(body: string): SyncSpec {
  const text = `${CONNECTION}syncs:\n  s:\n    source: shop\n    destination: duckdb:x\n${body}`
  return toSyncSpec(findSync(parse(text), 's').options, 'shop')
}

function errorOf(text: string, env: Record<string, string> = {}): TrunklineError {
  try {
    parse(text, env)
  } catch (error) {
    if (error instanceof TrunklineError) return error
    throw error
  }
  throw new Error('was accepted')
}

test('the whole file comes down to connections and syncs', () => {
  const { connections, syncs } = parse(
    `version: 1
connections:
  shop: { url: "\${URL}", sslmode: verify-full, password_command: "pass shop" }
  parts: { host: db, port: 5433, database: parts, user: "\${USER}" }
syncs:
  daily:
    source: shop
    destination: duckdb:shop.duckdb
    defaults: { deletes: soft, on_schema_change: freeze }
    streams:
      public.*:
      public.audit_*: { disabled: true }
      public.users: { exclude_columns: [ssn], primary_key: id }
      public.invoices: { types: { amount: "decimal(18,2)" }, special_numeric: "null" }
      recent: { sql: "select 1 as id", primary_key: [id], mode: full-refresh }
    limits: { max_connections: 2, max_snapshot_age: 1h, max_replica_lag: 30s, max_read_mb_per_s: 1.5, batch_bytes: 4MiB }
    target_schema: main
    jobs: 2
    verify: true
`,
    { URL: 'postgresql://db/shop', USER: 'reader' },
  )
  expect(connections.get('shop')).toEqual({
    url: 'postgresql://db/shop',
    options: { sslmode: 'verify-full' },
    passwordCommand: 'pass shop',
    place: 'trunkline.yaml:3:3 (connections.shop)',
  })
  expect(connections.get('parts')?.options).toEqual({
    host: 'db',
    port: '5433',
    dbname: 'parts',
    user: 'reader',
  })
  const spec = toSyncSpec(syncs.get('daily')?.options ?? {}, 'ignored')
  expect(spec).toEqual({
    name: 'daily',
    selection: { select: ['public.*', 'public.users', 'public.invoices'], exclude: [] },
    defaults: { deletes: 'soft', onSchemaChange: 'freeze' },
    streams: {
      'public.*': {},
      'public.audit_*': { disabled: true },
      'public.users': { excludeColumns: ['ssn'], primaryKey: ['id'] },
      'public.invoices': { types: { amount: 'decimal(18,2)' }, specialNumeric: 'null' },
      recent: { sql: 'select 1 as id', primaryKey: ['id'], mode: 'full_refresh' },
    },
    limits: {
      ...DEFAULT_LIMITS,
      maxConnections: 2,
      maxSnapshotAgeMs: 3_600_000,
      maxReplicaLagMs: 30_000,
      maxReadBytesPerSecond: 1_500_000,
      batchBytes: 4 * 2 ** 20,
    },
    targetSchema: 'main',
    nameTemplate: null,
    adopt: false,
    allowMassDelete: false,
    allowPrivilegedRole: false,
    acceptNewSource: false,
    jobs: 2,
    verify: true,
    adaptive: DEFAULT_ADAPTIVE,
    rowFilter: {},
    metadataTables: false,
    wording: 'native',
  })
})

test.each([
  [
    'an unknown key of a stream',
    '    streams: { public.a: { modes: mirror } }\n',
    'CONFIG_UNKNOWN_KEY',
    'Did you mean `mode`?',
    ':8:28 (syncs.s.streams["public.a"].modes)',
  ],
  [
    'an unknown key of a sync',
    '    limit: {}\n',
    'CONFIG_UNKNOWN_KEY',
    'Did you mean `limits`?',
    ':8:5 (syncs.s.limit)',
  ],
  [
    'an unknown limit',
    '    limits: { max_conections: 1 }\n',
    'CONFIG_UNKNOWN_KEY',
    'Did you mean `max_connections`?',
    ':8:15',
  ],
  [
    'a key that resembles nothing',
    '    colour: red\n',
    'CONFIG_UNKNOWN_KEY',
    'Known here: source, destination',
    ':8:5',
  ],
  [
    'a key that comes later',
    '    streams: { a: { deletes_every: 3 } }\n',
    'CONFIG_UNSUPPORTED',
    'Deletes are found in every run',
    ':8:21',
  ],
  [
    'a lookback that is no length',
    '    defaults: { lookback: soon }\n',
    'CONFIG_INVALID',
    'configuration.md',
    ':8:17 (syncs.s.defaults.lookback): must be a duration with its unit',
  ],
  [
    'a word that is no mode',
    '    defaults: { mode: mirrored }\n',
    'CONFIG_INVALID',
    'configuration.md',
    ':8:17 (syncs.s.defaults.mode): must be one of: mirror',
  ],
  [
    'a duration without a unit',
    '    limits: { max_snapshot_age: 30 }\n',
    'CONFIG_INVALID',
    '',
    'must be a duration with its unit',
  ],
  ['a negative number', '    jobs: -1\n', 'CONFIG_INVALID', '', 'must be a whole number, 0 or more'],
  ['text for a flag', '    verify: maybe\n', 'CONFIG_INVALID', '', 'must be true or false'],
  [
    'a list for a mapping',
    '    streams: [a]\n',
    'CONFIG_INVALID',
    '',
    'must be a mapping of names to values',
  ],
])('%s is an error with file, line, column and what to do', (_, body, code, hint, where) => {
  const error = errorOf(`${CONNECTION}syncs:\n  s:\n    source: shop\n    destination: duckdb:x\n${body}`)
  expect(error.code).toBe(code)
  expect(error.message).toContain('trunkline.yaml:')
  expect(error.message).toContain(where)
  expect(error.hint).toContain(hint)
})

test('a syntax error says where', () => {
  const error = errorOf('version: 1\nsyncs:\n  a: { b: c\n')
  expect(error.code).toBe('CONFIG_INVALID')
  expect(error.message).toMatch(/^trunkline\.yaml:\d+:\d+: /)
})

test('a key that stands twice is an error', () => {
  expect(
    errorOf('version: 1\nconnections:\n  a: postgresql://h/d\n  a: postgresql://h/e\n').message,
  ).toContain('trunkline.yaml:4:3')
})

test('the version is required and must be known', () => {
  expect(errorOf('syncs: {}\n').message).toContain('(version): must be 1')
  expect(errorOf('version: 2\n').message).toContain('trunkline.yaml:1:1 (version): must be 1')
})

test('an empty file is an error, not an empty configuration', () => {
  expect(errorOf('').code).toBe('CONFIG_INVALID')
  expect(errorOf('# nothing\n').code).toBe('CONFIG_INVALID')
})

test('an unset variable names its place; variables in keys stay as they are', () => {
  const error = errorOf('version: 1\nconnections:\n  shop:\n    url: ${NOWHERE}\n')
  expect(error.code).toBe('CONFIG_UNSET_VARIABLE')
  expect(error.message).toContain('trunkline.yaml:4:5 (connections.shop.url)')
  expect(parse('version: 1\nconnections:\n  "${KEY}": postgresql://h/d\n').connections.has('${KEY}')).toBe(
    true,
  )
})

test('a variable can only ever be one value, whatever it holds', () => {
  const text = 'version: 1\nconnections:\n  shop:\n    url: postgresql://h/d\n    password: ${PW}\n'
  const { connections } = parse(text, { PW: '007 }\nsyncs: {}' })
  expect(connections.get('shop')?.options['password']).toBe('007 }\nsyncs: {}')
})

test('a run without readers may be asked for', () => {
  const text = `${CONNECTION}syncs:\n  s: { source: shop, destination: "duckdb:x", jobs: 0 }\n`
  expect(toSyncSpec(findSync(parse(text), 's').options, 'x').jobs).toBe(0)
})

test('a connection in the place of a destination is refused where it stands, with what to write', () => {
  const error = errorOf(`${CONNECTION}syncs:\n  s:\n    source: shop\n    destination: shop\n`)
  expect(error.code).toBe('CONFIG_INVALID')
  expect(error.message).toContain('(syncs.s.destination): `shop` is a connection')
  expect(error.hint).toContain('postgresql://user@host/database')
})

test('numbers and flags may come from variables', () => {
  const text = `${CONNECTION}syncs:\n  s: { source: shop, destination: "duckdb:x", jobs: "\${JOBS}", verify: "\${VERIFY}" }\n`
  const spec = toSyncSpec(findSync(parse(text, { JOBS: '3', VERIFY: 'true' }), 's').options, 'x')
  expect(spec.jobs).toBe(3)
  expect(spec.verify).toBe(true)
})

test('a source must be one of the connections', () => {
  const error = errorOf(`${CONNECTION}syncs:\n  s: { source: shp, destination: "duckdb:x" }\n`)
  expect(error.hint).toBe('Did you mean `shop`?')
  const inline = errorOf(
    `${CONNECTION}syncs:\n  s: { source: "postgresql://u:geheim@h/d", destination: "duckdb:x" }\n`,
  )
  expect(inline.message).not.toContain('geheim')
})

test('aliases are followed, and a bomb of them is refused', () => {
  const spec = specOf('    defaults: &d { mode: mirror }\n    streams: { public.a: *d }\n')
  expect(spec.streams['public.a']).toEqual({ mode: 'mirror' })
  const level = (n: number): string =>
    `l${n}: &l${n} [${Array.from({ length: 12 }, () => `*l${n - 1}`).join(', ')}]`
  const bomb = ['version: 1', 'l0: &l0 [x]', ...[1, 2, 3, 4, 5, 6].map(level)].join('\n')
  expect(errorOf(bomb).code).toBe('CONFIG_INVALID')
})

test("other tools' words for modes and landings are understood", () => {
  const spec = specOf(
    '    streams: { a.a: { mode: append_dedup }, a.b: { mode: overwrite }, a.c: { mode: full-refresh, landing: append }, a.d: { landing: merge } }\n',
  )
  expect(spec.streams).toEqual({
    'a.a': { mode: 'incremental', landing: 'upsert' },
    'a.b': { mode: 'full_refresh', landing: 'replace' },
    'a.c': { mode: 'full_refresh', landing: 'append' },
    'a.d': { landing: 'upsert' },
  })
})

test('what is listed is selected; exceptions alone are about everything; queries alone are about themselves', () => {
  expect(specOf('    streams: { a.b: {}, a.c: { disabled: true } }\n').selection).toEqual({
    select: ['a.b'],
    exclude: [],
  })
  expect(specOf('    streams: { a.c: { disabled: true } }\n').selection).toEqual({ select: [], exclude: [] })
  expect(specOf('    streams: { q: { sql: "select 1" } }\n').selection).toEqual({
    select: [],
    exclude: ['*'],
  })
  expect(specOf('').selection).toEqual({ select: [], exclude: [] })
  expect(specOf('    select: [x.y]\n    streams: { a.b: {} }\n').selection.select).toEqual(['x.y'])
})
