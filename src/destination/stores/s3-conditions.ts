/**
 * Creating a file only if there is none: `PUT` with `If-None-Match: *`, which is what a commit rests on. Not every store that speaks
 * the S3 API looks at the header; one that does not would let two runs commit over each other. So the first run at a place tries it out.
 */
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { TrunklineError } from '../../model/error.js'
import { isFailure, type S3Bucket, type S3Request } from './s3-client.js'
import { readObject } from './s3-download.js'
import { isOutcomeUnknown } from './s3-errors.js'

/** What the trial found is kept here; what begins so is no file of the store. */
const OWN_FILES = '_trunkline/conditional-writes'
const MARKER = `${OWN_FILES}.json`
/** Of a conditional request that met another one for the same path. */
const MAX_CONFLICTS = 8
const FIRST_PAUSE_MS = 50

export function isOwnFile(path: string): boolean {
  return path.startsWith(OWN_FILES)
}

/** Whether the store creates a file only if there is none; found out once for each place. */
export async function honoursConditions(bucket: S3Bucket): Promise<boolean> {
  const marker = Buffer.from(`${JSON.stringify(describePlace(bucket))}\n`)
  const found = await readObject(bucket, MARKER)
  if (found !== null && marker.equals(found)) return true
  const honoured = await tryOut(bucket)
  if (honoured) await putObject(bucket, MARKER, marker)
  return honoured
}

/** A marker that was copied along with its bucket says nothing about the store it is in now. */
function describePlace({ address: { bucket, prefix, endpoint } }: S3Bucket): object {
  return { format: 1, endpoint, bucket, prefix, conditionalWrites: true }
}

async function tryOut(bucket: S3Bucket): Promise<boolean> {
  const path = `${OWN_FILES}-${randomUUID()}`
  try {
    const first = await putIfAbsent(bucket, path, Buffer.from('first'))
    // Our own first attempt, whose answer was lost, is in the way: that is what was to be found out.
    if (first !== 'written') return first === 'present'
    return (await putIfAbsent(bucket, path, Buffer.from('second'))) === 'present'
  } finally {
    const target = { Bucket: bucket.address.bucket, Key: bucket.keyOf(path) }
    await bucket.sendRaw((s3) => s3.deleteObject(target)).catch(() => undefined)
  }
}

/** @throws DESTINATION_INVALID for a store that does not create a file only if there is none */
export function refuseUnconditional(bucket: S3Bucket): never {
  throw new TrunklineError(
    'DESTINATION_INVALID',
    `${bucket.url}: the store overwrites a file although it is asked to create it only if there is none (If-None-Match).`,
    {
      hint: 'Two runs at once could undo each other there. Use a store that honours it, or, if nothing else ever writes to this place, ?single_writer=true.',
    },
  )
}

/**
 * @returns false where there is a file of other content. Where the same content is there, it is ours: an earlier attempt had its
 * effect, and its answer was lost.
 */
export async function putNewObject(bucket: S3Bucket, path: string, content: Uint8Array): Promise<boolean> {
  for (let conflicts = 0; ; conflicts++) {
    const outcome = await putIfAbsent(bucket, path, content)
    if (outcome === 'written') return true
    if (outcome === 'refused') refuseUnconditional(bucket)
    const present = await readObject(bucket, path)
    if (present !== null) return Buffer.compare(present, content) === 0
    // It was removed between the two requests, or is not to be read yet: it is tried again.
    if (conflicts === MAX_CONFLICTS) throw neitherThereNorNot(bucket, path)
    await sleep(FIRST_PAUSE_MS * 2 ** conflicts)
  }
}

function neitherThereNorNot(bucket: S3Bucket, path: string): TrunklineError {
  return new TrunklineError(
    'DESTINATION_INVALID',
    `${bucket.nameOf(path)}: the store says that it is there, and that there is nothing to be read.`,
    { hint: 'A store that shows what was written only later cannot hold commits.' },
  )
}

/** For a store that overwrites: whoever promised to be alone still finds what an earlier run left. */
export async function putNewUnguarded(bucket: S3Bucket, path: string, content: Uint8Array): Promise<boolean> {
  const present = await readObject(bucket, path)
  if (present !== null) return Buffer.compare(present, content) === 0
  await putObject(bucket, path, content)
  return true
}

export async function putObject(bucket: S3Bucket, path: string, content: Uint8Array): Promise<void> {
  await bucket.send(writing(bucket, path), (s3) => s3.putObject(input(bucket, path, content)))
}

/** `refused`: the store does not know the header, and says so. */
async function putIfAbsent(
  bucket: S3Bucket,
  path: string,
  content: Uint8Array,
): Promise<'written' | 'present' | 'refused'> {
  for (let conflicts = 0; ; conflicts++) {
    try {
      await bucket.sendRaw((s3) => s3.putObject({ ...input(bucket, path, content), IfNoneMatch: '*' }))
      return 'written'
    } catch (error) {
      if (isFailure(error, 412, 'PreconditionFailed')) return 'present'
      if (isFailure(error, 501, 'NotImplemented')) return 'refused'
      if (isFailure(error, 409, 'ConditionalRequestConflict') && conflicts < MAX_CONFLICTS) {
        await sleep(FIRST_PAUSE_MS * 2 ** conflicts * (0.5 + Math.random()))
        continue
      }
      if (isOutcomeUnknown(error) && (await isThere(bucket, path, content))) return 'written'
      throw bucket.toError(writing(bucket, path), error)
    }
  }
}

async function isThere(bucket: S3Bucket, path: string, content: Uint8Array): Promise<boolean> {
  const present = await readObject(bucket, path).catch(() => null)
  return present !== null && Buffer.compare(present, content) === 0
}

function input(
  bucket: S3Bucket,
  path: string,
  content: Uint8Array,
): { readonly Bucket: string; readonly Key: string; readonly Body: Uint8Array } & S3Bucket['writing'] {
  return { Bucket: bucket.address.bucket, Key: bucket.keyOf(path), ...bucket.writing, Body: content }
}

function writing(bucket: S3Bucket, path: string): S3Request {
  return { doing: `write ${bucket.nameOf(path)}`, right: 's3:PutObject' }
}
