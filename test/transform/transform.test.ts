import { createHash, createHmac } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { buildBatch } from '../../src/batch/build-batch.js'
import { rows, type Value } from '../../src/batch/rows.js'
import type { Batch } from '../../src/batch/batch.js'
import type { Field } from '../../src/model/column-type.js'
import type { TrunklineError } from '../../src/model/error.js'
import type { HookRow } from '../../src/model/hooks.js'
import { keepsIdentity, parseMask, type Mask } from '../../src/model/mask.js'
import type { StreamOptions } from '../../src/model/sync-spec.js'
import { createMasker, maskField } from '../../src/transform/mask.js'
import {
  createKeyTransform,
  createRowTransform,
  type WholeRows,
} from '../../src/transform/transform-batch.js'
import {
  fingerprintTransforms,
  parseTransforms,
  type TransformSpec,
} from '../../src/transform/transform-spec.js'
import { SAMPLE_FIELDS, sampleBatch } from '../codec/sample-batch.js'

const KEY = 'a secret of enough characters'

const RUN_AT = Date.UTC(2026, 0, 2, 3, 4, 5, 600)
const WHOLE: WholeRows = { key: null, mayDrop: true, runAtMs: RUN_AT }

function specOf(fields: readonly Field[], options: StreamOptions): TransformSpec {
  const columns = fields.map(({ name }) => name)
  return parseTransforms(options, { stream: 'public.t', columns, foldName: (name) => name.toLowerCase() })
    .spec
}

function transform(batch: Batch, options: StreamOptions, whole: Partial<WholeRows> = {}): Batch {
  return createRowTransform(specOf(batch.fields, options), batch.fields, { ...WHOLE, ...whole }).apply(batch)
}

function textOf(mask: Mask): string {
  if (mask.kind === 'hmac') return `hmac:${mask.key}`
  return mask.kind === 'partial' ? `partial:${mask.keep}` : mask.kind
}

function mask(batch: Batch, masks: Readonly<Record<string, Mask>>): Batch {
  const texts = Object.entries(masks).map(([name, each]) => [name, textOf(each)])
  return transform(batch, { mask: Object.fromEntries(texts) as Record<string, string> })
}

describe('a mask', () => {
  it('is read from its text', () => {
    expect(parseMask(`hmac:${KEY}`, 'x')).toEqual({ kind: 'hmac', key: KEY })
    expect(parseMask('hmac:0123456789abcdef:with:colons', 'x')).toMatchObject({
      key: '0123456789abcdef:with:colons',
    })
    expect(parseMask('partial', 'x')).toEqual({ kind: 'partial', keep: 4 })
    expect(parseMask('partial:2', 'x')).toEqual({ kind: 'partial', keep: 2 })
    for (const kind of ['hash', 'redact', 'null'] as const) expect(parseMask(kind, 'x')).toEqual({ kind })
  })

  it('is refused by name of its place, without the secret in the error', () => {
    for (const text of ['hmac', 'hmac:short', 'partial:', 'partial:-1', 'partial:x', 'hash:md5', 'sha', '']) {
      expect(() => parseMask(text, 'streams.users.mask.email')).toThrow(/^streams\.users\.mask\.email: /)
    }
    expect(() => parseMask('hmac:short', 'x')).toThrow(
      expect.not.objectContaining({ message: expect.stringContaining('short') }),
    )
  })

  it('by hmac gives what any other HMAC-SHA-256 gives, of the value as the server prints it', () => {
    const fields: Field[] = [{ name: 'id', type: { kind: 'int', bits: 64 }, nullable: false }]
    const [row] = rows(mask(buildBatch(fields, [[42n]]), { id: { kind: 'hmac', key: KEY } }))
    expect(row).toEqual({ id: createHmac('sha256', KEY).update('42').digest('hex') })
  })

  it('keeps equal values equal and others apart only by hmac', () => {
    const kinds = (['hash', 'redact', 'null'] as const).map((kind): Mask => ({ kind }))
    expect(kinds.map(keepsIdentity)).toEqual([false, false, false])
    expect(keepsIdentity({ kind: 'hmac', key: KEY })).toBe(true)
    const masker = createMasker({ kind: 'hmac', key: KEY })
    fc.assert(
      fc.property(fc.string(), fc.string(), (a, b) => {
        expect(masker(a) === masker(b)).toBe(a === b)
      }),
    )
  })

  it('by part shows the last characters of a longer text and nothing of a short one', () => {
    const masker = createMasker({ kind: 'partial', keep: 4 })
    expect(masker('0123456789')).toBe('******6789')
    expect(masker('ß💧abc')).toBe('*💧abc')
    expect(masker('1234')).toBe('****')
    expect(masker('')).toBe('')
    expect(createMasker({ kind: 'partial', keep: 0 })('abc')).toBe('***')
  })
})

describe('a transformed batch', () => {
  const everyMask: readonly Mask[] = [
    { kind: 'hmac', key: KEY },
    { kind: 'hash' },
    { kind: 'redact' },
    { kind: 'partial', keep: 2 },
    { kind: 'null' },
  ]

  it('is a batch of its fields, whatever the type of the masked column, with nulls where they were', () => {
    for (const field of SAMPLE_FIELDS) {
      for (const [rowCount, someNull] of [
        [0, false],
        [9, false],
        [19, true],
      ] as const) {
        const before = sampleBatch(rowCount, someNull)
        for (const each of everyMask) {
          const after = mask(before, { [field.name]: each })
          const was = [...rows(before)]
          const is = [...rows(after)]
          expect(after.fields.find(({ name }) => name === field.name)).toEqual(maskField(field, each))
          is.forEach((row, index) => {
            const { [field.name]: masked, ...rest } = row
            const { [field.name]: value, ...others } = was[index]!
            expect(rest).toEqual(others)
            expect(masked === null).toBe(value === null || each.kind === 'null')
          })
          // As a builder makes it from its values: spans, bitmaps and offsets are those of any other batch.
          expect(
            buildBatch(
              after.fields,
              is.map((row) => after.fields.map(({ name }) => row[name]!)),
            ),
          ).toEqual(after)
        }
      }
    }
  })

  it('holds nothing of a masked value anywhere in its memory', () => {
    const fields: Field[] = [
      { name: 'email', type: { kind: 'text' }, nullable: false },
      { name: 'n', type: { kind: 'int', bits: 32 }, nullable: false },
    ]
    const batch = buildBatch(fields, [['ada@example.org', 1]])
    for (const each of everyMask.filter(({ kind }) => kind !== 'partial')) {
      const { buffer } = mask(batch, { email: each })
      expect(Buffer.from(buffer).includes('example')).toBe(false)
    }
  })

  it('gets constant columns behind its own, each of its type', () => {
    const addColumns = {
      region: 'eu',
      empty: '',
      batch: 7n,
      number: 8,
      rate: 0.5,
      whole: { value: 2, type: 'double' },
      checked: true,
      open: false,
      since: { value: '2024-01-31T12:00:00+02:00', type: 'timestamp' },
      later: { value: null, type: 'text' },
      unknown: { value: null, type: 'boolean' },
    } as const
    const fields: Field[] = [{ name: 'id', type: { kind: 'int', bits: 32 }, nullable: true }]
    const values: Value[][] = Array.from({ length: 17 }, (_, index) => [index % 3 === 0 ? null : index])
    const batch = transform(buildBatch(fields, values), { addColumns })
    const expected = values.map(([id]) => ({
      id,
      region: 'eu',
      empty: '',
      batch: 7n,
      number: 8n,
      rate: 0.5,
      whole: 2,
      checked: true,
      open: false,
      since: '2024-01-31T10:00:00Z',
      later: null,
      unknown: null,
    }))
    expect([...rows(batch)]).toEqual(expected)
    expect(
      buildBatch(
        batch.fields,
        expected.map((row) => Object.values(row) as Value[]),
      ),
    ).toEqual(batch)
  })

  it('tells of the run, but not where only rows are compared', () => {
    const fields: Field[] = [{ name: 'id', type: { kind: 'int', bits: 32 }, nullable: false }]
    const addColumns = {
      at: { from: 'run_at' },
      sync_timestamp: { from: 'epoch_seconds' },
      region: 'eu',
    } as const
    const batch = buildBatch(fields, [[1]])
    expect([...rows(transform(batch, { addColumns }))]).toEqual([
      { id: 1, region: 'eu', at: '2026-01-02T03:04:05.6Z', sync_timestamp: RUN_AT / 1000 },
    ])
    expect([...rows(transform(batch, { addColumns }, { runAtMs: null }))]).toEqual([{ id: 1, region: 'eu' }])
  })

  it('gets a row id that depends on the landed key alone, or on the whole row where there is none', () => {
    const fields: Field[] = [
      { name: 'id', type: { kind: 'int', bits: 64 }, nullable: false },
      { name: 'part', type: { kind: 'text' }, nullable: true },
      { name: 'v', type: { kind: 'text' }, nullable: true },
    ]
    const options = { addColumns: { _id: { from: 'row_id' }, region: 'eu' } } as const
    const ids = (values: Value[][], key: readonly string[] | null, more: StreamOptions = {}): Value[] =>
      [...rows(transform(buildBatch(fields, values), { ...options, ...more }, { key }))].map(
        (row) => row['_id']!,
      )
    const sample: Value[][] = [
      [1n, 'a', 'x'],
      [1n, 'a', 'y'],
      [1n, null, 'x'],
      [1n, '', 'x'],
      [11n, 'a', 'x'],
    ]
    const byKey = ids(sample, ['id', 'part'])
    expect(byKey[0]).toBe(createHash('sha256').update('1:11:a').digest('hex').slice(0, 32))
    expect(byKey[1]).toBe(byKey[0])
    expect(new Set(byKey).size).toBe(4)
    expect(new Set(ids(sample, null)).size).toBe(5)
    expect(ids(sample, ['id', 'part'], { addColumns: { ...options.addColumns, other: 1 } })).toEqual(byKey)
    // Of what lands: the values themselves could be guessed by an id of theirs.
    const masked = ids(sample, ['id', 'part'], { mask: { id: `hmac:${KEY}` } })
    expect(masked.filter((id) => byKey.includes(id))).toEqual([])
    expect(new Set(masked).size).toBe(4)
  })

  it('is renamed over the same memory, and so are keys alone', () => {
    const batch = sampleBatch(9, true)
    const renamed = transform(batch, { rename: { flag: 'is_on' } })
    expect(renamed.buffer).toBe(batch.buffer)
    expect(renamed.fields.map(({ name }) => name)).toEqual(
      batch.fields.map(({ name }) => (name === 'flag' ? 'is_on' : name)),
    )
    const fields = SAMPLE_FIELDS.filter(({ name }) => name === 'large')
    const spec = specOf(SAMPLE_FIELDS, {
      rename: { large: 'key' },
      mask: { large: `hmac:${KEY}` },
      addColumns: { a: 1 },
    })
    const keys = createKeyTransform(spec, fields).apply(buildBatch(fields, [[42n]]))
    expect([...rows(keys)]).toEqual([{ key: createHmac('sha256', KEY).update('42').digest('hex') }])
  })
})

describe('what is stated of columns', () => {
  const fields: Field[] = ['id', 'Region'].map((name) => ({ name, type: { kind: 'text' }, nullable: true }))
  const refusal = (options: StreamOptions): string => {
    try {
      specOf(fields, options)
    } catch (error) {
      return `${(error as TrunklineError).code} ${(error as TrunklineError).message}`
    }
    return 'none'
  }

  it('is refused where it names no column that lands', () => {
    expect(refusal({ mask: { email: 'redact' } })).toMatch(/^STREAM_MISSING .*"email", which `mask` names/)
    expect(refusal({ rename: { email: 'mail' } })).toMatch(/^STREAM_MISSING .*"email", which `rename` names/)
  })

  it('is refused where an added column takes the name of another, as the destination tells names apart', () => {
    expect(refusal({ addColumns: { region: 'eu' } })).toMatch(
      /^NAME_COLLISION The added column "region" of public.t and its own "Region"/,
    )
    expect(refusal({ rename: { id: 'key' }, addColumns: { key: 'eu' } })).toMatch(/^NAME_COLLISION .*"id"/)
    expect(refusal({ rename: { Region: 'area' }, addColumns: { region: 'eu' } })).toBe('none')
    const parse = (ifPresent: 'keep' | 'replace'): ReturnType<typeof parseTransforms> =>
      parseTransforms(
        { addColumns: { region: { value: 'eu', ifPresent } }, mask: { Region: 'redact' } },
        { stream: 'public.t', columns: ['id', 'Region'], foldName: (name) => name.toLowerCase() },
      )
    expect(parse('keep').spec.added).toEqual([])
    expect([...parse('replace').replaced]).toEqual(['Region'])
    expect(parse('replace').spec.masks.size).toBe(0)
  })

  it('is refused where a constant is not of its type', () => {
    for (const column of [
      { value: null },
      { value: 'x', type: 'bigint' },
      { value: 'x', type: 'double' },
      { value: '', type: 'double' },
      { value: 1, type: 'boolean' },
      { value: 'yesterday', type: 'timestamp' },
      { value: '9223372036854775808', type: 'bigint' },
    ] as const) {
      expect(refusal({ addColumns: { a: column } })).toMatch(
        /^CONFIG_INVALID The added column "a" of public.t: /,
      )
    }
  })

  it('has a fingerprint that tells every change and no secret', () => {
    const print = (options: StreamOptions, key: readonly string[] | null = null): string =>
      JSON.stringify(fingerprintTransforms(specOf(fields, options), key))
    const hook = (row: HookRow): HookRow => row
    const all: readonly StreamOptions[] = [
      {},
      { mask: { id: `hmac:${KEY}` } },
      { mask: { id: `hmac:${KEY} other` } },
      { mask: { id: 'partial' } },
      { mask: { id: 'partial:5' } },
      { mask: { id: 'redact' } },
      { mask: { Region: 'redact' } },
      { rename: { id: 'a' } },
      { rename: { id: 'b' } },
      { addColumns: { a: 1 } },
      { addColumns: { a: '1' } },
      { addColumns: { a: 2 } },
      { addColumns: { a: { from: 'run_at' } } },
      { addColumns: { a: { from: 'row_id' } } },
      { transformRow: hook },
      { transformRow: hook, hookVersion: '2' },
      { transformRow: hook, hookVersion: '2', hooks: { module: 'a.mjs', options: { region: 'eu' } } },
      { transformRow: (row) => (row['id'] === '' ? null : row) },
    ]
    const prints = all.map((options) => print(options))
    expect(new Set(prints).size).toBe(all.length)
    expect(prints.join('')).not.toContain(KEY)
    expect(print({ rename: { id: 'id' } })).toBe(print({}))
    expect(print({ addColumns: { a: { from: 'row_id' } } }, ['id'])).not.toBe(
      print({ addColumns: { a: { from: 'row_id' } } }),
    )
    expect(print({ mask: { id: 'redact', Region: 'hash' } })).toBe(
      print({ mask: { Region: 'hash', id: 'redact' } }),
    )
  })
})
