import { readFile } from 'node:fs/promises'
import { expect, expectTypeOf, test } from 'vitest'
import type { z } from 'zod'
import { eventJsonSchema, type eventSchema } from '../../src/cli/event-schema.js'
import type { ProgressEvent } from '../../src/model/report.js'

type Described = z.infer<typeof eventSchema>

test('the schema describes every event of a run, field by field', () => {
  expectTypeOf<Exclude<Described['kind'], 'error'>>().toEqualTypeOf<ProgressEvent['kind']>()
  expectTypeOf<Fields<Described>>().toEqualTypeOf<Fields<ProgressEvent>>()
  expectTypeOf<keyof ReportOf<Described>>().toEqualTypeOf<keyof ReportOf<ProgressEvent>>()
  expectTypeOf<keyof StreamReportOf<Described>>().toEqualTypeOf<keyof StreamReportOf<ProgressEvent>>()
})

test('the published schema is the one that events are checked by (renew: trunkline schema events > docs/reference/trunkline-events.schema.json)', async () => {
  const page = new URL('../../docs/reference/trunkline-events.schema.json', import.meta.url)
  expect(JSON.parse(await readFile(page, 'utf8'))).toEqual(eventJsonSchema())
})

/** Fields by kind, the version and the error event aside. */
type Fields<E extends { kind: string }> = {
  [K in Exclude<E['kind'], 'error'>]: Exclude<keyof Extract<E, { kind: K }>, 'v'>
}
type ReportOf<E extends { kind: string }> =
  Extract<E, { kind: 'run_finished' }> extends { report: infer R } ? R : never
type StreamReportOf<E extends { kind: string }> =
  Extract<E, { kind: 'stream_finished' }> extends { report: infer R } ? R : never
