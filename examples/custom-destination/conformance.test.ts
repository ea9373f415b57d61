/** What every destination promises, asked of this one. Compiled to JavaScript: `node --test conformance.test.js`. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import { runCase, sortCases, type Place } from 'trunkline/testing'
import { createNumberedJsonDestination, readTable } from './numbered-json-destination.js'

async function makePlace(): Promise<Place> {
  const folder = await mkdtemp(join(tmpdir(), 'json-'))
  return {
    create: () => createNumberedJsonDestination(folder),
    // By what lies in the folder, not by the destination.
    readRows: async (table, columns) => {
      const found = await readTable(folder, table)
      if (found === null) return null
      const names = Object.keys(found.columns)
      return found.rows.map((row) => columns.map(({ name }) => row[names.indexOf(name)] ?? null))
    },
    readableDuringRuns: true,
    remove: () => rm(folder, { recursive: true, force: true }),
  }
}

const { offered, notOffered } = await sortCases(makePlace)
for (const one of offered) test(one.name, () => runCase(one, makePlace))
console.log(`${notOffered.length} do not apply`)
