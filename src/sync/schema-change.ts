/** How the shape of a stream changed since the last run, and what the schema policy makes of it. Pure. */
import type { StreamFingerprint } from '../model/checkpoint.js'
import { TrunklineError } from '../model/error.js'
import { fingerprintTransforms, transformsOfColumn } from '../transform/transform-spec.js'
import {
  fingerprintColumn,
  ownColumns,
  type ColumnFingerprint,
  type LandedColumns,
} from './column-fingerprint.js'
import type { StreamPlan } from './plan.js'

export interface Shape {
  readonly change: LandedColumns
  /** Why all rows must be read again although transaction ids do not show it. */
  readonly reload: string | null
  /** Why what is there cannot take what comes: a column of another type, another key. */
  readonly incompatible: string | null
  /** Why the table starts over: how it marks runs or deletes was changed by its owner. */
  readonly restart: string | null
  readonly warnings: readonly string[]
}

export interface ColumnChange {
  readonly kind: 'added' | 'removed' | 'retyped' | 'replaced'
  readonly name: string
  /** `column "total" is now decimal(12,2), was decimal(10,2)`. */
  readonly text: string
}

/** @throws SCHEMA_FROZEN where the policy does not let the stream follow the change. */
export function applySchemaPolicy(plan: StreamPlan, saved: StreamFingerprint): Shape {
  const now = plan.columns.map((column) => fingerprintColumn(plan.stream, column))
  const changes = compareColumns(saved.columns, [...now, ...ownColumns(plan)])
  const own = changes.filter((change) => change.name.startsWith('_trunkline'))
  const columns = changes.filter((change) => !own.includes(change))
  if (plan.onSchemaChange === 'freeze' && columns.length > 0) throw frozen(plan, columns, 'freeze')

  const asked = askedChange(plan, saved)
  const base = { warnings: [], incompatible: null, restart: null, reload: asked }
  const whole: LandedColumns = { columns: plan.columns, added: [] }
  if (own.some((change) => change.kind === 'added')) {
    return { ...base, restart: 'Deletes or runs are marked from now on.', change: whole }
  }
  if (own.length > 0) {
    return { ...base, incompatible: 'Deletes or runs are no longer marked.', change: whole }
  }
  if (keyChanged(plan, saved)) return { ...base, incompatible: 'The key changed.', change: whole }
  const transformed = transformsChanged(saved, {
    columns: now,
    transforms: fingerprintTransforms(plan.transform, plan.key),
  })
  if (transformed !== null) return { ...base, incompatible: transformed, change: whole }
  if (plan.onSchemaChange === 'discard_value') {
    const retyped = columns.filter((change) => change.kind === 'retyped')
    if (retyped.length > 0) throw frozen(plan, retyped, 'discard_value')
    const added = namesOf(columns, 'added')
    const replaced = columns.filter((change) => change.kind === 'replaced')
    return {
      ...base,
      reload: asked ?? (replaced.length > 0 ? describeChanges(replaced) : null),
      change: { columns: plan.columns.filter((column) => !added.has(column.field.name)), added: [] },
    }
  }
  const retyped = columns.filter((change) => change.kind === 'retyped')
  const added = namesOf(columns, 'added')
  const change: LandedColumns = {
    columns: plan.columns,
    added: plan.columns.filter((column) => added.has(column.field.name)),
  }
  if (retyped.length > 0) return { ...base, incompatible: describeChanges(retyped), change }
  if (columns.length === 0) return { ...base, change }
  if (plan.landing === 'append') {
    return {
      ...base,
      change,
      warnings: [`${describeChanges(columns)} Rows landed earlier keep what they have.`],
    }
  }
  return { ...base, reload: describeChanges(columns), change }
}

/**
 * `retyped` lands as another type; `replaced` lands as the same, but its content is another: a column dropped and added
 * again under its name, another type with the same landing, enum labels renamed, a virtual column's expression changed.
 */
export function compareColumns(
  saved: readonly ColumnFingerprint[],
  now: readonly ColumnFingerprint[],
): ColumnChange[] {
  const changes: ColumnChange[] = []
  const before = new Map(saved.map((column) => [column.name, column]))
  for (const column of now) {
    const old = before.get(column.name)
    before.delete(column.name)
    if (old === undefined) {
      const renamed = saved.find(
        (candidate) =>
          candidate.number === column.number && column.number !== 0 && candidate.sqlType === column.sqlType,
      )
      const text = `column "${column.name}" is new${renamed === undefined ? '' : ` (it was "${renamed.name}")`}`
      changes.push({ kind: 'added', name: column.name, text })
    } else if (old.landing !== column.landing) {
      const text = `column "${column.name}" is now ${column.landing}, was ${old.landing}`
      changes.push({ kind: 'retyped', name: column.name, text })
    } else if (old.number !== column.number) {
      const text = `column "${column.name}" was dropped and added again`
      changes.push({ kind: 'replaced', name: column.name, text })
    } else if (!sameContent(old.sqlType, column.sqlType)) {
      const text = `column "${column.name}" is now ${column.sqlType}, was ${old.sqlType}`
      changes.push({ kind: 'replaced', name: column.name, text })
    }
  }
  for (const name of before.keys()) {
    changes.push({ kind: 'removed', name, text: `column "${name}" is gone` })
  }
  return changes
}

/** Labels that were only added to an enum change no row. */
function sameContent(before: string, now: string): boolean {
  if (before === now) return true
  const old = splitLabels(before)
  const present = splitLabels(now)
  if (old === null || present === null || old.type !== present.type) return false
  return old.labels.every((label) => present.labels.includes(label))
}

function splitLabels(sqlType: string): { readonly type: string; readonly labels: readonly string[] } | null {
  const start = sqlType.indexOf(' ["')
  if (start < 0 || !sqlType.endsWith(']')) return null
  try {
    return {
      type: sqlType.slice(0, start),
      labels: JSON.parse(sqlType.slice(start + 1)) as readonly string[],
    }
  } catch {
    return null
  }
}

/** What a person changed rather than the source: never a matter of the schema policy. */
function askedChange(plan: StreamPlan, saved: StreamFingerprint): string | null {
  if (saved.sql !== plan.stream.sql) return 'The query changed.'
  if (saved.where !== plan.where) return 'The condition `where` changed.'
  return null
}

function keyChanged(plan: StreamPlan, saved: StreamFingerprint): boolean {
  if (plan.landing !== 'upsert') return false
  return JSON.stringify(saved.key) !== JSON.stringify(plan.key)
}

/**
 * What became of rows that are there is not what would become of them now; null where it is. As a sentence. What is done to a column
 * that only one of them has is no such change: that the column came or went is one of its own.
 */
export function transformsChanged(
  saved: Pick<StreamFingerprint, 'transforms' | 'columns'>,
  now: Pick<StreamFingerprint, 'transforms' | 'columns'>,
): string | null {
  const before = new Map(saved.transforms)
  const after = new Map(now.transforms)
  const names = (of: Pick<StreamFingerprint, 'columns'>): string[] => of.columns.map(({ name }) => name)
  const passing = names(saved)
    .filter((name) => !names(now).includes(name))
    .concat(names(now).filter((name) => !names(saved).includes(name)))
    .flatMap(transformsOfColumn)
  const changed = [...new Set([...before.keys(), ...after.keys()])].filter(
    (what) => before.get(what) !== after.get(what) && !passing.includes(what),
  )
  return changed.length === 0 ? null : `What is done to its rows changed: ${changed.join(', ')}.`
}

function namesOf(changes: readonly ColumnChange[], kind: ColumnChange['kind']): ReadonlySet<string> {
  return new Set(changes.filter((change) => change.kind === kind).map((change) => change.name))
}

/** As a sentence. */
export function describeChanges(changes: readonly ColumnChange[]): string {
  const text = changes.map((change) => change.text).join(', ')
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`
}

function frozen(plan: StreamPlan, changes: readonly ColumnChange[], policy: string): TrunklineError {
  return new TrunklineError('SCHEMA_FROZEN', `${plan.stream.name} changed: ${describeChanges(changes)}`, {
    hint: `\`on_schema_change\` is ${policy}; set it to evolve to follow the source, or change the source back.`,
    context: { stream: plan.stream.name },
  })
}
