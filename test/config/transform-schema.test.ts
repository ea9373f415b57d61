import { resolve } from 'node:path'
import { expect, test } from 'vitest'
import { checkSyncOptions } from '../../src/config/check-options.js'
import { parseConfiguration } from '../../src/config/configuration.js'
import type { TransformRow } from '../../src/model/hooks.js'
import type { StreamOptions } from '../../src/model/sync-spec.js'
import { TrunklineError } from '../../src/model/error.js'

const SECRET = 'a secret of enough characters'
const HEAD =
  'version: 1\nconnections: { db: postgresql://localhost/db }\nsyncs:\n  s:\n    source: db\n    destination: duckdb:x\n'

function parse(stream: string): StreamOptions {
  const text = `${HEAD}    streams:\n      public.users: ${stream}\n`
  const { syncs } = parseConfiguration(text, 'trunkline.yaml', resolve('/etc/trunkline/trunkline.yaml'), {
    MASK_KEY: SECRET,
    SHORT: 'short-secret',
    REGION: 'eu',
  })
  return syncs.get('s')!.options.streams!['public.users']!
}

function refusal(stream: string): string {
  try {
    parse(stream)
  } catch (error) {
    if (!(error instanceof TrunklineError)) throw error
    return `${error.code} ${error.message} ${error.hint ?? ''}`
  }
  return 'none'
}

test('masks, names, added columns and hooks are read in the words of the model', () => {
  expect(
    parse(`{ mask: { email: 'hmac:\${MASK_KEY}', phone: partial:2, ssn: null }, rename: { id: user_id } }`),
  ).toEqual({
    mask: { email: `hmac:${SECRET}`, phone: 'partial:2', ssn: 'null' },
    rename: { id: 'user_id' },
  })
  expect(
    parse(
      `{ add_columns: { region: '\${REGION}', n: 7, ok: true, at: { from: run_at, if_present: keep }, since: { value: '2024-01-01T00:00:00Z', type: timestamp }, later: { value: null, type: text } } }`,
    ),
  ).toEqual({
    addColumns: {
      region: 'eu',
      n: 7,
      ok: true,
      at: { from: 'run_at', ifPresent: 'keep' },
      since: { value: '2024-01-01T00:00:00Z', type: 'timestamp' },
      later: { value: null, type: 'text' },
    },
  })
})

test('the path of a hooks module is seen from the file', () => {
  const path = resolve('/etc/trunkline/hooks/region.mjs')
  expect(parse('{ hooks: hooks/region.mjs }')).toEqual({ hooks: path })
  expect(parse(`{ hooks: { module: ./hooks/region.mjs, options: { region: '\${REGION}' } } }`)).toEqual({
    hooks: { module: path, options: { region: 'eu' } },
  })
})

test.each([
  [
    `{ mask: { email: 'hmac:\${SHORT}' } }`,
    /^CONFIG_INVALID trunkline\.yaml:\d+:\d+ .*mask\.email\): must be a mask: hmac takes/,
  ],
  ['{ mask: { email: md5 } }', /must be a mask: the mask is none of hmac:SECRET/],
  ['{ rename: { id: 7 } }', /rename\.id\): must be text/],
  ['{ add_columns: { a: { from: yesterday } } }', /must be one of: run_at, epoch_seconds, row_id/],
  ['{ add_columns: { a: { value: 1, type: money } } }', /must be one of: text, bigint/],
  ['{ add_columns: { a: [1] } }', /add_columns\.a\): must be text, a number/],
  ['{ add_columns: { a: { type: text } } }', /add_columns\.a\): must be text, a number/],
  ['{ add_columns: { a: { from: run_at, value: 1 } } }', /add_columns\.a\): must be text, a number/],
  ['{ add_columns: { a: { since: 1 } } }', /CONFIG_UNKNOWN_KEY/],
  ['{ hooks: { options: {} } }', /hooks/],
])('%s is refused with its place, and without its secret', (stream, message) => {
  expect(refusal(stream)).toMatch(message)
  expect(refusal(stream)).not.toContain('short-secret')
})

test('a program states the same in camel case, bigints and functions', () => {
  const transformRow: TransformRow = (row) => row
  const stated = {
    mask: { email: 'redact' },
    addColumns: { n: 7n, m: { value: 8n, ifPresent: 'replace' }, at: { from: 'run_at', ifPresent: 'keep' } },
    transformRow,
    shouldReadStream: () => true,
    hookVersion: '2',
  } as const
  const { streams, defaults } = checkSyncOptions({
    streams: { 'public.*': stated, a: null },
    defaults: { transformRow },
  })
  expect(streams?.['public.*']).toEqual({
    ...stated,
    addColumns: {
      n: { value: '7', type: 'bigint' },
      m: { value: '8', type: 'bigint', ifPresent: 'replace' },
      at: { from: 'run_at', ifPresent: 'keep' },
    },
  })
  expect(streams?.['a']).toEqual({})
  expect(defaults).toEqual({ transformRow })
})

test.each([
  [{ streams: { a: { transformRow: 'row => row' } } }, 'streams.a.transformRow: must be a function'],
  [{ defaults: { shouldReadStream: true } }, 'defaults.shouldReadStream: must be a function'],
  [{ defaults: { hookVersion: 2 } }, 'defaults.hookVersion: must be text'],
  [{ streams: { a: { mask: { email: 'hmac:short-secret' } } } }, 'streams.a.mask.email: must be a mask'],
  [{ streams: { a: { transformRows: 1 } } }, 'transformRows'],
])('a program that states %j is told where', (options, message) => {
  let said = ''
  try {
    checkSyncOptions(options as never)
  } catch (error) {
    said = (error as TrunklineError).message
  }
  expect(said).toContain(message)
  expect(said).not.toContain('short-secret')
})

test('a file cannot state functions', () => {
  expect(refusal('{ transform_row: x }')).toMatch(/CONFIG_UNKNOWN_KEY/)
})
