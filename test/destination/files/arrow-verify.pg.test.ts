import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createArrowFormat } from '../../../src/destination/files/arrow-format.js'
import { createFilesDestination } from '../../../src/destination/files/files-destination.js'
import { createLocalStore } from '../../../src/destination/stores/local-store.js'
import type { Store } from '../../../src/destination/stores/store.js'
import { sync, type RunReport } from '../../../src/index.js'
import type { StreamOptions } from '../../../src/model/sync-spec.js'
import { onNewestServer, type TestDatabase } from '../../server/servers.js'

const STREAM = 'public.notes'
const LISTS: StreamOptions = { types: { tags: 'list', spans: 'list' } }

onNewestServer('a sync to Arrow files that is verified', (server) => {
  let db: TestDatabase
  let folder: string
  beforeEach(async () => {
    db = await server.createDatabase()
    folder = await mkdtemp(path.join(tmpdir(), 'trunkline-arrow-'))
    await db.sql(`CREATE TABLE notes (id bigint PRIMARY KEY, flag boolean, price numeric(9,2), total numeric(30,4), day date,
        at timestamptz, span interval, words text, document jsonb, code uuid, content bytea, tags text[], spans interval[]);
      INSERT INTO notes SELECT g, g % 2 = 0, g / 4.0, g * 1e20, '2024-01-01'::date + g, '-infinity', make_interval(0, g, 0, -g),
        'note ' || g, '{"a": [1, null]}', md5(g::text)::uuid, '\\x00ff', ARRAY['a', NULL, 'é' || g], ARRAY['1 month', '30 days']::interval[]
      FROM generate_series(1, 3000) g;
      INSERT INTO notes (id) VALUES (0)`)
  })
  afterEach(() => rm(folder, { recursive: true, force: true }))

  async function run(options: Record<string, string>, store: Store): Promise<RunReport> {
    const destination = createFilesDestination({
      format: await createArrowFormat(options),
      store,
      layout: { maxFileRows: 1000 },
    })
    const streams = { [STREAM]: LISTS }
    const report = await sync({ source: db.url, destination, name: 'shop', jobs: 1, verify: true, streams })
    await destination.close()
    return report
  }

  test('finds the rows of the source in them, and again with a column that came later', async () => {
    for (const options of [{}, { compression: 'zstd' }, { framing: 'stream' }]) {
      const place = path.join(folder, Object.values(options).join('') || 'plain')
      const [stream] = (await run(options, createLocalStore({ path: place }))).streams
      expect(stream).toMatchObject({ error: null, rowsLanded: 3001, verified: { equal: true } })
      const files = await readdir(place, { recursive: true })
      expect(files.filter((file) => /\.arrows?$/.test(file)).length).toBeGreaterThan(3)
    }
    await db.sql(`ALTER TABLE notes ADD COLUMN late real DEFAULT 'NaN'; DELETE FROM notes WHERE id % 7 = 0`)
    const [again] = (await run({}, createLocalStore({ path: path.join(folder, 'plain') }))).streams
    expect(again).toMatchObject({ error: null, verified: { equal: true } })
  })

  test('finds a letter that was changed on its way to the disk, and says how many rows differ', async () => {
    const store = createLocalStore({ path: folder })
    const { create } = { create: store.create.bind(store) }
    let changed = 0
    store.create = async (file) => {
      const opened = await create(file)
      return {
        write: (pieces) => opened.write(pieces.map(change)),
        finish: () => opened.finish(),
        abort: () => opened.abort(),
      }
    }
    function change(piece: Uint8Array): Uint8Array {
      const copy = Buffer.from(piece)
      const at = copy.indexOf('note 1234')
      if (at === -1) return piece
      copy.write('N', at)
      changed++
      return copy
    }
    const [stream] = (await run({}, store)).streams
    expect(changed).toBe(1)
    expect(stream).toMatchObject({ verified: { equal: false, missing: 1, unexpected: 1 } })
  })
})
