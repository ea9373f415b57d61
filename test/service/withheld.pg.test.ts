import { beforeAll, expect, test } from 'vitest'
import type { ConnectionInput } from '../../src/config/connection-input.js'
import type { SyncOptions } from '../../src/config/sync-options.js'
import { onNewestServer, type TestDatabase } from '../server/servers.js'
import { fullTable, linesOf, openService, readerOf, syncOf, type TestService } from './open-service.js'

onNewestServer('What the configuration withholds', (server) => {
  let database: TestDatabase
  let reader: ConnectionInput

  beforeAll(async () => {
    database = await server.createDatabase()
    await database.sql(`
      CREATE TABLE users (id int, email text, ssn text, country text);
      INSERT INTO users VALUES (1, 'a@example.com', '111', 'de'), (2, 'b@example.com', '222', 'fr');
      CREATE TABLE audit_log (id int);
      CREATE TABLE plain AS SELECT 1 AS id`)
    reader = await readerOf(database)
  })

  const open = (...syncs: SyncOptions[]): Promise<TestService> =>
    openService({
      connections: new Map([['shop', reader]]),
      syncs: new Map(
        syncs.map((options, index) => [`sync${index}`, syncOf(reader, 'duckdb:x.duckdb', options)]),
      ),
    })

  const refusal = async (service: TestService, body: object): Promise<[number, string, string]> => {
    const response = await service.extract(body)
    const { error } = (await response.json()) as { error: { code: string; message: string } }
    return [response.status, error.code, error.message]
  }

  test('a stream that is masked or has a hook is not given unmasked', async () => {
    const masked = await open({ streams: { 'public.users': { mask: { email: 'redact' } } } })
    expect(await refusal(masked, fullTable('users'))).toEqual([
      403,
      'STREAM_WITHHELD',
      expect.stringMatching(/email \(mask\)/),
    ])
    const hooked = await open({ defaults: { hooks: './shape.mjs' } })
    expect(await refusal(hooked, fullTable('users'))).toEqual([
      403,
      'STREAM_WITHHELD',
      expect.stringMatching(/\(hooks\)/),
    ])
    const elsewhere = await open({ streams: { 'public.*': { mask: { phone: 'null' } } } })
    expect((await elsewhere.extract(fullTable('users'))).status).toBe(200)
  })

  test('columns that are left out do not come, and can be neither asked for nor compared with', async () => {
    for (const options of [{ excludeColumns: ['ssn'] }, { columns: ['id', 'email', 'country'] }]) {
      const service = await open({ streams: { 'public.users': options } })
      const rows = linesOf(await (await service.extract(fullTable('users'))).text())
      expect(rows[0]).toEqual({ id: 1, email: 'a@example.com', country: 'de' })
      const named = await refusal(service, { ...fullTable('users'), columns: ['id', 'ssn'] })
      expect(named).toEqual([403, 'STREAM_WITHHELD', expect.stringMatching(/^ssn of public\.users/)])
      const mode = { incremental: { entity: 'users', cursorField: 'ssn', cursor: '100' } }
      expect((await refusal(service, { mode })).slice(0, 2)).toEqual([403, 'STREAM_WITHHELD'])
    }
  })

  test('rows that a condition leaves out do not come, whatever else narrows them', async () => {
    const service = await open({ streams: { 'public.users': { where: "country = 'de'" } } })
    expect(linesOf(await (await service.extract(fullTable('users'))).text()).map(({ id }) => id)).toEqual([1])
    const mode = { incremental: { entity: 'users', cursorField: 'id', cursor: 0 } }
    expect(linesOf(await (await service.extract({ mode })).text()).map(({ id }) => id)).toEqual([1])
  })

  test('a stream that is disabled or excluded is not given, unless another sync takes it', async () => {
    const disabled: SyncOptions = { streams: { 'public.*': {}, 'public.audit_*': { disabled: true } } }
    const excluded: SyncOptions = { exclude: ['*.audit_*'] }
    for (const options of [disabled, excluded]) {
      const service = await open(options)
      expect((await refusal(service, fullTable('audit_log'))).slice(0, 2)).toEqual([403, 'STREAM_WITHHELD'])
      expect((await service.extract(fullTable('plain'))).status).toBe(200)
    }
    const taken = await open(disabled, { streams: { 'public.audit_log': {} } })
    expect((await taken.extract(fullTable('audit_log'))).status).toBe(200)
  })

  test('of several syncs the strictest holds', async () => {
    const service = await open(
      { streams: { 'public.users': { excludeColumns: ['ssn'] } } },
      { streams: { 'public.users': { excludeColumns: ['email'], where: 'id = 2' } } },
    )
    const rows = linesOf(await (await service.extract(fullTable('users'))).text())
    expect(rows).toEqual([{ id: 2, country: 'fr' }])
  })
})
