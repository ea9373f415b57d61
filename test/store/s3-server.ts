/**
 * An object store with the S3 API on a port of this machine, for tests: as strict as the real one about signatures, checksums,
 * sizes and order of parts and conditions, and with faults to order. It holds everything in memory.
 */
import { createHash, randomUUID } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { authenticate, crc32Of, Refusal, type Credentials } from './s3-signature.js'

export type Operation =
  | 'GetObject'
  | 'HeadObject'
  | 'PutObject'
  | 'DeleteObject'
  | 'DeleteObjects'
  | 'ListObjects'
  | 'ListUploads'
  | 'CreateUpload'
  | 'UploadPart'
  | 'CompleteUpload'
  | 'AbortUpload'

export interface Call {
  readonly operation: Operation
  readonly bucket: string
  readonly key: string
  readonly query: URLSearchParams
  readonly headers: IncomingMessage['headers']
  /** Of the content, framing aside. */
  readonly content: Buffer
}

/** What happens to a request instead of its answer. */
export type Trouble =
  /** The connection is cut; the request had no effect, or all of it. */
  | { readonly kind: 'reset'; readonly effect: boolean }
  | { readonly kind: 'status'; readonly status: number; readonly code: string; readonly effect?: boolean }
  /** Nothing is said any more; the connection stays. */
  | { readonly kind: 'silence'; readonly effect: boolean }
  /** The body ends early, or stops there. */
  | { readonly kind: 'cut_body' | 'stalled_body'; readonly bytes: number }
  /** The content is stored with one bit turned over: what a broken store or disk does. */
  | { readonly kind: 'damaged_body' }
  | { readonly kind: 'call'; readonly run: () => void }
  /** What a proxy, or a store of its own mind, answers instead. */
  | { readonly kind: 'answer'; readonly change: (answer: Answer, object: Buffer) => Answer }

export interface Fault {
  readonly on: Operation | ((call: Call) => boolean)
  readonly trouble: Trouble
  /** How often; once unless told otherwise. */
  readonly times?: number
  /** Requests that fit and are let through first. */
  readonly after?: number
}

export interface StoredObject {
  readonly content: Buffer
  readonly etag: string
  readonly modifiedAt: Date
  readonly headers: Readonly<Record<string, string>>
}

interface Upload {
  readonly id: string
  readonly key: string
  readonly headers: Readonly<Record<string, string>>
  readonly parts: Map<number, { readonly content: Buffer; readonly etag: string }>
  initiatedAt: Date
}

export interface S3ServerOptions {
  readonly buckets?: readonly string[]
  /** `ignored`: overwrites all the same. `refused`: does not know the header, and says so. */
  readonly conditions?: 'honoured' | 'ignored' | 'refused'
  readonly pageSize?: number
  readonly minPartBytes?: number
  readonly region?: string
  /** Of its clock, against ours. */
  readonly clockOffsetMs?: number
  /** Knows no request that removes many. */
  readonly singleDeletes?: boolean
}

export interface S3Server extends AsyncDisposable {
  /** `http://127.0.0.1:PORT`. */
  readonly endpoint: string
  readonly credentials: Credentials
  /** Of the first bucket, by key. */
  readonly objects: Map<string, StoredObject>
  readonly uploads: Map<string, Upload>
  readonly calls: readonly Call[]
  /** That are open just now: of a client that died, until all that it has sent was dealt with. */
  readonly connections: number
  /** Keys that nobody may remove. */
  readonly kept: Set<string>
  inject(fault: Fault): void
  count(operation: Operation): number
}

const MIB = 1024 * 1024

export async function startS3Server(options: S3ServerOptions = {}): Promise<S3Server> {
  const { buckets = ['lake'], conditions = 'honoured', pageSize = 1000, minPartBytes = 5 * MIB } = options
  const credentials: Credentials = { accessKeyId: 'AKIATESTER', secretAccessKey: 'test/secret+canary' }
  const stores = new Map(buckets.map((name) => [name, new Map<string, StoredObject>()]))
  const uploads = new Map<string, Upload>()
  const kept = new Set<string>()
  const calls: Call[] = []
  const faults: { readonly fault: Fault; seen: number }[] = []
  const sockets = new Set<Socket>()
  const now = (): Date => new Date(Date.now() + (options.clockOffsetMs ?? 0))

  const findTrouble = (call: Call): Trouble | null => {
    for (const entry of faults) {
      const { on, trouble, times = 1, after = 0 } = entry.fault
      if (typeof on === 'function' ? !on(call) : on !== call.operation) continue
      entry.seen += 1
      if (entry.seen > after && entry.seen <= after + times) return trouble
    }
    return null
  }

  const handle = (request: IncomingMessage, response: ServerResponse, raw: Buffer): void => {
    const { method = '', url = '', headers } = request
    const { bucket, key, query } = locate(url, headers.host ?? '', stores)
    try {
      const content = authenticate({ method, url, headers, body: raw }, credentials, now())
      const region = /\/([^/]+)\/s3\/aws4_request/.exec(headers.authorization ?? '')?.[1]
      if (options.region !== undefined && region !== options.region) {
        response.setHeader('x-amz-bucket-region', options.region)
        throw new Refusal(301, 'PermanentRedirect')
      }
      const store = stores.get(bucket)
      const call = { operation: operationOf(method, key, query), bucket, key, query, headers, content }
      calls.push(call)
      const trouble = findTrouble(call)
      if (trouble?.kind === 'reset' && !trouble.effect) return void request.socket.destroy()
      if (trouble?.kind === 'silence' && !trouble.effect) return
      if (trouble?.kind === 'status' && trouble.effect !== true)
        throw new Refusal(trouble.status, trouble.code)
      if (trouble?.kind === 'call') trouble.run()
      if (store === undefined) throw new Refusal(404, 'NoSuchBucket')
      const answer = answerTo(call, store)
      if (trouble?.kind === 'reset') return void request.socket.destroy()
      if (trouble?.kind === 'silence') return
      if (trouble?.kind === 'status') throw new Refusal(trouble.status, trouble.code)
      const object = store.get(key)?.content ?? Buffer.alloc(0)
      send(response, trouble?.kind === 'answer' ? trouble.change(answer, object) : answer, trouble)
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
      const body = `<Error><Code>${error.code}</Code><Message>${escapeXml(error.message)}</Message></Error>`
      send(response, { status: error.status, body: method === 'HEAD' ? '' : xml(body) }, null)
    }
  }

  const answerTo = (call: Call, store: Map<string, StoredObject>): Answer => {
    const { operation, bucket, key, query, headers, content } = call
    switch (operation) {
      case 'PutObject': {
        if (headers['if-none-match'] !== undefined && conditions === 'refused')
          throw new Refusal(501, 'NotImplemented')
        if (headers['if-none-match'] === '*' && conditions === 'honoured' && store.has(key)) {
          throw new Refusal(412, 'PreconditionFailed')
        }
        const etag = md5(content)
        store.set(key, { content, etag, modifiedAt: now(), headers: keptHeaders(headers) })
        return { status: 200, headers: { etag: `"${etag}"` } }
      }
      case 'GetObject':
      case 'HeadObject':
        return readObject(call, store)
      case 'DeleteObject':
        if (kept.has(key)) throw new Refusal(403, 'AccessDenied')
        store.delete(key)
        return { status: 204 }
      case 'DeleteObjects':
        return removeObjects(call, store)
      case 'ListObjects':
        return listObjects(query, store)
      case 'ListUploads':
        return listUploads(query)
      case 'CreateUpload': {
        const id = randomUUID()
        uploads.set(id, { id, key, headers: keptHeaders(headers), parts: new Map(), initiatedAt: now() })
        const body = `<Bucket>${bucket}</Bucket><Key>${escapeXml(key)}</Key><UploadId>${id}</UploadId>`
        return {
          status: 200,
          body: xml(`<InitiateMultipartUploadResult>${body}</InitiateMultipartUploadResult>`),
        }
      }
      case 'UploadPart': {
        const etag = md5(content)
        const number = Number(query.get('partNumber'))
        if (!(number >= 1 && number <= 10_000)) throw new Refusal(400, 'InvalidArgument')
        uploadOf(query).parts.set(number, { content, etag })
        const crc = headers['x-amz-checksum-crc32']
        return {
          status: 200,
          headers: {
            etag: `"${etag}"`,
            ...(crc === undefined ? {} : { 'x-amz-checksum-crc32': String(crc) }),
          },
        }
      }
      case 'CompleteUpload':
        return completeUpload(call, store)
      case 'AbortUpload':
        uploads.delete(uploadOf(query).id)
        return { status: 204 }
    }
  }

  const uploadOf = (query: URLSearchParams): Upload => {
    const found = uploads.get(query.get('uploadId') ?? '')
    if (found === undefined) throw new Refusal(404, 'NoSuchUpload')
    return found
  }

  const completeUpload = ({ query, content }: Call, store: Map<string, StoredObject>): Answer => {
    const upload = uploadOf(query)
    const listed = Array.from(content.toString().matchAll(/<Part>(.*?)<\/Part>/gs), ([, part = '']) => part)
    const parts = listed.map((part, index) => {
      const number = Number(tag(part, 'PartNumber'))
      const stored = upload.parts.get(number)
      if (number !== index + 1) throw new Refusal(400, 'InvalidPartOrder')
      if (stored === undefined || tag(part, 'ETag') !== `"${stored.etag}"`)
        throw new Refusal(400, 'InvalidPart')
      const crc = tag(part, 'ChecksumCRC32')
      if (crc !== null && crc !== crc32Of(stored.content)) throw new Refusal(400, 'InvalidPart')
      if (crc === null && upload.headers['x-amz-checksum-algorithm'] !== undefined)
        throw new Refusal(400, 'InvalidPart')
      if (index + 1 < listed.length && stored.content.length < minPartBytes)
        throw new Refusal(400, 'EntityTooSmall')
      return stored
    })
    if (parts.length === 0) throw new Refusal(400, 'MalformedXML')
    const whole = Buffer.concat(parts.map((part) => part.content))
    const digests = Buffer.concat(parts.map((part) => Buffer.from(part.etag, 'hex')))
    const etag = `${md5(digests)}-${parts.length}`
    store.set(upload.key, { content: whole, etag, modifiedAt: now(), headers: upload.headers })
    uploads.delete(upload.id)
    return {
      status: 200,
      body: xml(`<CompleteMultipartUploadResult><ETag>"${etag}"</ETag></CompleteMultipartUploadResult>`),
    }
  }

  const readObject = ({ operation, key, headers }: Call, store: Map<string, StoredObject>): Answer => {
    const object = store.get(key)
    if (object === undefined) throw new Refusal(404, 'NoSuchKey')
    const { content, etag, modifiedAt } = object
    if (headers['if-match'] !== undefined && headers['if-match'] !== `"${etag}"`) {
      throw new Refusal(412, 'PreconditionFailed')
    }
    const range = /^bytes=(\d+)-(\d*)$/.exec(headers.range ?? '')
    const from = Number(range?.[1] ?? 0)
    const to = range?.[2] ? Number(range[2]) + 1 : content.length
    if (range !== null && from >= content.length) throw new Refusal(416, 'InvalidRange')
    const body = content.subarray(from, to)
    const checksum = range === null && headers['x-amz-checksum-mode'] === 'ENABLED' && !etag.includes('-')
    return {
      status: range === null ? 200 : 206,
      headers: {
        ...object.headers,
        ...(range === null
          ? {}
          : { 'content-range': `bytes ${from}-${from + body.length - 1}/${content.length}` }),
        ...(checksum ? { 'x-amz-checksum-crc32': crc32Of(content) } : {}),
        'content-length': String(body.length),
        'last-modified': modifiedAt.toUTCString(),
        etag: `"${etag}"`,
      },
      body: operation === 'HeadObject' ? '' : body,
    }
  }

  const removeObjects = ({ headers, content }: Call, store: Map<string, StoredObject>): Answer => {
    if (options.singleDeletes === true) throw new Refusal(501, 'NotImplemented')
    if (headers['content-md5'] === undefined && headers['x-amz-checksum-crc32'] === undefined) {
      throw new Refusal(400, 'MissingContentMD5')
    }
    const keys = Array.from(content.toString().matchAll(/<Key>(.*?)<\/Key>/gs), ([, key = '']) =>
      unescapeXml(key),
    )
    if (keys.length > 1000) throw new Refusal(400, 'MalformedXML')
    for (const key of keys) if (!kept.has(key)) store.delete(key)
    const errors = keys
      .filter((key) => kept.has(key))
      .map(
        (key) =>
          `<Error><Key>${escapeXml(key)}</Key><Code>AccessDenied</Code><Message>kept</Message></Error>`,
      )
    return { status: 200, body: xml(`<DeleteResult>${errors.join('')}</DeleteResult>`) }
  }

  const listObjects = (query: URLSearchParams, store: Map<string, StoredObject>): Answer => {
    const prefix = query.get('prefix') ?? ''
    const token = query.get('continuation-token')
    const after = token === null ? (query.get('start-after') ?? '') : Buffer.from(token, 'base64').toString()
    const all = Array.from(store.keys())
      .filter((key) => key.startsWith(prefix) && Buffer.compare(Buffer.from(key), Buffer.from(after)) > 0)
      .toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
    const page = all.slice(0, pageSize)
    const contents = page.map((key) => {
      const { content, etag, modifiedAt } = store.get(key) as StoredObject
      return `<Contents><Key>${escapeXml(key)}</Key><LastModified>${modifiedAt.toISOString()}</LastModified><ETag>"${etag}"</ETag><Size>${content.length}</Size></Contents>`
    })
    const more = page.length < all.length
    const next = more
      ? `<NextContinuationToken>${Buffer.from(page.at(-1) ?? '').toString('base64')}</NextContinuationToken>`
      : ''
    return {
      status: 200,
      body: xml(
        `<ListBucketResult><KeyCount>${page.length}</KeyCount><IsTruncated>${more}</IsTruncated>${next}${contents.join('')}</ListBucketResult>`,
      ),
    }
  }

  const listUploads = (query: URLSearchParams): Answer => {
    const prefix = query.get('prefix') ?? ''
    const marker = `${query.get('key-marker') ?? ''}\n${query.get('upload-id-marker') ?? ''}`
    const nameOf = ({ key, id }: Upload): string => `${key}\n${id}`
    const all = Array.from(uploads.values())
      .filter((upload) => upload.key.startsWith(prefix) && nameOf(upload) > marker)
      .toSorted((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1))
    const page = all.slice(0, pageSize)
    const last = page.at(-1)
    const more = page.length < all.length
    const next =
      more && last !== undefined
        ? `<NextKeyMarker>${escapeXml(last.key)}</NextKeyMarker><NextUploadIdMarker>${last.id}</NextUploadIdMarker>`
        : ''
    const listed = page.map(
      ({ key, id, initiatedAt }) =>
        `<Upload><Key>${escapeXml(key)}</Key><UploadId>${id}</UploadId><Initiated>${initiatedAt.toISOString()}</Initiated></Upload>`,
    )
    return {
      status: 200,
      body: xml(
        `<ListMultipartUploadsResult><IsTruncated>${more}</IsTruncated>${next}${listed.join('')}</ListMultipartUploadsResult>`,
      ),
    }
  }

  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    // Whoever leaves in the middle of a request has sent none.
    request.on('error', () => undefined)
    request.on('end', () => {
      response.setHeader('date', now().toUTCString())
      handle(request, response, Buffer.concat(chunks))
    })
  })
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo

  return {
    endpoint: `http://127.0.0.1:${port}`,
    credentials,
    objects: stores.get(buckets[0] ?? '') ?? new Map<string, StoredObject>(),
    uploads,
    calls,
    get connections() {
      return sockets.size
    },
    kept,
    inject: (fault) => void faults.push({ fault, seen: 0 }),
    count: (operation) => calls.filter((call) => call.operation === operation).length,
    async [Symbol.asyncDispose]() {
      const closed = new Promise((resolve) => server.close(resolve))
      for (const socket of sockets) socket.destroy()
      await closed
    },
  }
}

export interface Answer {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Buffer
}

function send(
  response: ServerResponse,
  { status, headers, body = '' }: Answer,
  trouble: Trouble | null,
): void {
  const content = Buffer.from(body)
  response.writeHead(status, { 'content-length': String(content.length), ...headers })
  switch (trouble?.kind) {
    case 'cut_body':
      response.write(content.subarray(0, trouble.bytes), () => response.socket?.destroy())
      return
    case 'stalled_body':
      response.write(content.subarray(0, trouble.bytes))
      return
    case 'damaged_body': {
      const damaged = Buffer.from(content)
      damaged[0] = (damaged[0] ?? 0) ^ 1
      response.end(damaged)
      return
    }
    default:
      response.end(content)
  }
}

/** `/bucket/key`, or `/key` at `bucket.host`. */
function locate(
  url: string,
  host: string,
  buckets: ReadonlyMap<string, unknown>,
): { readonly bucket: string; readonly key: string; readonly query: URLSearchParams } {
  const [path = '', search = ''] = url.split('?')
  const query = new URLSearchParams(search)
  const named = Array.from(buckets.keys()).find((name) => host.startsWith(`${name}.`))
  const parts = decodeURIComponent(path).slice(1)
  if (named !== undefined) return { bucket: named, key: parts, query }
  const slash = parts.indexOf('/')
  const [bucket, key] = slash < 0 ? [parts, ''] : [parts.slice(0, slash), parts.slice(slash + 1)]
  return { bucket, key, query }
}

function operationOf(method: string, key: string, query: URLSearchParams): Operation {
  const about = (name: string): boolean => query.has(name)
  if (key === '') {
    if (method === 'GET') return about('uploads') ? 'ListUploads' : 'ListObjects'
    if (method === 'POST' && about('delete')) return 'DeleteObjects'
  } else {
    if (method === 'PUT') return about('uploadId') ? 'UploadPart' : 'PutObject'
    if (method === 'POST') return about('uploads') ? 'CreateUpload' : 'CompleteUpload'
    if (method === 'GET') return 'GetObject'
    if (method === 'HEAD') return 'HeadObject'
    if (method === 'DELETE') return about('uploadId') ? 'AbortUpload' : 'DeleteObject'
  }
  throw new Refusal(405, 'MethodNotAllowed')
}

/** What a store gives back with the object, or has to remember. */
function keptHeaders(headers: IncomingMessage['headers']): Record<string, string> {
  const kept = /^x-amz-(meta-.*|storage-class|server-side-encryption.*|checksum-algorithm)$/
  return Object.fromEntries(
    Object.entries(headers).flatMap(([name, value]) => (kept.test(name) ? [[name, String(value)]] : [])),
  )
}

function md5(content: Buffer): string {
  return createHash('md5').update(content).digest('hex')
}

function xml(body: string): string {
  return `<?xml version="1.0" encoding="UTF-8"?>\n${body}`
}

function tag(text: string, name: string): string | null {
  const found = new RegExp(`<${name}>(.*?)</${name}>`, 's').exec(text)?.[1]
  return found === undefined ? null : unescapeXml(found)
}

function escapeXml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
}

function unescapeXml(text: string): string {
  const named: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" }
  return text.replace(/&(#x?[0-9a-f]+|\w+);/gi, (whole, name: string) => {
    if (name.startsWith('#x')) return String.fromCodePoint(Number.parseInt(name.slice(2), 16))
    if (name.startsWith('#')) return String.fromCodePoint(Number(name.slice(1)))
    return named[name] ?? whole
  })
}
