import { expect, test } from 'vitest'
import { looksLikeDestination, parseDestination } from '../../src/config/destination-text.js'

test('a file name and the duckdb: form mean the same', () => {
  const plain = { format: 'duckdb', path: 'shop.duckdb', publish: 'direct' }
  expect(parseDestination('shop.duckdb')).toEqual(plain)
  expect(parseDestination('duckdb:shop.duckdb')).toEqual(plain)
  expect(parseDestination('duckdb:/data/a b.db?publish=atomic')).toEqual({
    format: 'duckdb',
    path: '/data/a b.db',
    publish: 'atomic',
  })
  expect(parseDestination('duckdb:odd?name')).toEqual({
    format: 'duckdb',
    path: 'odd?name',
    publish: 'direct',
  })
})

test('files are told by their kind, and land in a folder or a bucket', () => {
  expect(parseDestination('parquet:./lake?file_size=64MiB&compression=zstd&file_rows=1000')).toEqual({
    format: 'parquet',
    place: { kind: 'folder', path: './lake' },
    layout: { maxFileBytes: 64 * 2 ** 20, maxFileRows: 1000 },
    options: { format: { compression: 'zstd' }, store: {} },
  })
  expect(parseDestination('JSONL:s3://my.bucket/some/prefix/?region=eu-central-1')).toEqual({
    format: 'jsonl',
    place: { kind: 'bucket', bucket: 'my.bucket', prefix: 'some/prefix' },
    layout: {},
    options: { format: {}, store: { region: 'eu-central-1' } },
  })
  expect(parseDestination('csv:s3://bucket')).toMatchObject({
    place: { kind: 'bucket', bucket: 'bucket', prefix: '' },
  })
  expect(parseDestination('arrow:what?now')).toMatchObject({ place: { kind: 'folder', path: 'what?now' } })
  // Whoever reads the options refuses it; a folder of that name would not be found again.
  expect(parseDestination('parquet:dir?compression=zstd?file_rows=1')).toMatchObject({
    place: { kind: 'folder', path: 'dir' },
    options: { format: { compression: 'zstd?file_rows=1' } },
  })
})

test('columns to partition by are those of one table, or of all that have them', () => {
  expect(
    parseDestination('parquet:lake?partition_by=region&partition_by=public.events:day,kind'),
  ).toMatchObject({
    layout: {
      partitionBy: [
        { table: null, column: 'region' },
        { table: 'public.events', column: 'day' },
        { table: null, column: 'kind' },
      ],
    },
  })
})

test('a database is its URL, by either name', () => {
  for (const scheme of ['postgresql', 'postgres', 'PostgreSQL']) {
    expect(parseDestination(`${scheme}://u:p@h/d?sslmode=require`)).toEqual({
      format: 'postgresql',
      url: 'postgresql://u:p@h/d?sslmode=require',
    })
  }
})

test.each([
  ['shop', 'CONFIG_INVALID', 'duckdb:FILE'],
  ['/tmp', 'CONFIG_INVALID', 'duckdb:FILE'],
  ['duckdb:', 'CONFIG_INVALID', 'duckdb:FILE'],
  ['duckdb::memory:', 'CONFIG_INVALID', 'end with the run'],
  ['parqet:dir', 'CONFIG_INVALID', 'Did you mean `parquet:`?'],
  ['parquet:', 'CONFIG_INVALID', 'parquet:DIR'],
  ['csv:gs://u:geheim@bucket', 'CONFIG_INVALID', 'csv:s3://BUCKET'],
  ['csv:s3://', 'CONFIG_INVALID', 'csv:s3://BUCKET'],
  ['csv:s3://key:geheim@bucket/x', 'CONFIG_INVALID', 'from the environment'],
  ['csv:s3://bucket/a/../b', 'CONFIG_INVALID', 'csv:s3://BUCKET'],
  ['csv:dir?secret_key=geheim', 'CONFIG_UNKNOWN_KEY', 'Options: file_size'],
  ['csv:dir?region=eu', 'CONFIG_UNKNOWN_KEY', 'Options: file_size'],
  ['csv:dir?file_size=much', 'CONFIG_INVALID', 'file_size=256MiB'],
  ['csv:dir?file_size=0', 'CONFIG_INVALID', 'file_size=256MiB'],
  ['csv:dir?file_rows=1.5', 'CONFIG_INVALID', 'file_rows=1000000'],
  ['csv:dir?partition_by=a:b:c', 'CONFIG_INVALID', 'partition_by=COLUMN'],
  ['csv:dir?header=true&header=false', 'CONFIG_INVALID', 'Leave one'],
  ['csv:dir?filesize=1', 'CONFIG_UNKNOWN_KEY', 'Did you mean `file_size`?'],
  ['postgresql:u:geheim@h/d', 'CONFIG_INVALID', 'postgresql://user@host'],
  ['postgresqll://u:geheim@h/d', 'CONFIG_INVALID', 'Did you mean `postgresql:`?'],
  ['dukdb:x', 'CONFIG_INVALID', 'Did you mean `duckdb:`?'],
  ['s3://u:geheim@bucket/x', 'CONFIG_INVALID', 'parquet:s3://'],
  ['duckdb:x?publish=later', 'CONFIG_INVALID', 'atomic'],
  ['duckdb:x?publsh=atomic', 'CONFIG_UNKNOWN_KEY', 'publish='],
])('%s is refused with %s', (text, code, hint) => {
  expect(() => parseDestination(text)).toThrow(
    expect.objectContaining({
      code,
      hint: expect.stringContaining(hint) as string,
      message: expect.not.stringContaining('geheim') as string,
    }),
  )
})

test('a destination is told from a stream and from a name of the file', () => {
  expect(looksLikeDestination('shop.duckdb')).toBe(true)
  expect(looksLikeDestination('duckdb:x')).toBe(true)
  expect(looksLikeDestination('public.orders')).toBe(false)
  expect(looksLikeDestination('shop')).toBe(false)
})
