import { describe, expect, test } from 'vitest'
import { compileText, errorOf, loadOf, problemsOf } from './compile-text.js'
import { EXAMPLES } from './document-examples.js'

const environment = {
  DB_HOST: 'db.example',
  DB_USER: 'reader',
  DB_PASSWORD: 'hunter2',
  ANALYTICS_PASSWORD: 'a',
  PROD_DB_PASSWORD: 'p',
}

function sourceOf(text: string): ReturnType<typeof compileText>['sources'][number] | undefined {
  return compileText(text, { environment }).sources[0]
}

/** A source with the parameters that are needed, and more. */
function withParams(more: string): string {
  return `SOURCE s TYPE POSTGRES PARAMS {"host": "h", "database": "d", "username": "u", "table": "t", ${more}}; LOAD x FROM s;`
}

describe('the examples of the document', () => {
  test('the older names work', () => {
    expect(sourceOf(EXAMPLES.legacy)).toMatchObject({
      options: { host: 'db.example', port: '5432', dbname: 'ecommerce', user: 'reader', password: 'hunter2' },
      reads: { kind: 'table', table: 'orders' },
      syncMode: 'incremental',
      cursorField: 'updated_at',
    })
  })

  test('the newer names work', () => {
    const pipeline = compileText(`${EXAMPLES.recommended}LOAD t FROM postgres_orders;`, { environment })
    expect(pipeline.sources[0]?.options).toMatchObject({
      dbname: 'ecommerce',
      user: 'reader',
      sslmode: 'prefer',
    })
    expect(loadOf(pipeline).spec.limits).toMatchObject({
      stallTimeoutMs: 300_000,
      maxAttempts: 4,
      maxConnections: 5,
    })
  })

  test('where both are given the newer names win', () => {
    expect(sourceOf(EXAMPLES.mixed)?.options).toMatchObject({ dbname: 'new_database', user: 'new_user' })
  })

  test('the production example sets pool, batches and timeouts', () => {
    const pipeline = compileText(`${EXAMPLES.production}LOAD items FROM production_orders;`, { environment })
    const { spec, source } = loadOf(pipeline)
    expect(source.options).toMatchObject({ sslmode: 'require', connect_timeout: '30' })
    expect(spec.limits).toMatchObject({ maxConnections: 10, stallTimeoutMs: 600_000 })
    expect(spec.streams['orders.order_items']?.batchSize).toBe(5000)
  })

  test('a query is read with the schema as its search path', () => {
    const { spec, source } = loadOf(compileText(EXAMPLES.query, { environment }))
    expect(source).toMatchObject({
      schema: 'analytics',
      cursorField: 'o.updated_at',
      reads: { kind: 'query' },
    })
    expect(spec.selection).toEqual({ select: [], exclude: ['*'] })
    expect(spec.streams['enriched_orders']?.sql).toMatch(/^SELECT o\.\*/)
  })

  test('what is not stated has the default of the document', () => {
    const { spec, source } = loadOf(compileText(EXAMPLES.basic, { environment }))
    expect(source.options).toEqual({
      host: 'localhost',
      port: '5432',
      dbname: 'ecommerce',
      user: 'readonly_user',
      password: 'hunter2',
      connect_timeout: '10',
      application_name: 'sqlflow',
    })
    expect(source).toMatchObject({ schema: 'public', syncMode: 'full_refresh' })
    expect(spec.limits.maxConnections).toBe(5)
    expect(spec.streams['public.customers']?.batchSize).toBe(10_000)
  })

  test('an empty password is none', () => {
    expect(sourceOf(withParams('"password": ""'))?.options).not.toHaveProperty('password')
  })
})

test('integers given as text are converted', () => {
  const text = withParams(
    '"port": "6543", "connect_timeout": " 7 ", "max_connections": "3", "min_connections": "2"',
  )
  const { source, spec } = loadOf(compileText(text))
  expect(source.options).toMatchObject({ port: '6543', connect_timeout: '7' })
  expect(spec.limits.maxConnections).toBe(3)
})

test.each(['port', 'connect_timeout', 'min_connections', 'max_connections'])(
  '%s must be an integer',
  (name) => {
    const problem = `ParameterError: Parameter '${name}' must be an integer`
    for (const value of ['"many"', '1.5', 'true', '[1]', '""']) {
      expect(errorOf(withParams(`"${name}": ${value}`)).problems.map(({ message }) => message)).toEqual([
        problem,
      ])
    }
  },
)

test.each([
  ['{"database": "d", "username": "u"}', "ParameterError: Missing required parameters: {'host'}"],
  ['{"host": "h"}', "ParameterError: Missing required parameters: {'database', 'username'}"],
  ['{"host": "h", "user": "u"}', "ParameterError: Either 'database' or 'dbname' parameter is required"],
  [
    '{"host": "h", "dbname": "d", "user": ""}',
    "ParameterError: Either 'username' or 'user' parameter is required",
  ],
])('PARAMS %s', (params, message) => {
  expect(problemsOf(`SOURCE s TYPE POSTGRES PARAMS ${params};`)).toEqual([`1:8 ${message}`])
})

test.each([
  ['"sync_mode": "incremental"', 'IncrementalError: cursor_field is required for incremental sync_mode'],
  ['"sync_mode": "often"', "Invalid sync_mode 'often'. Must be one of: cdc, full_refresh, incremental"],
  ['"sync_mode": "cdc"', "sync_mode 'cdc' is not available in this version."],
  [
    '"sync_mode": "full_refresh", "cursor_field": "id"',
    "sync_mode 'full_refresh' cannot be used with cursor_field",
  ],
  [
    '"destination_sync_mode": "merge"',
    "Invalid destination_sync_mode 'merge'. Must be one of: append, append_dedup, overwrite",
  ],
  [
    '"destination_sync_mode": "append_dedup"',
    "destination_sync_mode 'append_dedup' requires primary_key to be specified",
  ],
  [
    '"replication_method": "WAL"',
    "Invalid replication_method 'WAL'. Must be one of: FULL_TABLE, INCREMENTAL, LOG_BASED",
  ],
  ['"replication_method": "LOG_BASED"', "replication_method 'LOG_BASED' is not available in this version."],
  ['"lookback_window": -1', "ParameterError: Parameter 'lookback_window' must be 0 or more"],
  ['"start_date": true', "ParameterError: Parameter 'start_date' must be text"],
  ['"primary_key": []', "ParameterError: Parameter 'primary_key' must be a name or a list of names"],
  ['"query": "SELECT 1"', "ParameterError: Either 'table' or 'query' can be given, not both"],
  ['"min_connections": 6', "ParameterError: Parameter 'min_connections' is larger than 'max_connections'"],
  ['"cursorfield": "id"', 'Unknown key "cursorfield"'],
])('%s', (more, message) => {
  expect(errorOf(withParams(more)).problems.map((problem) => problem.message)).toEqual([message])
})

test('destination_sync_mode says how to load where LOAD does not', () => {
  const modeOf = (more: string, mode = ''): unknown =>
    loadOf(compileText(withParams(more).replace('FROM s;', `FROM s ${mode};`))).mode
  expect(modeOf('"destination_sync_mode": "append"')).toBe('append')
  expect(modeOf('"destination_sync_mode": "append_dedup", "primary_key": "id"')).toBe('upsert')
  expect(modeOf('"destination_sync_mode": "append"', 'MODE REPLACE')).toBe('replace')
})

test('a source that says neither table nor query cannot be loaded, only defined', () => {
  const source = 'SOURCE s TYPE POSTGRES PARAMS {"host": "h", "database": "d", "username": "u"};'
  expect(compileText(source).steps).toEqual([])
  expect(problemsOf(`${source} LOAD t FROM s;`)).toEqual(['1:92 The source s says neither table nor query.'])
})

test('everything wrong with a source is told at once, and what is loaded from it is not', () => {
  expect(
    problemsOf('SOURCE s TYPE POSTGRES PARAMS {"port": "x", "user": "u", "sync_mode": "?"}; LOAD t FROM s;'),
  ).toHaveLength(4)
})

test('a password that stands in the file is not shown with an error beside it', () => {
  const [problem] = errorOf(withParams('"password": "hunter2", "port": "x"')).problems
  expect(problem?.excerpt[0]).toContain('"password": *********, "port": "x"')
  expect(problem?.excerpt[1].indexOf('^')).toBe(problem?.excerpt[0].indexOf('"x"'))
})
