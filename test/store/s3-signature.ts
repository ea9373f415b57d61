/**
 * Checks that a request is signed as AWS Signature Version 4 says, and takes its body out of whatever framing it came in.
 * Specified in "Authenticating Requests: Using the Authorization Header" and "Signature Calculations for … Transferring Payload in
 * Multiple Chunks" of the S3 API reference.
 */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import { crc32 } from 'node:zlib'

export interface SignedRequest {
  readonly method: string
  /** As it came: percent-encoded, with its query. */
  readonly url: string
  readonly headers: IncomingHttpHeaders
  /** As it came. */
  readonly body: Buffer
}

export interface Credentials {
  readonly accessKeyId: string
  readonly secretAccessKey: string
}

/** What the store answers instead: a name of the S3 API, and its status. */
export class Refusal extends Error {
  readonly code: string
  readonly status: number

  constructor(status: number, code: string, message = code) {
    super(message)
    this.code = code
    this.status = status
  }
}

const MAX_SKEW_MS = 15 * 60_000

/** @returns the content of the body. @throws Refusal */
export function authenticate(
  request: SignedRequest,
  { accessKeyId, secretAccessKey }: Credentials,
  now: Date,
): Buffer {
  const { headers } = request
  const match =
    /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8}\/[^/]+\/s3\/aws4_request), ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})$/.exec(
      headers.authorization ?? '',
    )
  if (match === null) throw new Refusal(403, 'AccessDenied')
  const [, keyId = '', scope = '', signedHeaders = '', signature = ''] = match
  if (keyId !== accessKeyId) throw new Refusal(403, 'InvalidAccessKeyId')
  const at = text(headers['x-amz-date'])
  if (Math.abs(parseAmzDate(at) - now.getTime()) > MAX_SKEW_MS) throw new Refusal(403, 'RequestTimeTooSkewed')
  for (const required of ['host', 'x-amz-date', 'x-amz-content-sha256']) {
    if (!signedHeaders.split(';').includes(required))
      throw new Refusal(403, 'AccessDenied', `${required} is not signed`)
  }
  const canonical = canonicalRequest(request, signedHeaders.split(';'))
  const toSign = ['AWS4-HMAC-SHA256', at, scope, sha256(canonical)].join('\n')
  const key = signingKey(secretAccessKey, scope)
  if (!equal(hmac(key, toSign).toString('hex'), signature)) throw new Refusal(403, 'SignatureDoesNotMatch')
  const content = readPayload(request, { key, scope, at, seed: signature })
  checkDigests(headers, content)
  return content
}

function canonicalRequest({ method, url, headers }: SignedRequest, signedHeaders: readonly string[]): string {
  const [path = '', query = ''] = url.split('?')
  const pairs = query === '' ? [] : query.split('&').map((pair) => (pair.includes('=') ? pair : `${pair}=`))
  return [
    method,
    path,
    pairs.toSorted().join('&'),
    ...signedHeaders.map((name) => `${name}:${text(headers[name]).trim().replace(/ +/g, ' ')}`),
    '',
    signedHeaders.join(';'),
    text(headers['x-amz-content-sha256']),
  ].join('\n')
}

export interface ChunkSigning {
  readonly key: Buffer
  readonly scope: string
  readonly at: string
  /** The signature of the request's headers. */
  readonly seed: string
}

function readPayload({ headers, body }: SignedRequest, signing: ChunkSigning): Buffer {
  const digest = text(headers['x-amz-content-sha256'])
  if (digest === 'UNSIGNED-PAYLOAD') return body
  if (!digest.startsWith('STREAMING-')) {
    if (sha256(body) !== digest) throw new Refusal(400, 'XAmzContentSHA256Mismatch')
    return body
  }
  const { content, trailers } = decodeChunks(body, digest.startsWith('STREAMING-AWS4') ? signing : null)
  if (String(content.length) !== headers['x-amz-decoded-content-length'])
    throw new Refusal(400, 'IncompleteBody')
  const announced = text(headers['x-amz-trailer'])
  if (digest.endsWith('-TRAILER') && announced !== '' && !trailers.has(announced)) {
    throw new Refusal(400, 'MalformedTrailerError')
  }
  checkDigests(Object.fromEntries(trailers), content)
  return content
}

/** `size[;chunk-signature=…]\r\n data \r\n … 0\r\n [trailer:value\r\n …] \r\n`. */
export function decodeChunks(
  body: Buffer,
  signing: ChunkSigning | null,
): { readonly content: Buffer; readonly trailers: ReadonlyMap<string, string> } {
  const chunks: Buffer[] = []
  const trailers = new Map<string, string>()
  let position = 0
  const line = (): string => {
    const end = body.indexOf('\r\n', position)
    if (end < 0) throw new Refusal(400, 'IncompleteBody')
    const found = body.toString('latin1', position, end)
    position = end + 2
    return found
  }
  let previous = signing?.seed ?? ''
  for (;;) {
    const [size = '', extension = ''] = line().split(';')
    if (!/^[0-9a-f]+$/i.test(size)) throw new Refusal(400, 'InvalidChunkSizeError')
    const length = Number.parseInt(size, 16)
    const data = body.subarray(position, position + length)
    if (data.length < length) throw new Refusal(400, 'IncompleteBody')
    if (signing !== null) {
      const parts = [
        'AWS4-HMAC-SHA256-PAYLOAD',
        signing.at,
        signing.scope,
        previous,
        sha256(''),
        sha256(data),
      ]
      previous = hmac(signing.key, parts.join('\n')).toString('hex')
      if (!equal(extension, `chunk-signature=${previous}`)) throw new Refusal(403, 'SignatureDoesNotMatch')
    }
    position += length
    if (length === 0) break
    if (line() !== '') throw new Refusal(400, 'IncompleteBody')
    chunks.push(data)
  }
  while (position < body.length) {
    const trailer = line()
    const colon = trailer.indexOf(':')
    if (colon > 0) trailers.set(trailer.slice(0, colon).toLowerCase(), trailer.slice(colon + 1).trim())
  }
  return { content: Buffer.concat(chunks), trailers }
}

function checkDigests(headers: IncomingHttpHeaders, content: Buffer): void {
  const md5 = headers['content-md5']
  if (md5 !== undefined && md5 !== createHash('md5').update(content).digest('base64')) {
    throw new Refusal(400, 'BadDigest')
  }
  const crc = headers['x-amz-checksum-crc32']
  if (crc !== undefined && crc !== crc32Of(content)) throw new Refusal(400, 'BadDigest')
}

/** As the header has it: big-endian, base64. */
export function crc32Of(content: Uint8Array): string {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(crc32(content))
  return bytes.toString('base64')
}

export function signingKey(secret: string, scope: string): Buffer {
  return scope.split('/').reduce<Buffer>((key, part) => hmac(key, part), Buffer.from(`AWS4${secret}`))
}

/** `20261121T201500Z`, in milliseconds. */
function parseAmzDate(at: string): number {
  return Date.parse(at.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z'))
}

function sha256(data: string | Buffer): string {
  return createHash('sha256').update(data).digest('hex')
}

function hmac(key: Buffer, data: string): Buffer {
  return createHmac('sha256', key).update(data).digest()
}

function equal(a: string, b: string): boolean {
  return a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b))
}

function text(header: string | string[] | undefined): string {
  return Array.isArray(header) ? header.join(',') : (header ?? '')
}
