/** A plan as a person reads it. */
import type { PlannedStream, SyncPlan } from '../sync/plan-report.js'
import { describeError } from './error-report.js'
import { escapeText } from './escape.js'
import { formatBytes, formatNoun } from './format.js'

export function describePlan(plan: SyncPlan): string {
  const blocks = plan.streams.map(describePlanned)
  const refused = plan.streams.filter(({ kind }) => kind === 'refused').length
  const scanned = plan.streams.reduce(
    (sum, stream) => sum + (stream.kind === 'planned' ? stream.bytesScanned : 0),
    0,
  )
  const totals = [
    formatNoun(plan.streams.length, 'stream'),
    ...(refused === 0 ? [] : [`${refused} refused`]),
    `${formatBytes(plan.firstLoadBytes)} to load in full`,
    `${formatBytes(scanned)} scanned per run`,
  ]
  return [
    escapeText(`${plan.sync}: ${plan.source} → ${plan.destination}`),
    ...plan.warnings.map((warning) => `warning: ${escapeText(warning)}`),
    '',
    ...blocks,
    totals.join(', '),
  ].join('\n')
}

function describePlanned(stream: PlannedStream): string {
  if (stream.kind === 'refused') {
    return `${escapeText(stream.stream)}\n  refused: ${describeError(stream.error)}\n`
  }
  const size = `${stream.estimatedRows === null ? 'rows not known' : `~${formatNoun(stream.estimatedRows, 'row')}`}, ${formatBytes(stream.bytesScanned)} scanned per run, ${formatNoun(stream.columns, 'column')}`
  const deletes = stream.landing === 'upsert' ? `, deletes ${stream.deletes}` : ''
  const lines = [
    `${stream.stream} → ${stream.table}`,
    `  ${stream.mode}, landing ${stream.landing}${deletes}: ${stream.reason}`,
    `  key: ${stream.key === null ? 'none' : stream.key.join(', ')}`,
    `  next run: ${describeNext(stream.next)}. ${stream.nextReason}`,
    `  size: ${size}`,
    `  promise: ${stream.promise}`,
    ...stream.losses.map((loss) => `  loses: ${loss}`),
    ...stream.warnings.map((warning) => `  warning: ${warning}`),
    ...(stream.suggestion === null ? [] : [`  suggestion: ${stream.suggestion}`]),
  ]
  return `${lines.map(escapeText).join('\n')}\n`
}

function describeNext(next: 'full' | 'changes' | 'nothing'): string {
  switch (next) {
    case 'full':
      return 'reads everything'
    case 'changes':
      return 'reads what changed'
    case 'nothing':
      return 'reads nothing'
  }
}
