import { createHash } from 'node:crypto'
import { PassThrough } from 'node:stream'
import { S3 } from '@aws-sdk/client-s3'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { noCloud, stubEnvironment } from './open-s3-store.js'
import { startS3Server, type S3Server } from './s3-server.js'
import { crc32Of, decodeChunks, signingKey } from './s3-signature.js'

describe('signed chunks', () => {
  /** The example of the S3 API reference: 65 KiB and a half of the letter a, in chunks of 64 KiB. */
  const signing = {
    key: signingKey('wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY', '20130524/us-east-1/s3/aws4_request'),
    scope: '20130524/us-east-1/s3/aws4_request',
    at: '20130524T000000Z',
    seed: '4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9',
  }
  const body = [
    '10000;chunk-signature=ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648',
    'a'.repeat(65_536),
    '400;chunk-signature=0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497',
    'a'.repeat(1024),
    '0;chunk-signature=b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9',
    '',
    '',
  ].join('\r\n')

  test('are taken as the reference has them', () => {
    expect(decodeChunks(Buffer.from(body), signing).content.toString()).toBe('a'.repeat(66_560))
  })

  test('are refused when a byte is another one, or the end is missing', () => {
    const changed = Buffer.from(body)
    changed[1000] = 'b'.charCodeAt(0)
    expect(() => decodeChunks(changed, signing)).toThrow('SignatureDoesNotMatch')
    expect(() => decodeChunks(Buffer.from(body).subarray(0, 66_000), signing)).toThrow('IncompleteBody')
  })
})

describe('the server of the tests', () => {
  let server: S3Server
  beforeEach(async () => {
    stubEnvironment({ ...noCloud, AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true' })
    server = await startS3Server()
  })
  afterEach(async () => {
    vi.unstubAllEnvs()
    await server[Symbol.asyncDispose]()
  })

  const connect = (secretAccessKey = server.credentials.secretAccessKey): S3 =>
    new S3({
      endpoint: server.endpoint,
      region: 'us-east-1',
      forcePathStyle: true,
      credentials: { accessKeyId: server.credentials.accessKeyId, secretAccessKey },
      maxAttempts: 1,
    })

  test('takes a body that comes as a stream with its checksum behind it, and stores the content alone', async () => {
    const stream = new PassThrough()
    stream.end('a stream of bytes')
    const s3 = connect()
    await s3.putObject({ Bucket: 'lake', Key: 'a b/ü+1.txt', Body: stream, ContentLength: 17 })
    s3.destroy()
    expect(server.calls[0]?.headers['x-amz-content-sha256']).toBe('STREAMING-UNSIGNED-PAYLOAD-TRAILER')
    expect(server.objects.get('a b/ü+1.txt')?.content.toString()).toBe('a stream of bytes')
  })

  test('refuses a signature by another key, and a body that is not what was signed', async () => {
    const wrong = connect('another')
    await expect(wrong.putObject({ Bucket: 'lake', Key: 'k', Body: 'x' })).rejects.toMatchObject({
      name: 'SignatureDoesNotMatch',
    })
    wrong.destroy()

    const s3 = connect()
    s3.middlewareStack.add(
      (next) => (args) => {
        Object.assign(args.request as object, { body: Buffer.from('y') })
        return next(args)
      },
      { step: 'finalizeRequest', priority: 'low' },
    )
    await expect(s3.putObject({ Bucket: 'lake', Key: 'k', Body: Buffer.from('x') })).rejects.toMatchObject({
      name: 'XAmzContentSHA256Mismatch',
    })
    s3.destroy()
    expect(server.objects.size).toBe(0)
  })

  test('knows checksums as others compute them', () => {
    // The check value of CRC-32/ISO-HDLC.
    expect(Buffer.from(crc32Of(Buffer.from('123456789')), 'base64').toString('hex')).toBe('cbf43926')
    expect(createHash('md5').update('').digest('hex')).toBe('d41d8cd98f00b204e9800998ecf8427e')
  })
})
