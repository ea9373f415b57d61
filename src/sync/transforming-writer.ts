/**
 * Every row on its way to the destination passes here, whatever it is read for: a load, what came meanwhile, keys, a comparison. So
 * nothing that is masked can get past the transforms of its stream.
 */
import type { Batch } from '../batch/batch.js'
import type { ReconcileResult, SchemaChange, StreamWriter } from '../destination/contract.js'
import type { Checkpoint, LoadProgress } from '../model/checkpoint.js'
import type { Field } from '../model/column-type.js'
import { TrunklineError } from '../model/error.js'
import type { VerifyResult } from '../model/report.js'
import { createKeyTransform, createRowTransform, type Transform } from '../transform/transform-batch.js'
import { isIdentity, landedColumns } from '../transform/transform-spec.js'
import type { StreamPlan } from './plan.js'

export interface TransformingOptions {
  readonly plan: Pick<StreamPlan, 'transform' | 'key' | 'mayDrop'>
  /** Of whole rows, as the source has them. */
  readonly fields: readonly Field[]
  readonly runAt: Date
  /** Takes back the memory of a batch that was transformed into another one. */
  readonly giveBack: (batch: Batch) => void
}

export class TransformingWriter implements StreamWriter {
  readonly #writer: StreamWriter
  readonly #options: TransformingOptions
  readonly #rows: Transform | null
  #dropped = 0

  constructor(writer: StreamWriter, options: TransformingOptions) {
    this.#writer = writer
    this.#options = options
    const { plan, fields, runAt } = options
    this.#rows = isIdentity(plan.transform)
      ? null
      : createRowTransform(plan.transform, fields, { ...plan, runAtMs: runAt.getTime() })
  }

  /** Rows that a hook left out of what was written. */
  get dropped(): number {
    return this.#dropped
  }

  /** What is not decoded cannot be transformed. */
  takesUndecoded(sourceVersion: number): boolean {
    return this.#rows === null && this.#writer.takesUndecoded?.(sourceVersion) === true
  }

  async write(batch: Batch): Promise<void> {
    if (this.#rows === null) {
      await this.#writer.write(batch)
      return
    }
    const landed = this.#transform(this.#rows, batch)
    this.#dropped += batch.rowCount - landed.rowCount
    if (landed.rowCount > 0) await this.#writer.write(landed)
  }

  async replaceByKey(rows: AsyncIterable<Batch>): Promise<void> {
    await this.#writer.replaceByKey(this.#through(rows, this.#rows))
  }

  async reconcileKeys(
    keys: AsyncIterable<Batch>,
    guard: { readonly maxDeleted: number },
  ): Promise<ReconcileResult> {
    const { plan, fields } = this.#options
    const ofKey = (plan.key ?? []).flatMap((name) => fields.filter((field) => field.name === name))
    const transform = this.#rows === null ? null : createKeyTransform(plan.transform, ofKey)
    return this.#writer.reconcileKeys(this.#through(keys, transform), guard)
  }

  /** Without what tells of the run rather than of the row. */
  async verify(rows: AsyncIterable<Batch>): Promise<VerifyResult> {
    if (this.#rows === null) return this.#writer.verify(rows)
    const { plan, fields } = this.#options
    const transform = createRowTransform(plan.transform, fields, { ...plan, runAtMs: null })
    return this.#writer.verify(this.#through(rows, transform), { fields: transform.fields })
  }

  async alter({ add }: SchemaChange): Promise<void> {
    await this.#writer.alter({ add: landedColumns(this.#options.plan.transform, add) })
  }

  save(progress: LoadProgress): Promise<void> {
    return this.#writer.save(progress)
  }

  liveCount(): Promise<number> {
    return this.#writer.liveCount()
  }

  commit(checkpoint: Checkpoint): Promise<void> {
    return this.#writer.commit(checkpoint)
  }

  abort(): Promise<void> {
    return this.#writer.abort()
  }

  async *#through(batches: AsyncIterable<Batch>, transform: Transform | null): AsyncGenerator<Batch, void> {
    for await (const batch of batches) {
      const landed = transform === null ? batch : this.#transform(transform, batch)
      if (landed.rowCount > 0) yield landed
    }
  }

  #transform(transform: Transform, batch: Batch): Batch {
    const landed = transform.apply(batch)
    if (landed.columns.length !== landed.fields.length) {
      throw new TrunklineError('INTERNAL', 'Rows came to be transformed that are not whole.')
    }
    if (landed.buffer !== batch.buffer) this.#options.giveBack(batch)
    return landed
  }
}
