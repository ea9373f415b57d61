import { readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { toJsonSchema } from '../../src/config/file-schema.js'

test('the published schema is the one that files are checked by (renew: trunkline schema > docs/reference/trunkline.schema.json)', async () => {
  const published = await readFile(
    new URL('../../docs/reference/trunkline.schema.json', import.meta.url),
    'utf8',
  )
  expect(JSON.parse(published)).toEqual(toJsonSchema())
})

test('the published schema refuses keys that do not exist', () => {
  const text = JSON.stringify(toJsonSchema())
  expect(text).toContain('"additionalProperties":false')
  expect(text).toContain('exclude_columns')
})
