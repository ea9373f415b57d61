import { expect, test } from 'vitest'
import { directions, judgeImport, packages } from './import-directions.js'
import { type ModuleImport, listFiles, readImports, readText } from './source-files.js'

const sources = listFiles('src').filter((path) => path.endsWith('.ts'))

test('every import in src goes in an allowed direction', () => {
  const wrong: string[] = []
  for (const path of sources) {
    for (const found of readImports(path, readText(path))) {
      const judgement = judgeImport(path.slice('src/'.length), found)
      if (judgement !== null) wrong.push(`${path} ${judgement}`)
    }
  }
  expect(wrong).toEqual([])
})

test('every part of src and every dependency stands in the tables', () => {
  const parts = sources.map((path) => path.split('/')[1]?.replace(/\.ts$/, ''))
  expect(parts.filter((part) => part === undefined || !(part in directions))).toEqual([])
  const manifest = JSON.parse(readText('package.json')) as Record<string, Record<string, string>>
  const declared = Object.keys({ ...manifest['dependencies'], ...manifest['peerDependencies'] })
  expect(declared.sort()).toEqual(Object.keys(packages).sort())
})

test('the directions have no circle', () => {
  const visit = (part: string, path: readonly string[]): void => {
    expect(path, `${[...path, part].join(' → ')}`).not.toContain(part)
    for (const next of directions[part]?.values ?? []) visit(next, [...path, part])
  }
  for (const part of Object.keys(directions)) visit(part, [])
})

test.each<[path: string, found: ModuleImport, wrong: RegExp | null]>([
  ['model/xid.ts', { kind: 'type', specifier: '../batch/batch.js' }, /model may import nothing/],
  ['codec/numeric.ts', { kind: 'static', specifier: '../batch/batch.js' }, null],
  ['codec/numeric.ts', { kind: 'static', specifier: './temporal.js' }, null],
  ['codec/numeric.ts', { kind: 'lazy', specifier: '../source/reader.js' }, /imports source/],
  ['sync/engine.ts', { kind: 'type', specifier: '../source/contract.js' }, null],
  ['sync/engine.ts', { kind: 'static', specifier: '../source/contract.js' }, /types of source/],
  ['cli/main.ts', { kind: 'static', specifier: '../index.js' }, /imports index/],
  ['cli/commands/sync.ts', { kind: 'static', specifier: '../../source/discover.js' }, /imports source/],
  ['index.ts', { kind: 'static', specifier: './connectors.js' }, null],
  ['index.ts', { kind: 'static', specifier: '../test/x.js' }, /outside src/],
  ['cli/main.ts', { kind: 'static', specifier: 'pg' }, /belongs to postgres/],
  ['postgres/connect.ts', { kind: 'static', specifier: 'pg/lib/x.js' }, null],
  ['destination/duckdb/a.ts', { kind: 'static', specifier: '@duckdb/node-api' }, /at once/],
  ['destination/duckdb/a.ts', { kind: 'lazy', specifier: '@duckdb/node-api' }, null],
  ['destination/duckdb/a.ts', { kind: 'type', specifier: '@duckdb/node-api' }, null],
  ['destination/csv.ts', { kind: 'lazy', specifier: '@duckdb/node-api' }, /belongs to destination\/duckdb/],
  ['model/x.ts', { kind: 'static', specifier: 'left-pad' }, /no part is entered/],
  ['model/x.ts', { kind: 'static', specifier: 'fs' }, /without node:/],
])('judges the import of %s %o', (path, found, wrong) => {
  const judgement = judgeImport(path, found)
  if (wrong === null) expect(judgement).toBeNull()
  else expect(judgement).toMatch(wrong)
})

test('reads every form of import', () => {
  const text = `
    import a from './a.js'
    import './b.js'
    import type { C } from './c.js'
    import { type D } from './d.js'
    import { type E, e } from './e.js'
    export * from './f.js'
    export type { G } from './g.js'
    const h = await import('./h.js')
    type I = import('./i.js').I
    const load = () => require('./k.cjs')
    const loaded = require('./l.cjs')
    const notAnImport = "import j from './j.js'"
  `
  expect(readImports('x.ts', text)).toEqual([
    { kind: 'static', specifier: './a.js' },
    { kind: 'static', specifier: './b.js' },
    { kind: 'type', specifier: './c.js' },
    { kind: 'type', specifier: './d.js' },
    { kind: 'static', specifier: './e.js' },
    { kind: 'static', specifier: './f.js' },
    { kind: 'type', specifier: './g.js' },
    { kind: 'lazy', specifier: './h.js' },
    { kind: 'type', specifier: './i.js' },
    { kind: 'lazy', specifier: './k.cjs' },
    { kind: 'static', specifier: './l.cjs' },
  ])
})
