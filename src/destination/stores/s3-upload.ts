/**
 * One file on its way to an object store. A small one is a single request when it is finished; a larger one goes in parts while it
 * is written, a few at a time, so that memory is bounded by parts in flight, whatever the file's size. An object appears whole when
 * the last request succeeds, and not at all otherwise.
 *
 * Limits of the S3 API: 10,000 parts, each of at least 5 MiB but the last.
 */
import { randomUUID } from 'node:crypto'
import type { S3 } from '@aws-sdk/client-s3'
import { TrunklineError } from '../../model/error.js'
import { isFailure, type S3Bucket } from './s3-client.js'
import { isOutcomeUnknown } from './s3-errors.js'
import type { StoreFile } from './store.js'

const MIB = 1024 * 1024
const MAX_PARTS = 10_000
/** That may be on their way while another one is filled; parts that are larger go one at a time. */
const MAX_BYTES_IN_FLIGHT = 16 * MIB
const MAX_PARTS_IN_FLIGHT = 4
/** What a file begins with: most files of small tables never need more. */
const FIRST_BUFFER_BYTES = 256 * 1024

/**
 * All parts of the first 39 GiB have one size, because some stores want that; from there on they grow, so that 10,000 make 820 GiB.
 * @param index from 0
 */
export function partBytesAt(index: number): number {
  if (index < 5000) return 8 * MIB
  return index < 7500 ? 64 * MIB : 256 * MIB
}

export interface UploadOptions {
  readonly bucket: S3Bucket
  readonly path: string
  readonly partBytes?: (index: number) => number
  /** Told when it is over, however. */
  readonly onEnd?: () => void
}

interface FinishedPart {
  readonly PartNumber: number
  readonly ETag: string | undefined
  readonly ChecksumCRC32: string | undefined
}

export function createUpload(options: UploadOptions): StoreFile {
  return new Upload(options)
}

class Upload implements StoreFile {
  private readonly bucket: S3Bucket
  private readonly path: string
  private readonly partBytes: (index: number) => number
  private readonly onEnd: () => void
  private readonly target: { readonly Bucket: string; readonly Key: string }
  /** Goes with the object as metadata: how it is known again after an answer was lost. */
  private readonly mark = randomUUID()
  private readonly interrupt = new AbortController()
  private readonly inFlight: { readonly done: Promise<void>; readonly bytes: number }[] = []
  private readonly parts: FinishedPart[] = []
  private spare: Buffer | null = null
  private buffer: Buffer | null = null
  private filled = 0
  private partCount = 0
  private bytes = 0
  private starting: Promise<string> | null = null
  private failure: TrunklineError | null = null
  private over = false

  constructor({ bucket, path, partBytes, onEnd }: UploadOptions) {
    this.bucket = bucket
    this.path = path
    this.partBytes = partBytes ?? partBytesAt
    this.onEnd = onEnd ?? (() => undefined)
    this.target = { Bucket: bucket.address.bucket, Key: bucket.keyOf(path) }
  }

  async write(pieces: readonly Uint8Array[]): Promise<void> {
    this.assertGoing()
    for (const piece of pieces) {
      let offset = 0
      while (offset < piece.length) {
        const size = this.partBytes(this.partCount)
        const room = this.makeRoom(size, piece.length - offset)
        const count = Math.min(piece.length - offset, room.length - this.filled)
        room.set(piece.subarray(offset, offset + count), this.filled)
        this.filled += count
        offset += count
        if (this.filled === size) await this.sendPart()
      }
    }
  }

  async finish(): Promise<void> {
    this.assertGoing()
    if (this.starting === null) await this.putWhole()
    else await this.completeParts()
    this.end()
  }

  async abort(): Promise<void> {
    if (this.over) return
    this.end()
    this.interrupt.abort()
    await Promise.allSettled(this.inFlight.map(({ done }) => done))
    const uploadId = await this.starting?.catch(() => null)
    if (uploadId === null || uploadId === undefined) return
    // What cannot be aborted is left to the removal of abandoned uploads; nobody sees it.
    await this.bucket
      .sendRaw((s3) => s3.abortMultipartUpload({ ...this.target, UploadId: uploadId }))
      .catch(() => undefined)
  }

  private end(): void {
    if (this.over) return
    this.over = true
    this.buffer = null
    this.spare = null
    this.onEnd()
  }

  private assertGoing(): void {
    if (this.failure !== null) throw this.failure
    if (this.over) {
      throw new TrunklineError('INTERNAL', `${this.bucket.nameOf(this.path)} is written after its end.`)
    }
  }

  /** A buffer that has room for a byte at least, of the part's size at most. */
  private makeRoom(partBytes: number, wanted: number): Buffer {
    const present = this.buffer
    if (present !== null && this.filled < present.length) return present
    const first = this.starting === null
    const needed = Math.max(FIRST_BUFFER_BYTES, this.filled + wanted, 2 * this.filled)
    const size = first ? Math.min(partBytes, needed) : partBytes
    const next = this.spare?.length === size ? this.spare : Buffer.allocUnsafeSlow(size)
    if (next === this.spare) this.spare = null
    present?.copy(next, 0, 0, this.filled)
    this.buffer = next
    return next
  }

  private async sendPart(): Promise<void> {
    const buffer = this.buffer
    if (buffer === null) return
    if (this.partCount === MAX_PARTS) {
      throw new TrunklineError(
        'DESTINATION_FAILED',
        `${this.bucket.nameOf(this.path)} is too large to upload.`,
        {
          hint: 'Let files be smaller: ?file_size=.',
        },
      )
    }
    const body = buffer.subarray(0, this.filled)
    this.partCount += 1
    this.buffer = null
    this.filled = 0
    this.starting ??= this.start()
    const uploadId = await this.starting
    const done = this.upload(uploadId, this.partCount, body)
      .then(() => {
        this.spare = buffer
      })
      .catch((error: unknown) => {
        this.failure ??= this.bucket.toError(this.request, error)
      })
    this.inFlight.push({ done, bytes: body.length })
    this.bytes += body.length
    while (
      this.inFlight.length > MAX_PARTS_IN_FLIGHT ||
      this.bytesInFlight() > Math.max(MAX_BYTES_IN_FLIGHT, body.length)
    ) {
      await this.inFlight[0]?.done
      this.inFlight.shift()
    }
    this.assertGoing()
  }

  private bytesInFlight(): number {
    return this.inFlight.reduce((sum, { bytes }) => sum + bytes, 0)
  }

  private async start(): Promise<string> {
    const { UploadId } = await this.send(async (s3) => {
      const checksums = (await s3.config.requestChecksumCalculation()) === 'WHEN_SUPPORTED'
      return s3.createMultipartUpload(
        {
          ...this.target,
          ...this.bucket.writing,
          Metadata: { 'trunkline-upload': this.mark },
          ...(checksums ? { ChecksumAlgorithm: 'CRC32' as const } : {}),
        },
        this.interruptible,
      )
    })
    if (UploadId !== undefined) return UploadId
    throw new TrunklineError(
      'DESTINATION_INVALID',
      `${this.bucket.url}: the store does not take files in parts.`,
      {
        hint: 'Check ?endpoint=: it must be the address of the S3 API.',
      },
    )
  }

  private async upload(uploadId: string, number: number, body: Buffer): Promise<void> {
    const { ETag, ChecksumCRC32 } = await this.send((s3) =>
      s3.uploadPart(
        { ...this.target, UploadId: uploadId, PartNumber: number, Body: body, ContentLength: body.length },
        this.interruptible,
      ),
    )
    this.parts.push({ PartNumber: number, ETag, ChecksumCRC32 })
  }

  private async putWhole(): Promise<void> {
    const body = this.buffer?.subarray(0, this.filled) ?? Buffer.alloc(0)
    await this.send((s3) =>
      s3.putObject(
        { ...this.target, ...this.bucket.writing, Body: body, ContentLength: body.length },
        this.interruptible,
      ),
    )
  }

  private async completeParts(): Promise<void> {
    if (this.filled > 0) await this.sendPart()
    await Promise.all(this.inFlight.map(({ done }) => done))
    this.assertGoing()
    const uploadId = await (this.starting ?? this.start())
    const Parts = this.parts.toSorted((a, b) => a.PartNumber - b.PartNumber)
    try {
      await this.bucket.sendRaw((s3) =>
        s3.completeMultipartUpload(
          { ...this.target, UploadId: uploadId, MultipartUpload: { Parts } },
          this.interruptible,
        ),
      )
    } catch (error) {
      // After a lost answer the upload is not there any more, but the object is.
      const doubtful = isOutcomeUnknown(error) || isFailure(error, 'NoSuchUpload', 404)
      if (doubtful && (await this.isThere())) return
      throw this.bucket.toError(this.request, error)
    }
  }

  private async isThere(): Promise<boolean> {
    const found = await this.bucket.sendRaw((s3) => s3.headObject(this.target)).catch(() => null)
    return found?.Metadata?.['trunkline-upload'] === this.mark && found.ContentLength === this.bytes
  }

  private send<T>(run: (s3: S3) => Promise<T>): Promise<T> {
    return this.bucket.send(this.request, run)
  }

  private get request(): { readonly doing: string; readonly right: string } {
    return { doing: `write ${this.bucket.nameOf(this.path)}`, right: 's3:PutObject' }
  }

  private get interruptible(): { readonly abortSignal: AbortSignal } {
    return { abortSignal: this.interrupt.signal }
  }
}
