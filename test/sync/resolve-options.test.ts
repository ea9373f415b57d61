import { describe, expect, test } from 'vitest'
import { namedQueries, resolveOptions } from '../../src/sync/resolve-options.js'
import { ModelDatabase } from './model/database.js'
import { toCatalogStream } from './model/model-source.js'

const database = new ModelDatabase()
const streams = ['orders', 'audit_log', 'audit_users'].map((table) =>
  toCatalogStream(database.createTable(table)),
)

describe('options of a stream', () => {
  test('the more specific pattern wins, key by key, whatever the order', () => {
    const { streams: resolved } = resolveOptions(streams, {
      defaults: { deletes: 'soft', onSchemaChange: 'freeze' },
      streams: {
        'public.audit_log': { batchSize: 7 },
        'public.audit_*': { mode: 'incremental', deletes: 'hard', batchSize: 5 },
        'public.*': { mode: 'mirror', deletes: 'ignore', where: 'true' },
      },
    })
    expect(resolved.map(({ options }) => options)).toEqual([
      { deletes: 'ignore', onSchemaChange: 'freeze', mode: 'mirror', where: 'true' },
      { deletes: 'hard', onSchemaChange: 'freeze', mode: 'incremental', where: 'true', batchSize: 7 },
      { deletes: 'hard', onSchemaChange: 'freeze', mode: 'incremental', where: 'true', batchSize: 5 },
    ])
  })

  test('of equally specific patterns the later one wins', () => {
    const { streams: resolved } = resolveOptions(streams, {
      defaults: {},
      streams: { 'public.order?': { batchSize: 1 }, 'public.?rders': { batchSize: 2 } },
    })
    expect(resolved[0]?.options).toEqual({ batchSize: 2 })
  })

  test('what is disabled is left out, and can be taken in again by name', () => {
    const { streams: resolved, missing } = resolveOptions(streams, {
      defaults: {},
      streams: {
        'public.audit_*': { disabled: true },
        'public.audit_log': { disabled: false },
        'public.gone': { disabled: true },
      },
    })
    expect(resolved.map(({ stream }) => stream.table)).toEqual(['orders', 'audit_log'])
    expect(missing).toEqual([])
  })

  test('streams of a pattern without the column that it asks for are left out, and said to be', () => {
    const { streams: resolved, leftOut } = resolveOptions(streams, {
      defaults: {},
      streams: { 'public.*': { onlyWithColumn: 'nowhere' }, 'public.orders': { onlyWithColumn: 'id' } },
    })
    expect(resolved.map(({ stream }) => stream.table)).toEqual(['orders'])
    expect(leftOut).toEqual([
      'public.audit_log is left out: it has no column nowhere.',
      'public.audit_users is left out: it has no column nowhere.',
    ])
  })

  test('a name that matches nothing is reported, a pattern is not', () => {
    const { missing } = resolveOptions(streams, {
      defaults: {},
      streams: { 'public.ordres': { batchSize: 1 }, 'other.*': { batchSize: 1 } },
    })
    expect(missing).toEqual(['public.ordres'])
  })

  test('streams with a query become queries', () => {
    expect(
      namedQueries({ streams: { recent: { sql: 'SELECT 1', primaryKey: ['id'] }, 'public.*': {} } }),
    ).toEqual([{ name: 'recent', sql: 'SELECT 1', primaryKey: ['id'] }])
  })
})
