import { describe, expect, it } from 'vitest'
import { buildBatch } from '../../src/batch/build-batch.js'
import { rows, type Value } from '../../src/batch/rows.js'
import type { Batch } from '../../src/batch/batch.js'
import type { Field } from '../../src/model/column-type.js'
import { TrunklineError } from '../../src/model/error.js'
import type { HookContext, HookRow, TransformRow } from '../../src/model/hooks.js'
import type { StreamOptions } from '../../src/model/sync-spec.js'
import { createRowTransform, type WholeRows } from '../../src/transform/transform-batch.js'
import { parseTransforms } from '../../src/transform/transform-spec.js'
import { SAMPLE_FIELDS, sampleBatch } from '../codec/sample-batch.js'

const FIELDS: readonly Field[] = [
  { name: 'id', type: { kind: 'int', bits: 32 }, nullable: false },
  { name: 'region', type: { kind: 'text' }, nullable: true },
]
const BATCH = buildBatch(FIELDS, [
  [1, 'fdx55'],
  [2, null],
  [3, 'weg45'],
])

function run(
  batch: Batch,
  transformRow: TransformRow,
  { options = {}, ...whole }: Partial<WholeRows> & { readonly options?: StreamOptions } = {},
): Batch {
  const { spec } = parseTransforms(
    { ...options, transformRow },
    { stream: 'public.t', columns: batch.fields.map(({ name }) => name), foldName: (name) => name },
  )
  return createRowTransform(spec, batch.fields, { key: ['id'], mayDrop: true, runAtMs: 0, ...whole }).apply(
    batch,
  )
}

function refusal(transformRow: unknown, batch = BATCH, whole: Partial<WholeRows> = {}): string {
  try {
    run(batch, transformRow as TransformRow, whole)
  } catch (error) {
    if (!(error instanceof TrunklineError)) throw error
    expect(error).toMatchObject({ code: 'HOOK_FAILED', context: { stream: 'public.t' } })
    expect(error.cause).toBeUndefined()
    return error.message
  }
  return 'none'
}

describe('a row hook', () => {
  it('is given each row with its stream, fields and options, and changes or leaves out rows', () => {
    const seen: HookContext[] = []
    const hook: TransformRow = (row, context) => {
      seen.push(context)
      if (row['id'] === 2) return null
      return row['region'] === 'fdx55' ? { ...row, region: String(context.options['region']) } : row
    }
    const hooks = { module: 'hooks/region.mjs', options: { region: 'eu' } }
    const after = run(BATCH, hook, { options: { hooks } })
    expect([...rows(after)]).toEqual([
      { id: 1, region: 'eu' },
      { id: 3, region: 'weg45' },
    ])
    expect(seen[0]).toEqual({ stream: 'public.t', fields: FIELDS, options: { region: 'eu' } })
    expect(after).toEqual(
      buildBatch(after.fields, [
        [1, 'eu'],
        [3, 'weg45'],
      ]),
    )
  })

  it('may change the row that it was given', () => {
    const after = run(BATCH, (row) => {
      row['region'] = null
      return row
    })
    expect([...rows(after)].map((row) => row['region'])).toEqual([null, null, null])
  })

  it('that gives back what it got leaves the memory as it is, whatever the types', () => {
    const batch = sampleBatch(20, true)
    const same = run(batch, (row) => ({ ...row }), { key: null })
    expect(same.buffer).toBe(batch.buffer)
    expect([...rows(same)]).toEqual([...rows(batch)])
  })

  it('may give any value of a type in place of any other', () => {
    const all = [...rows(sampleBatch(3, false))]
    for (const { name } of SAMPLE_FIELDS) {
      let row = 0
      const after = run(
        sampleBatch(3, false),
        (given) => ({ ...given, [name]: all[(row++ + 1) % 3]![name]! }),
        {
          key: null,
        },
      )
      expect([...rows(after)]).toEqual(
        all.map((was, index) => ({ ...was, [name]: all[(index + 1) % 3]![name] })),
      )
    }
  })

  it('notices bytes that were changed where they are', () => {
    const fields: Field[] = [{ name: 'content', type: { kind: 'binary' }, nullable: true }]
    const after = run(
      buildBatch(fields, [[Uint8Array.of(1, 2)]]),
      (row) => {
        ;(row['content'] as Uint8Array).fill(9)
        return row
      },
      { key: null },
    )
    expect([...rows(after)]).toEqual([{ content: Uint8Array.of(9, 9) }])
  })

  it('fills in columns that were added for it, and sees neither masks nor new names', () => {
    const after = run(BATCH, (row) => ({ ...row, length: BigInt(String(row['region']).length) }), {
      options: {
        addColumns: { length: { value: null, type: 'bigint' }, at: { from: 'run_at' } },
        mask: { region: 'redact' },
        rename: { region: 'area' },
      },
    })
    expect([...rows(after)][0]).toEqual({ id: 1, area: '[redacted]', length: 5n, at: '1970-01-01T00:00:00Z' })
  })

  it('cannot carry a masked value past the mask under its name', () => {
    const after = run(BATCH, (row) => ({ ...row, region: 'a secret' }), {
      options: { mask: { region: 'redact' } },
    })
    expect(Buffer.from(after.buffer).includes('secret')).toBe(false)
  })

  it('reads columns that are called as an object has it', () => {
    const fields: Field[] = ['__proto__', 'constructor', 'toString'].map((name) => ({
      name,
      type: { kind: 'text' },
      nullable: true,
    }))
    const batch = buildBatch(fields, [['a', 'b', 'c'] as Value[]])
    const after = run(batch, (row) => ({ ...row, constructor: 'd' }), { key: null })
    expect(Object.entries([...rows(after)][0]!)).toEqual([
      ['__proto__', 'a'],
      ['constructor', 'd'],
      ['toString', 'c'],
    ])
  })

  it.each<[what: string, hook: unknown, message: RegExp]>([
    ['nothing', () => undefined, /returned nothing, for public\.t/],
    ['a promise', (row: HookRow) => Promise.resolve(row), /returned a promise/],
    ['a list', () => [], /returned what is no row/],
    ['text', () => 'fdx55', /returned what is no row/],
    ['a row that lacks a column', ({ id }: HookRow) => ({ id }), /returned nothing for "region"/],
    [
      'a column that is not there',
      (row: HookRow) => ({ ...row, more: 1 }),
      /a column "more" that the row does not have/,
    ],
    [
      'a number for text',
      (row: HookRow) => ({ ...row, region: 7 }),
      /a number where text belongs for "region"/,
    ],
    [
      'half a character',
      (row: HookRow) => ({ ...row, region: 'fdx55 \ud83d' }),
      /a string where text belongs for "region"/,
    ],
    [
      'text for a number',
      (row: HookRow) => ({ ...row, id: '1' }),
      /a string where a whole number of 32 bits/,
    ],
    [
      'a number too large',
      (row: HookRow) => ({ ...row, id: 2 ** 31 }),
      /whole number of 32 bits belongs for "id"/,
    ],
    ['another key', (row: HookRow) => ({ ...row, id: 7 }), /changed "id", which is part of the key/],
    ['no key', (row: HookRow) => ({ ...row, id: null }), /changed "id", which is part of the key/],
  ])('is refused when it returns %s, without the value', (_, hook, message) => {
    const said = refusal(hook)
    expect(said).toMatch(message)
    expect(said).not.toContain('fdx55')
  })

  it('is refused when text is not what its column holds', () => {
    const fields: Field[] = [
      { name: 'total', type: { kind: 'decimal', precision: 4, scale: 2 }, nullable: true },
      { name: 'document', type: { kind: 'json' }, nullable: true },
      { name: 'day', type: { kind: 'date' }, nullable: true },
      { name: 'id', type: { kind: 'uuid' }, nullable: true },
    ]
    const batch = buildBatch(fields, [['1.00', '{}', '2024-01-01', null]])
    for (const [name, value] of [
      ['total', '12345.6'],
      ['total', 'much'],
      ['document', '{'],
      ['day', 'today'],
      ['id', '12'],
    ] as const) {
      const said = refusal((row: HookRow) => ({ ...row, [name]: value }), batch, { key: null })
      expect(said).toContain(`"${name}"`)
      expect(said).not.toContain(value === '{' ? '{' : value)
    }
  })

  it('that throws is named with its line, and never with what it said', () => {
    const said = refusal((row: HookRow) => {
      throw new RangeError(`no region ${String(row['region'])}`)
    })
    expect(said).toMatch(/^transformRow threw RangeError at row-hook\.test\.ts:\d+:\d+, for public\.t\.$/)
  })

  it('may leave out rows only where that is allowed', () => {
    expect(refusal(() => null, BATCH, { mayDrop: false })).toMatch(/left out a row, for public\.t/)
    expect(run(BATCH, () => null).rowCount).toBe(0)
  })
})
