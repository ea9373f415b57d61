import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { createDuckDbDestination } from '../../../src/destination/duckdb/duckdb-destination.js'
import type { Field } from '../../../src/model/column-type.js'
import { inRun, landingOf, makeCheckpoint, runOf } from '../../../src/testing/landings.js'
import { makeBatch } from '../../../src/testing/make-batch.js'

const MIB = 1024 * 1024

it('lands more small tables than fit into the memory limit together', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'trunkline-many-tables-'))
  const fields = Array.from({ length: 100 }, (_, index): Field => ({
    name: `c${index}`,
    type: { kind: 'text' },
    nullable: true,
  }))
  const rows = Array.from({ length: 100 }, (_, index) => fields.map(({ name }) => `${name} ${index}`))
  const destination = createDuckDbDestination({
    path: join(folder, 'many.duckdb'),
    publish: 'direct',
    memoryLimitBytes: 64 * MIB,
    threads: 1,
  })
  const tables = 40
  await inRun(destination, runOf(), async () => {
    for (let number = 0; number < tables; number++) {
      const table = { schema: 'public', name: `t${number}` }
      const writer = await destination.begin(
        landingOf({ stream: `public.${table.name}`, table, fields, key: ['c0'] }),
      )
      await writer.write(makeBatch(fields, rows))
      await writer.commit(makeCheckpoint('100'))
    }
  })
  const [state] = await destination.readState('shop')
  expect(state?.streams.size).toBe(tables)
  await rm(folder, { recursive: true })
})
