/**
 * Reading objects. The SDK tries a request again, but not a body that breaks off in the middle: that is gone on with here, from
 * where it broke, as long as the object is still the same one.
 */
import { createHash } from 'node:crypto'
import { mkdtemp, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { GetObjectCommandOutput } from '@aws-sdk/client-s3'
import { TrunklineError } from '../../model/error.js'
import { isFailure, type S3Bucket, type S3Request } from './s3-client.js'
import { isOutcomeUnknown } from './s3-errors.js'
import { missingFile, type LocalCopy } from './store.js'

/** Interruptions in a row without a byte between them. */
const MAX_INTERRUPTIONS = 4
/** From the first byte, as the object was another one all of a sudden. */
const MAX_RESTARTS = 8
const FIRST_PAUSE_MS = 100

/** Null where there is no such object. */
export async function readObject(bucket: S3Bucket, path: string): Promise<Uint8Array | null> {
  const chunks: Uint8Array[] = []
  const found = await download(bucket, path, {
    restart: async () => {
      chunks.length = 0
    },
    add: async (chunk) => {
      chunks.push(chunk)
    },
  })
  return found ? Buffer.concat(chunks) : null
}

/** Into a folder of its own that only this user may read. */
export async function fetchObject(bucket: S3Bucket, path: string): Promise<LocalCopy> {
  const folder = await mkdtemp(join(tmpdir(), 'trunkline-s3-'))
  const release = (): Promise<void> => rm(folder, { recursive: true, force: true })
  try {
    const local = join(folder, localName(path))
    const file = await open(local, 'wx', 0o600)
    try {
      const found = await download(bucket, path, {
        restart: () => file.truncate(0),
        add: (chunk, offset) => writeAt(file, chunk, offset),
      })
      if (!found) throw missingFile(bucket.nameOf(path))
    } finally {
      await file.close()
    }
    return { path: local, release }
  } catch (error) {
    await release()
    throw error
  }
}

/** With its suffix, which some readers go by, and never longer than a file system takes. */
function localName(path: string): string {
  const name = basename(path)
  return Buffer.byteLength(name) <= 200
    ? name
    : createHash('sha256').update(path).digest('hex') + name.slice(-20)
}

async function writeAt(
  file: Awaited<ReturnType<typeof open>>,
  chunk: Uint8Array,
  offset: number,
): Promise<void> {
  try {
    for (let written = 0; written < chunk.length;) {
      const { bytesWritten } = await file.write(chunk, written, chunk.length - written, offset + written)
      written += bytesWritten
    }
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    throw new TrunklineError(
      code === 'ENOSPC' || code === 'EDQUOT' ? 'DESTINATION_FULL' : 'DESTINATION_FAILED',
      `A copy of a file of the store cannot be written to ${tmpdir()} (${code ?? 'unknown'}).`,
      { hint: 'Make room there, or set TMPDIR to a folder that has some.', cause },
    )
  }
}

interface Receiver {
  /** From the first byte again: the object is another one now. */
  restart(): Promise<void>
  add(chunk: Uint8Array, offset: number): Promise<void>
}

/** What is read, as the first answer told. */
interface Whole {
  readonly etag: string | undefined
  readonly bytes: number
}

async function download(bucket: S3Bucket, path: string, receiver: Receiver): Promise<boolean> {
  const name = bucket.nameOf(path)
  const request: S3Request = { doing: `read ${name}`, right: 's3:GetObject' }
  let whole: Whole | null = null
  let received = 0
  let interruptions = 0
  let restarts = 0
  for (;;) {
    const answer = await get(bucket, path, received, whole?.etag).catch((error: unknown) => {
      throw bucket.toError(request, error)
    })
    if (answer === null) return false
    if (answer === 'changed' || (whole !== null && answer.ETag !== whole.etag)) {
      if (answer !== 'changed') leave(answer)
      if (++restarts > MAX_RESTARTS) throw neverTheSame(name)
      whole = null
      received = 0
      await receiver.restart()
      continue
    }
    const before = received
    try {
      whole = checkAnswer(name, answer, { from: received, whole })
    } catch (error) {
      leave(answer)
      throw error
    }
    try {
      for await (const chunk of answer.Body as AsyncIterable<Uint8Array>) {
        if (received + chunk.length > whole.bytes) throw notWhatWasAsked(name, 'more than its length')
        await receiver.add(chunk, received)
        received += chunk.length
      }
      if (received === whole.bytes) return true
      const missing = `${received - before} of ${whole.bytes - before} bytes`
      throw Object.assign(new Error(missing), { code: 'ECONNRESET' })
    } catch (error) {
      if (error instanceof TrunklineError) throw error
      interruptions = received > before ? 1 : interruptions + 1
      if (!isOutcomeUnknown(error) || interruptions > MAX_INTERRUPTIONS) throw bucket.toError(request, error)
      await sleep(FIRST_PAUSE_MS * 2 ** (interruptions - 1))
    }
    // Nobody could tell whether the rest is of the same object.
    if (whole.etag === undefined) {
      if (++restarts > MAX_RESTARTS) throw neverTheSame(name)
      whole = null
      received = 0
      await receiver.restart()
    }
  }
}

/** @throws DESTINATION_FAILED for an answer that does not say that it is what was asked for */
function checkAnswer(
  name: string,
  { ContentLength, ContentRange, ETag }: GetObjectCommandOutput,
  { from, whole }: { readonly from: number; readonly whole: Whole | null },
): Whole {
  if (whole === null) {
    if (ContentLength === undefined) throw notWhatWasAsked(name, 'no length')
    return { etag: ETag, bytes: ContentLength }
  }
  if (from === 0) return whole
  const [, first, last, bytes] = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(ContentRange ?? '') ?? []
  if (first === undefined) throw notWhatWasAsked(name, 'all of it where the rest was asked for')
  const isRest = Number(first) === from && Number(last) === whole.bytes - 1 && Number(bytes) === whole.bytes
  if (!isRest || ContentLength !== whole.bytes - from) throw notWhatWasAsked(name, 'another part of it')
  return whole
}

function notWhatWasAsked(name: string, what: string): TrunklineError {
  return new TrunklineError('DESTINATION_FAILED', `Cannot read ${name}: the store gives ${what}.`, {
    hint: 'Something between here and the store changes answers, or the store does not honour Range: let ?endpoint= be the store itself.',
  })
}

function neverTheSame(name: string): TrunklineError {
  return new TrunklineError(
    'DESTINATION_FAILED',
    `Cannot read ${name}: it is another file each time that it is gone on with.`,
    { hint: 'Nothing but Trunkline may write there. Look who does, and run again.', retry: 'backoff' },
  )
}

/** So that its connection can be used again. */
function leave({ Body }: GetObjectCommandOutput): void {
  const { destroy } = (Body ?? {}) as { destroy?: () => void }
  destroy?.call(Body)
}

async function get(
  bucket: S3Bucket,
  path: string,
  from: number,
  etag: string | undefined,
): Promise<GetObjectCommandOutput | 'changed' | null> {
  try {
    return await bucket.sendRaw((s3) =>
      s3.getObject({
        Bucket: bucket.address.bucket,
        Key: bucket.keyOf(path),
        ...(from === 0 ? {} : { Range: `bytes=${from}-` }),
        ...(from === 0 || etag === undefined ? {} : { IfMatch: etag }),
      }),
    )
  } catch (error) {
    if (isFailure(error, 'NoSuchKey')) return null
    if (from > 0 && isFailure(error, 412, 416)) return 'changed'
    throw error
  }
}
