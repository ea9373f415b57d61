/** That every value of every type comes out as it went in: few rows, many rows, wide rows and huge values. */
import assert from 'node:assert/strict'
import type { Batch } from '../batch/batch.js'
import type { Field } from '../model/column-type.js'
import type { Landing } from '../model/sync-spec.js'
import { conformanceCase, perLanding, type UnsortedCase } from './case.js'
import { rejectsWith } from './expect.js'
import { ID, NOTE, ORDERS, land, landingBy, normalRows, readNormal, savedState } from './landings.js'
import { makeBatch } from './make-batch.js'
import type { Place } from './place.js'
import type { Plain } from './plain.js'
import { TYPE_SAMPLES, type TypeSamples } from './samples.js'

const MEBIBYTE = 1024 * 1024
/** What a table of PostgreSQL can have. */
const MOST_COLUMNS = 1600

/** How a place refuses what it cannot hold. */
const REFUSALS = ['VALUE_UNREPRESENTABLE', 'STREAM_UNSUPPORTED', 'CONFIG_UNSUPPORTED', 'DESTINATION_INVALID']

export const valueCases: readonly UnsortedCase[] = [
  ...perLanding('keeps every value of every type, nulls between', [], async (place, landing) => {
    const samples = TYPE_SAMPLES.flatMap(({ title, type, values }): readonly TypeSamples[] =>
      place.refuses?.(type) === true
        ? []
        : [{ title, type, values: values.filter((value) => place.refuses?.(type, value) !== true) }],
    )
    const fields: Field[] = [
      ID,
      ...samples.map(({ type }, index): Field => ({ name: `v${index}`, type, nullable: true })),
    ]
    const most = Math.max(...samples.map(({ values }) => values.length))
    // Each value stands once in a row of its own and once in a row below it, with nulls above, between and after.
    const rows = Array.from({ length: most * 2 + 3 }, (_, row): readonly Plain[] => [
      row,
      ...samples.map(({ values }) => (row === 0 ? null : (values[(row - 1) % (most + 1)] ?? null))),
    ])
    await landTwice(place, landing, fields, rows)
  }),

  conformanceCase(
    'refuses the values, and the types, that it says it cannot hold, and nothing else',
    ['replace'],
    async (place) => {
      for (const { type, values } of TYPE_SAMPLES) {
        const field: Field = { name: 'v', type, nullable: true }
        const refused =
          place.refuses?.(type) === true
            ? [null]
            : values.filter((value) => place.refuses?.(type, value) === true)
        for (const value of refused) {
          const batch = makeBatch([ID, field], [[1, value]])
          await rejectsWith(
            REFUSALS,
            land(place, { ...landingBy('replace', 1), fields: [ID, field] }, [batch]),
          )
          assert.equal(await place.readRows(ORDERS, [ID]), null)
          assert.equal(await savedState(place), undefined)
        }
      }
    },
  ),

  ...perLanding(
    'keeps columns without a null, with nothing but nulls, and without a value',
    [],
    async (place, landing) => {
      const samples = TYPE_SAMPLES.filter(({ type }) => place.refuses?.(type) !== true)
      const fields = [
        ID,
        ...samples.flatMap(({ type }, index): Field[] => [
          { name: `full${index}`, type, nullable: true },
          { name: `none${index}`, type, nullable: true },
        ]),
      ]
      const rows = [0, 1, 2].map((row): readonly Plain[] => [
        row,
        ...samples.flatMap(({ type, values }): Plain[] => [
          values.find((value) => place.refuses?.(type, value) !== true) ?? null,
          null,
        ]),
      ])
      await landTwice(place, landing, fields, rows)
    },
  ),

  conformanceCase('keeps every row of many batches of odd sizes', ['replace'], async (place) => {
    const fields: Field[] = [
      ID,
      { name: 'flag', type: { kind: 'bool' }, nullable: true },
      { ...NOTE, nullable: false },
      { name: 'many', type: { kind: 'text' }, nullable: true },
      { name: 'price', type: { kind: 'decimal', precision: 20, scale: 2 }, nullable: true },
    ]
    const total = 40_000
    const rowOf = (row: number): readonly Plain[] => [
      row,
      row % 5 === 0 ? null : row % 2 === 0,
      `note ${row % 97}`,
      row % 7 === 0 ? null : `note ${row} ${'.'.repeat(row % 40)}`,
      row % 3 === 0 ? null : `${row * 31}.${row % 10}`,
    ]
    const batches: Batch[] = []
    for (let from = 0; from < total;) {
      const count = Math.min(total - from, 1 + ((from * 7919) % 9973))
      const start = from
      batches.push(
        makeBatch(
          fields,
          Array.from({ length: count }, (_, index) => rowOf(start + index)),
        ),
      )
      from += count
    }
    await land(place, { ...landingBy('replace', 1), fields }, batches)
    const expected = Array.from({ length: total }, (_, row) => rowOf(row))
    await expectRows(place, fields, expected)
  }),

  conformanceCase(`lands a table of ${MOST_COLUMNS} columns`, ['replace'], async (place) => {
    const fields = Array.from({ length: MOST_COLUMNS }, (_, index): Field => ({
      name: `x${index}`,
      type: { kind: 'int', bits: index % 2 === 0 ? 32 : 16 },
      nullable: index % 3 === 0,
    }))
    const rows = [0, 1, 2].map((row) =>
      fields.map(({ nullable }, index) => (nullable && (row + index) % 2 === 0 ? null : row * 1000 + index)),
    )
    await land(place, { ...landingBy('replace', 1), fields, key: null }, [makeBatch(fields, rows)])
    await expectRows(place, fields, rows)
  }),
]

/** @param mebibytes of each huge value */
export function hugeCases(mebibytes: number): readonly UnsortedCase[] {
  return perLanding(`keeps values of ${mebibytes} MiB`, [], async (place, landing) => {
    const fields: Field[] = [
      ID,
      NOTE,
      { name: 'bytes', type: { kind: 'binary' }, nullable: true },
      { name: 'document', type: { kind: 'json' }, nullable: true },
    ]
    const bytes = mebibytes * MEBIBYTE
    const row = (id: number): readonly Plain[] => [
      id,
      `${id} ü`.repeat(Math.floor(bytes / 5)),
      Uint8Array.from({ length: bytes }, (_, index) => (index * 31 + id) % 253),
      `{"text": "${'y'.repeat(bytes)}"}`,
    ]
    const by = { ...landingBy(landing, 1), fields }
    await land(place, by, [
      makeBatch(fields, [[0, 'small', null, '{}'], row(1)]),
      makeBatch(fields, [[2, null, Uint8Array.of(1), null]]),
    ])
    // One column at a time, so that a reader need not hold all of them twice.
    const expected = [[0, 'small', null, '{}'], row(1), [2, null, Uint8Array.of(1), null]]
    for (const [index, field] of fields.entries()) {
      if (index === 0) continue
      const found = await readNormal(place, ORDERS, [ID, field])
      const wanted = normalRows(
        place,
        [ID, field],
        expected.map((values) => [values[0] ?? null, values[index] ?? null]),
      )
      assert.equal(found?.length, wanted.length)
      for (const [at, [id, text]] of wanted.entries()) {
        // Not deepEqual, whose message would hold the values.
        assert.ok(
          found[at]?.[0] === id && found[at]?.[1] === text,
          `${field.name} of row ${String(id)} is another`,
        )
      }
    }
  })
}

/** Lands the rows in a first run and, changed in id alone, in a second, and compares what is there. */
async function landTwice(
  place: Place,
  landing: Landing,
  fields: readonly Field[],
  rows: readonly (readonly Plain[])[],
): Promise<void> {
  const moved = rows.map(([id, ...rest]): readonly Plain[] => [Number(id) + 1000, ...rest])
  const half = Math.ceil(rows.length / 2)
  await land(place, { ...landingBy(landing, 1), fields }, [
    makeBatch(fields, rows.slice(0, half)),
    makeBatch(fields, rows.slice(half)),
  ])
  await expectRows(place, fields, rows)
  await land(place, { ...landingBy(landing, 2), fields }, [makeBatch(fields, moved)])
  await expectRows(place, fields, landing === 'replace' ? moved : [...rows, ...moved])
}

async function expectRows(
  place: Place,
  fields: readonly Field[],
  rows: readonly (readonly Plain[])[],
): Promise<void> {
  const found = await readNormal(place, ORDERS, fields)
  const wanted = normalRows(place, fields, rows)
  assert.equal(found?.length, wanted.length)
  const wrong: string[] = []
  for (const [at, row] of wanted.entries()) {
    for (const [column, value] of row.entries()) {
      const other = found[at]?.[column]
      const { name = '', type } = fields[column] ?? {}
      if (value === other || wrong.length > 10) continue
      wrong.push(`${name} ${JSON.stringify(type)}: ${shorten(value)} became ${shorten(other)}`)
    }
  }
  assert.deepEqual(wrong, [])
}

function shorten(value: string | null | undefined): string {
  const text = value === undefined ? 'nothing' : JSON.stringify(value)
  return text.length > 100 ? `${text.slice(0, 100)}… (${text.length})` : text
}
