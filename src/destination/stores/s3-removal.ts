/** Removing objects, and what is left of uploads that nobody finished. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { DeleteObjectsCommandOutput } from '@aws-sdk/client-s3'
import { hideValues } from './hide-values.js'
import { isFailure, type S3Bucket, type S3Request } from './s3-client.js'

/** Of one request. */
const MAX_REMOVED_AT_ONCE = 1000
/** Where a store knows no request for many. */
const SINGLE_REMOVALS_AT_ONCE = 8
const REMOVE_ATTEMPTS = 5
const FIRST_PAUSE_MS = 200

/** Objects that are not there are none to it. */
export async function removeObjects(bucket: S3Bucket, paths: readonly string[]): Promise<void> {
  for (let start = 0; start < paths.length; start += MAX_REMOVED_AT_ONCE) {
    await removeSome(bucket, paths.slice(start, start + MAX_REMOVED_AT_ONCE))
  }
}

/**
 * Uploads in parts that began before then and were neither finished nor aborted: they cost storage, and no list of files shows them.
 * @returns how many
 */
export async function removeAbandoned(
  bucket: S3Bucket,
  before: Date,
  isOurs: (path: string) => boolean,
): Promise<number> {
  const request: S3Request = {
    doing: `look for unfinished uploads below ${bucket.url}`,
    right: 's3:ListBucketMultipartUploads and s3:AbortMultipartUpload',
  }
  const target = { Bucket: bucket.address.bucket }
  let removed = 0
  let from: { readonly KeyMarker?: string | undefined; readonly UploadIdMarker?: string | undefined } | null =
    {}
  while (from !== null) {
    const input: object = from
    const page = await bucket.send(request, (s3) =>
      s3.listMultipartUploads({ ...target, Prefix: bucket.keyOf(''), ...input }),
    )
    for (const { Key, UploadId, Initiated } of page.Uploads ?? []) {
      if (Key === undefined || UploadId === undefined || Initiated === undefined || Initiated >= before)
        continue
      if (!isOurs(Key.slice(bucket.keyOf('').length))) continue
      try {
        await bucket.sendRaw((s3) => s3.abortMultipartUpload({ ...target, Key, UploadId }))
        removed += 1
      } catch (error) {
        // Finished or aborted meanwhile.
        if (!isFailure(error, 'NoSuchUpload', 404)) throw bucket.toError(request, error)
      }
    }
    from =
      page.IsTruncated === true
        ? { KeyMarker: page.NextKeyMarker, UploadIdMarker: page.NextUploadIdMarker }
        : null
  }
  return removed
}

/** Failures of the store with a single file, which are worth another try. */
const PASSING: ReadonlySet<string> = new Set([
  'InternalError',
  'SlowDown',
  'ServiceUnavailable',
  'RequestTimeout',
])

async function removeSome(bucket: S3Bucket, paths: readonly string[]): Promise<void> {
  const request: S3Request = { doing: `remove files below ${bucket.url}`, right: 's3:DeleteObject' }
  let keys = paths.map((path) => bucket.keyOf(path))
  for (let attempt = 1; keys.length > 0; attempt++) {
    const objects = keys.map((Key) => ({ Key }))
    let errors: NonNullable<DeleteObjectsCommandOutput['Errors']>
    try {
      const answer = await bucket.sendRaw((s3) =>
        s3.deleteObjects({ Bucket: bucket.address.bucket, Delete: { Objects: objects, Quiet: true } }),
      )
      errors = (answer.Errors ?? []).filter(({ Code }) => Code !== 'NoSuchKey')
    } catch (error) {
      if (!isFailure(error, 501, 'NotImplemented', 'MethodNotAllowed', 'MissingContentMD5')) {
        throw bucket.toError(request, error)
      }
      return removeOneByOne(bucket, keys, request)
    }
    const [first] = errors
    if (first === undefined) return
    const passing = errors.every(({ Code }) => PASSING.has(Code ?? ''))
    if (!passing || attempt === REMOVE_ATTEMPTS) {
      const worst = errors.find(({ Code }) => !PASSING.has(Code ?? '')) ?? first
      const denied = worst.Code === 'AccessDenied'
      const what =
        worst.Key === undefined ? 'a file' : hideValues(`s3://${bucket.address.bucket}/${worst.Key}`)
      throw bucket.toError(
        {
          ...request,
          doing: `remove ${what}${errors.length === 1 ? '' : ` and ${errors.length - 1} others`}`,
        },
        Object.assign(new Error(worst.Message ?? 'no reason given'), {
          name: worst.Code ?? 'Error',
          $metadata: { httpStatusCode: denied ? 403 : passing ? 503 : 400 },
        }),
      )
    }
    keys = errors.flatMap(({ Key }) => (Key === undefined ? [] : [Key]))
    await sleep(FIRST_PAUSE_MS * 2 ** (attempt - 1))
  }
}

async function removeOneByOne(bucket: S3Bucket, keys: readonly string[], request: S3Request): Promise<void> {
  for (let start = 0; start < keys.length; start += SINGLE_REMOVALS_AT_ONCE) {
    const removals = keys
      .slice(start, start + SINGLE_REMOVALS_AT_ONCE)
      .map((Key) => bucket.send(request, (s3) => s3.deleteObject({ Bucket: bucket.address.bucket, Key })))
    for (const result of await Promise.allSettled(removals)) {
      if (result.status === 'rejected') throw result.reason
    }
  }
}
