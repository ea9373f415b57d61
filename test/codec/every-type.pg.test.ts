import { beforeAll, describe, expect, it } from 'vitest'
import { onEachServer, type TestDatabase } from '../server/servers.js'
import { captureCopy, decodeAll, TEXT_SETTINGS, textsOf } from './capture.js'
import { GOLDEN_BYTES, GOLDEN_SQL } from './golden.js'
import { seededRandom, typeCases, type TypeCase } from './every-type.js'

/** TRUNKLINE_TEST_ROWS=23000 compares more than a million cells on each server. */
const ROWS = Number(process.env['TRUNKLINE_TEST_ROWS'] ?? 4000)
const SEED = 20_240_229

onEachServer('COPY BINARY of every type', (server) => {
  const cases = typeCases(server.major)
  let database: TestDatabase
  let payload: Buffer
  let texts: (string | null)[][]

  beforeAll(async () => {
    database = await server.createDatabase()
    await database.sql(TEXT_SETTINGS)
    const random = seededRandom(SEED + server.major)
    const inputs = cases.map((test) =>
      Array.from({ length: ROWS }, (_, row) =>
        row < test.extremes.length ? test.extremes[row]! : random.next() < 0.1 ? null : test.random(random),
      ),
    )
    await database.sql(
      `CREATE TABLE t (id integer, ${cases.map(({ column, sqlType }) => `"${column.name}" ${sqlType}`).join(', ')})`,
    )
    await database.sql(
      `INSERT INTO t SELECT n, ${cases.map(({ sqlType }, i) => `v${i}::${sqlType}`).join(', ')}
         FROM unnest(${cases.map((_, i) => `$${i + 1}::text[]`).join(', ')})
              WITH ORDINALITY AS u(${cases.map((_, i) => `v${i}`).join(', ')}, n)`,
      inputs,
    )
    const selected = cases.map(expressionOf).join(', ')
    payload = await captureCopy(database.url, `SELECT ${selected} FROM t ORDER BY id`)
    const rows = await database.sql(
      `SELECT ${cases.map((test, i) => `format('%s', ${quoted(test)}) AS v${i}, ${quoted(test)} IS NULL AS n${i}`).join(', ')} FROM t ORDER BY id`,
    )
    texts = rows.map((row) => cases.map((_, i) => (row[`n${i}`] === 't' ? null : row[`v${i}`]!)))
  })

  describe.each([
    ['generated code', 'always'],
    ['the interpreter', 'never'],
  ] as const)('decoded by %s', (_, codeGeneration) => {
    it('renders to the text that the server prints, cell by cell', () => {
      const columns = cases.map((test) => test.column)
      const decoded = textsOf(decodeAll(columns, payload, { codeGeneration }))
      expect(decoded).toHaveLength(ROWS)
      const mismatches: string[] = []
      let cells = 0
      decoded.forEach((row, rowIndex) => {
        row.forEach((text, index) => {
          cells++
          if (text !== texts[rowIndex]![index]) {
            mismatches.push(
              `${columns[index]!.name}: ${String(text)} instead of ${String(texts[rowIndex]![index])}`,
            )
          }
        })
      })
      expect(mismatches.slice(0, 20)).toEqual([])
      expect(cells).toBe(ROWS * cases.length)
      expect(cells).toBeGreaterThan(45 * 1000)
    })
  })

  it('sends the golden bytes of the other tests', async () => {
    expect(await captureCopy(database.url, GOLDEN_SQL)).toEqual(Buffer.from(GOLDEN_BYTES))
  })

  it('is the same in whatever pieces it arrives', () => {
    const columns = cases.map((test) => test.column)
    const random = seededRandom(1)
    const cuts: number[] = []
    for (let at = 0; at < payload.length; at += 1 + random.below(random.next() < 0.5 ? 8 : 9000))
      cuts.push(at)
    const whole = decodeAll(columns, payload)
    expect(decodeAll(columns, payload, { cuts })).toEqual(whole)
    expect(decodeAll(columns, payload, { cuts, codeGeneration: 'never' })).toEqual(whole)
  })
})

function quoted({ column }: TypeCase): string {
  return `"${column.name}"`
}

function expressionOf(test: TypeCase): string {
  return test.expression === undefined
    ? quoted(test)
    : `CASE WHEN ${quoted(test)} IS NOT NULL THEN ${test.expression} END`
}
