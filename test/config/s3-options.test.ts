import { describe, expect, test } from 'vitest'
import { readS3Options } from '../../src/config/s3-options.js'

const place = { bucket: 'lake', prefix: 'shop' }

describe('the options of a bucket', () => {
  test('are all left to the environment where none is given', () => {
    expect(readS3Options(place, {})).toEqual({
      ...place,
      region: null,
      endpoint: null,
      pathStyle: false,
      profile: null,
      singleWriter: false,
      encryption: null,
      storageClass: null,
    })
  })

  test('an endpoint of another store is addressed by path unless told otherwise', () => {
    const endpoint = 'https://minio.example:9000'
    expect(readS3Options(place, { endpoint: `${endpoint}/` })).toMatchObject({ endpoint, pathStyle: true })
    expect(readS3Options(place, { endpoint, path_style: 'false' })).toMatchObject({ pathStyle: false })
    expect(readS3Options(place, { path_style: 'true' })).toMatchObject({ endpoint: null, pathStyle: true })
  })

  test.each([
    [{ encryption: 'AES256' }, { kind: 'AES256' }],
    [{ encryption: 'aws:kms' }, { kind: 'aws:kms', keyId: null }],
    [{ kms_key_id: 'alias/lake' }, { kind: 'aws:kms', keyId: 'alias/lake' }],
  ])('%o encrypts by %o', (options, encryption) => {
    expect(readS3Options(place, options)).toMatchObject({ encryption })
  })

  test.each<[Record<string, string>, string]>([
    [{ region: '' }, 'CONFIG_INVALID'],
    [{ path_style: 'yes' }, 'CONFIG_INVALID'],
    [{ single_writer: '1' }, 'CONFIG_INVALID'],
    [{ endpoint: 'minio:9000' }, 'CONFIG_INVALID'],
    [{ endpoint: 'https://user:canary@minio' }, 'CONFIG_INVALID'],
    [{ endpoint: 'https://minio?key=canary' }, 'CONFIG_INVALID'],
    [{ encryption: 'rot13' }, 'CONFIG_INVALID'],
    [{ encryption: 'AES256', kms_key_id: 'x' }, 'CONFIG_INVALID'],
  ])('%o is refused, and what may be a secret is not quoted', (options, code) => {
    const read = (): unknown => readS3Options(place, options)
    expect(read).toThrow(expect.objectContaining({ code, hint: expect.stringMatching(/./) as string }))
    expect(read).toThrow(/^(?!.*canary)/s)
  })

  test('a directory bucket is refused by name: it lists in no order', () => {
    expect(() => readS3Options({ bucket: 'lake--use1-az4--x-s3', prefix: '' }, {})).toThrow(
      expect.objectContaining({ code: 'CONFIG_UNSUPPORTED' }),
    )
  })
})
