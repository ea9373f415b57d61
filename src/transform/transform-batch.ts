/**
 * Changes batches between reading and landing. Everything that comes out lies in memory of its own as soon as a value is masked, made
 * or changed; renames alone leave the memory as it is.
 *
 * In this order: constants are added, the row hook is called, columns are masked and renamed, facts of the run and row ids added. So
 * a hook sees what the source has, and nothing that it returns under a masked name escapes the mask.
 */
import type { Batch } from '../batch/batch.js'
import { columnFormatter } from '../batch/format-value.js'
import type { Value } from '../batch/rows.js'
import type { Field } from '../model/column-type.js'
import { isConstant, isRunFact, type AddedField } from './added-field.js'
import { assembleBatch, copyColumn, type Build } from './assemble.js'
import { constantColumn, emptyColumn, maskColumn, rowIdColumn, type TextOfRow } from './made-columns.js'
import { createMasker } from './mask.js'
import { createRowHook } from './row-hook.js'
import { landedColumns, landedFields, type TransformSpec } from './transform-spec.js'

export interface Transform {
  /** Of the batches that come out. */
  readonly fields: readonly Field[]
  /** The batch itself where nothing is to be done. What was masked is nowhere in the memory of another one. */
  apply(batch: Batch): Batch
}

export interface WholeRows {
  /** Columns that tell rows apart, by the names of the source; null: all of them together. */
  readonly key: readonly string[] | null
  /** Rows may be left out by the hook. */
  readonly mayDrop: boolean
  /** Milliseconds since 1970 at which the run began; null leaves out what tells of the run. */
  readonly runAtMs: number | null
}

/** For whole rows of the source. */
export function createRowTransform(
  spec: TransformSpec,
  fields: readonly Field[],
  { key, mayDrop, runAtMs }: WholeRows,
): Transform {
  const added = runAtMs === null ? spec.added.filter((column) => !isRunFact(column)) : spec.added
  const landed = landedFields({ ...spec, added }, fields, key)
  const constants = added.filter(isConstant)
  const made = added.filter((column) => !isConstant(column))
  const before = spec.hook === null ? [] : constants
  const after = spec.hook === null ? added : made
  // What the hook sees and gives.
  const hooked = [...fields, ...before.map(({ field }) => field)]
  const runHook = spec.hook === null ? null : createRowHook(spec, spec.hook, { fields: hooked, key, mayDrop })
  const finish = createColumnTransform(spec, {
    fields,
    hooked,
    landed,
    added: after,
    key,
    runAtMs: runAtMs ?? 0,
  })
  return {
    fields: landed,
    apply: (batch) => {
      const withConstants = before.length === 0 ? batch : addConstants(batch, before, hooked)
      return finish(runHook === null ? withConstants : runHook(withConstants))
    },
  }
}

/** For parts of rows: only masks and names. */
export function createKeyTransform(spec: TransformSpec, fields: readonly Field[]): Transform {
  const landed = landedColumns(spec, fields)
  const finish = createColumnTransform(spec, {
    fields,
    hooked: fields,
    landed,
    added: [],
    key: null,
    runAtMs: 0,
  })
  return { fields: landed, apply: finish }
}

interface ColumnStep {
  readonly fields: readonly Field[]
  /** Those, and constants that are there already. */
  readonly hooked: readonly Field[]
  readonly landed: readonly Field[]
  readonly added: readonly AddedField[]
  readonly key: readonly string[] | null
  readonly runAtMs: number
}

function createColumnTransform(
  { masks }: TransformSpec,
  { fields, hooked, landed, added, key, runAtMs }: ColumnStep,
): (batch: Batch) => Batch {
  if (added.length === 0 && !fields.some(({ name }) => masks.has(name))) {
    return (batch) => ({ ...batch, fields: landed })
  }
  const maskers = fields.map(({ name }) => {
    const mask = masks.get(name)
    return mask === undefined ? null : createMasker(mask)
  })
  const buildOwn = (batch: Batch, field: Field, index: number): Build => {
    const mask = masks.get(field.name)
    const masker = maskers[index] ?? null
    if (mask === undefined || masker === null) return copyColumn(batch, index)
    return mask.kind === 'null' ? emptyColumn(field, batch.rowCount) : maskColumn(batch, index, masker)
  }
  const buildAdded = (batch: Batch, { field, content }: AddedField): Build => {
    switch (content.kind) {
      case 'constant':
        return constantColumn(field, content.value, batch.rowCount)
      case 'run_at':
        return constantColumn(field, new Date(runAtMs).toISOString(), batch.rowCount)
      case 'epoch_seconds':
        return constantColumn(field, runAtMs / 1000, batch.rowCount)
      case 'row_id':
        return rowIdColumn(landedTexts(batch), batch.rowCount)
    }
  }
  const landedTexts = (batch: Batch): TextOfRow[] =>
    fields.flatMap((field, index) => {
      if (key?.includes(field.name) === false) return []
      const format = columnFormatter(batch, index)
      const masker = maskers[index] ?? null
      if (masker === null) return [format]
      return (row: number) => {
        const text = format(row)
        return text === null ? null : masker(text)
      }
    })
  return (batch) =>
    assembleBatch(landed, batch.rowCount, [
      ...hooked.map((field, index) => buildOwn(batch, field, index)),
      ...added.map((column) => buildAdded(batch, column)),
    ])
}

function addConstants(batch: Batch, constants: readonly AddedField[], fields: readonly Field[]): Batch {
  const values = constants.map(({ field, content }): [Field, Value] => [
    field,
    content.kind === 'constant' ? content.value : null,
  ])
  return assembleBatch(fields, batch.rowCount, [
    ...batch.columns.map((_, index) => copyColumn(batch, index)),
    ...values.map(([field, value]) => constantColumn(field, value, batch.rowCount)),
  ])
}
