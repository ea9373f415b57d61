/** One data file in the making: rows go through the encoder into the store, and are counted and digested on their way. */
import { createHash } from 'node:crypto'
import type { RowRange } from '../../batch/row-range.js'
import type { Field } from '../../model/column-type.js'
import type { Store, StoreFile } from '../stores/store.js'
import type { FileEncoder, FileFormat } from './file-format.js'
import type { SavedFile } from './manifest.js'

export class DataFile {
  readonly path: string
  readonly #file: StoreFile
  readonly #encoder: FileEncoder
  readonly #hash = createHash('sha256')
  #bytes = 0
  #rows = 0

  private constructor(path: string, file: StoreFile, encoder: FileEncoder) {
    this.path = path
    this.#file = file
    this.#encoder = encoder
  }

  static async create(
    store: Store,
    path: string,
    {
      format,
      fields,
      metadata,
      sharedBy,
    }: {
      readonly format: FileFormat
      readonly fields: readonly Field[]
      readonly metadata: Readonly<Record<string, string>>
      /** As {@link FileFormat.encoder} takes it. */
      readonly sharedBy: () => number
    },
  ): Promise<DataFile> {
    const encoder = format.encoder(fields, metadata, sharedBy)
    return new DataFile(path, await store.create(path), encoder)
  }

  /** So far: what the encoder holds back is not among them. */
  get bytes(): number {
    return this.#bytes
  }

  get rows(): number {
    return this.#rows
  }

  /** The rows' memory is not used any more when it returns. */
  async add(rows: RowRange): Promise<void> {
    this.#rows += rows.count
    await this.#writeAll(this.#encoder.add(rows))
  }

  /** Durable, and there, when it returns; nobody reads it until a manifest names it. */
  async finish(): Promise<SavedFile> {
    await this.#writeAll(this.#encoder.end())
    await this.#file.finish()
    return { path: this.path, bytes: this.#bytes, rows: this.#rows, sha256: this.#hash.digest('hex') }
  }

  /** Never rejects. */
  abort(): Promise<void> {
    return this.#file.abort()
  }

  async #writeAll(encoded: Iterable<readonly Uint8Array[]>): Promise<void> {
    for (const pieces of encoded) {
      for (const piece of pieces) {
        this.#hash.update(piece)
        this.#bytes += piece.length
      }
      await this.#file.write(pieces)
    }
  }
}
