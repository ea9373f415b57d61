/**
 * Files in a bucket of Amazon S3, or of another store that speaks its API: one object per file, below a prefix.
 *
 * An object is there whole or not at all, and lists and reads see it as soon as it is written; both are what the API promises.
 */
import { TrunklineError } from '../../model/error.js'
import type { Logger } from '../../model/log.js'
import {
  createS3Bucket,
  DEFAULT_PATIENCE,
  type S3Address,
  type S3Bucket,
  type S3Patience,
  type S3Request,
} from './s3-client.js'
import {
  honoursConditions,
  isOwnFile,
  putNewObject,
  putNewUnguarded,
  putObject,
  refuseUnconditional,
} from './s3-conditions.js'
import { fetchObject, readObject } from './s3-download.js'
import { removeAbandoned, removeObjects } from './s3-removal.js'
import { createUpload } from './s3-upload.js'
import type { Store, StoredFile, StoreFile } from './store.js'

export interface S3StoreOptions extends S3Address {
  readonly singleWriter: boolean
}

export interface S3StoreTools {
  readonly logger: Logger
  readonly patience?: Partial<S3Patience>
  /** Of the part with this index, from 0. */
  readonly partBytes?: (index: number) => number
}

export function createS3Store(options: S3StoreOptions, tools: S3StoreTools): Store {
  const { logger } = tools
  const bucket = createS3Bucket(options, { ...DEFAULT_PATIENCE, ...tools.patience })
  const going = new Set<StoreFile>()
  /** Whether a file is created only if there is none; asked when it first matters. */
  let conditional: Promise<boolean> | null = null

  const checkConditions = (): Promise<boolean> => {
    conditional ??= findOut()
    conditional.catch(() => (conditional = null))
    return conditional
  }
  const findOut = async (): Promise<boolean> => {
    if (await honoursConditions(bucket)) return true
    if (!options.singleWriter) refuseUnconditional(bucket)
    logger.warn({}, `${bucket.url}: the store cannot keep two runs apart; single_writer is taken at its word`)
    return false
  }
  const close = async (): Promise<void> => {
    await Promise.all(Array.from(going, (file) => file.abort()))
    bucket.close()
  }

  return {
    description: bucket.url,
    locate: (path) => bucket.urlOf(path),
    async open({ signal }) {
      signal?.throwIfAborted()
      if (isReadableByOthers(options.endpoint)) {
        logger.warn({}, `${bucket.url}: rows travel unencrypted, as the endpoint begins with http://`)
      }
      await orAborted(checkConditions(), signal)
    },
    async create(path) {
      assertName(path)
      const { partBytes } = tools
      const file = createUpload({
        bucket,
        path,
        ...(partBytes === undefined ? {} : { partBytes }),
        onEnd: () => going.delete(file),
      })
      going.add(file)
      return file
    },
    async put(path, content) {
      assertName(path)
      await putObject(bucket, path, content)
    },
    async putNew(path, content) {
      assertName(path)
      const guarded = await checkConditions()
      return guarded ? putNewObject(bucket, path, content) : putNewUnguarded(bucket, path, content)
    },
    read: (path) => readObject(bucket, path),
    list: (prefix, { after } = {}) => list(bucket, prefix, after),
    remove: (paths) => removeObjects(bucket, paths),
    fetch: (path) => fetchObject(bucket, path),
    removeAbandoned: (before, isOurs) => removeAbandoned(bucket, before, isOurs),
    close,
    [Symbol.asyncDispose]: close,
  }
}

/** What goes on when the signal aborts is ended by closing the store. */
async function orAborted(work: Promise<unknown>, signal: AbortSignal | undefined): Promise<void> {
  if (signal === undefined) {
    await work
    return
  }
  await new Promise<void>((resolve, reject) => {
    const onAbort = (): void => {
      reject(signal.reason as Error)
    }
    signal.addEventListener('abort', onAbort, { once: true })
    work
      .then(() => {
        resolve()
      }, reject)
      .finally(() => {
        signal.removeEventListener('abort', onAbort)
      })
  })
}

/** What is not listed would be taken for not there. */
function cutList(bucket: S3Bucket): TrunklineError {
  return new TrunklineError(
    'DESTINATION_INVALID',
    `${bucket.url}: the store cuts its list of files off, and does not say how to go on.`,
    { hint: 'Check ?endpoint=: it must be a store with ListObjectsV2 of the S3 API.' },
  )
}

/** On another machine, where anybody between can read along. */
function isReadableByOthers(endpoint: string | null): boolean {
  if (endpoint === null || !endpoint.startsWith('http://')) return false
  const { hostname } = new URL(endpoint)
  return !(hostname === 'localhost' || hostname === '[::1]' || hostname.startsWith('127.'))
}

/** Longer keys than the API takes, and characters that a list, which is XML, could not give back. */
function assertName(path: string): void {
  // eslint-disable-next-line no-control-regex
  if (Buffer.byteLength(path) <= 900 && !/[\u0000-\u001f\ufffe\uffff]/.test(path)) return
  throw new TrunklineError(
    'DESTINATION_INVALID',
    'The name of a file is too long for an object store, or holds control characters.',
    {
      hint: 'Name the table otherwise: --name-template.',
    },
  )
}

async function* list(
  bucket: S3Bucket,
  prefix: string,
  after: string | undefined,
): AsyncGenerator<StoredFile> {
  const root = bucket.keyOf('')
  const request: S3Request = { doing: `list ${bucket.url}`, right: 's3:ListBucket' }
  let token: string | undefined
  do {
    const page = await bucket.send(request, (s3) =>
      s3.listObjectsV2({
        Bucket: bucket.address.bucket,
        Prefix: root + prefix,
        ...(token === undefined ? {} : { ContinuationToken: token }),
        ...(after === undefined || token !== undefined ? {} : { StartAfter: root + after }),
      }),
    )
    for (const { Key, Size, LastModified } of page.Contents ?? []) {
      if (Key === undefined || !Key.startsWith(root) || Key.endsWith('/')) continue
      const path = Key.slice(root.length)
      if (isOwnFile(path)) continue
      yield { path, bytes: Size ?? 0, modifiedAt: LastModified ?? new Date(0) }
    }
    token = page.IsTruncated === true ? page.NextContinuationToken : undefined
    if (page.IsTruncated === true && token === undefined) throw cutList(bucket)
  } while (token !== undefined)
}
