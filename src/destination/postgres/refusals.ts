/** What a landing is refused for, and what to do about it. */
import { TrunklineError } from '../../model/error.js'
import type { StreamLanding } from '../contract.js'
import { formatTable } from './state-layout.js'
import type { PresentTable, TableOwner } from './target-table.js'

const KINDS: Readonly<Record<string, string>> = {
  r: 'table',
  p: 'partitioned table',
  v: 'view',
  m: 'materialized view',
  f: 'foreign table',
}

export function ownedByOther(
  { stream, table }: StreamLanding,
  present: PresentTable,
  owner: TableOwner | null,
): TrunklineError {
  const name = formatTable(table)
  const message =
    owner === null
      ? `The ${KINDS[present.kind] ?? 'relation'} ${name} is already there and was not made by Trunkline.`
      : `The table ${name} belongs to the stream ${owner.stream} of the sync ${owner.sync}.`
  return new TrunklineError('TABLE_OWNED', message, {
    hint: 'Land under another name with --name-template (for example {schema}_{table}) or --target-schema, or take the table over with --adopt.',
    context: { stream },
  })
}

/** The table that we made under the name is gone, and another has taken the name. */
export function notTheTable({ stream, table }: StreamLanding): TrunklineError {
  return new TrunklineError(
    'TABLE_OWNED',
    `${formatTable(table)} is not the table that Trunkline made under that name: that one was dropped or renamed.`,
    {
      hint: 'Give the table that is there another name, or take it over, rows and all, with --adopt.',
      context: { stream },
    },
  )
}

/** The stream got a column whose name somebody gave to one of their own. */
export function columnTaken({ stream, table }: StreamLanding, field: string): TrunklineError {
  return new TrunklineError(
    'TABLE_OWNED',
    `${stream}: somebody has added a column ${field} of their own to ${formatTable(table)}, where one of the stream would land.`,
    {
      hint: 'Rename or drop it there, land the one of the stream under another name with `rename`, or take it over with --adopt.',
      context: { stream, field },
    },
  )
}

/** Rows without a key cannot be told from those that take their place, so that nobody knows which value would go where. */
export function valuesWouldGo({ stream, table }: StreamLanding, field: string): TrunklineError {
  return new TrunklineError(
    'TABLE_OWNED',
    `${stream}: the column ${field} that somebody has added to ${formatTable(table)} has values, which a full load without a key cannot keep.`,
    {
      hint: 'Drop it, keep its values in a table of your own, or give the stream a key with --primary-key.',
      context: { stream, field },
    },
  )
}

/** Something of the name is there that no rows can land in: a sequence, an index, a type. */
export function notATable({ stream, table }: StreamLanding): TrunklineError {
  return new TrunklineError(
    'TABLE_OWNED',
    `${formatTable(table)} is already there and is neither a table nor a view.`,
    {
      hint: 'Land under another name with --name-template (for example {schema}_{table}) or --target-schema.',
      context: { stream },
    },
  )
}

export function landsOnItself({ stream, table }: StreamLanding): TrunklineError {
  return new TrunklineError(
    'TABLE_OWNED',
    `${stream} would land on itself: ${formatTable(table)} of this database is what is read.`,
    {
      hint: 'Name another database, or another schema with --target-schema.',
      context: { stream },
    },
  )
}

/** Rows of the present generation are not in a table that is taken over. */
export function cannotGoOn({ stream, table }: StreamLanding): TrunklineError {
  return new TrunklineError(
    'TABLE_OWNED',
    `${formatTable(table)} is not the table that ${stream} was landed in, so that changes alone would not make it whole.`,
    {
      hint: `Give the table that is there another name; or load it anew in its place: trunkline state resync ${stream}, then --adopt.`,
      context: { stream },
    },
  )
}

export function tableGone({ stream, table }: StreamLanding): TrunklineError {
  return new TrunklineError('DESTINATION_FAILED', `The table ${formatTable(table)} of ${stream} is gone.`, {
    hint: `Load it anew: trunkline state resync ${stream}`,
    context: { stream },
  })
}

export function partialGone(stream: string): TrunklineError {
  return new TrunklineError('DESTINATION_FAILED', `What was loaded of ${stream} is gone.`, {
    hint: `Load it anew: trunkline state resync ${stream}`,
    context: { stream },
  })
}

/** The answer to an earlier attempt's commit was lost, and could not be asked for in time. */
export function alreadyCommitted(stream: string): TrunklineError {
  return new TrunklineError(
    'FENCED',
    `${stream} was committed by an earlier attempt of this run, whose answer was lost.`,
    { hint: 'Nothing is missing: the next run goes on from what was committed.', context: { stream } },
  )
}

export function columnDiffers({ stream }: StreamLanding, field: string, how: string): TrunklineError {
  return new TrunklineError('DESTINATION_FAILED', `${stream}: the column ${field} ${how}.`, {
    hint: `Load the table anew: trunkline state resync ${stream}`,
    context: { stream, field },
  })
}

/**
 * The connection was lost at a commit, and nobody could be asked about it for as long as one waits. Not tried again by this run, which
 * does not know what to go on from; the next one reads it.
 */
export function outcomeUnknown(stream: string, cause: unknown): TrunklineError {
  return new TrunklineError(
    'DESTINATION_UNREACHABLE',
    `${stream}: the connection was lost at a commit, and the target could not be asked whether it took place.`,
    {
      retry: 'never',
      hint: 'Run again when the target is back: the next run reads what was committed and goes on from it, so no row is lost or there twice.',
      context: { stream },
      cause,
    },
  )
}

/** What to do where an enum of the target is somebody else's and lacks labels of the source. */
export function labelMissing(type: string): string {
  return `The enum ${type} at the target belongs to another role and lacks a label that the source has: add it there with ALTER TYPE ${type} ADD VALUE, or let it belong to the role of the destination.`
}

/** A unique index or constraint that is not the key that rows land by: somebody made it at the target. */
export function uniqueRefused(stream: string, index: string | undefined, cause?: unknown): TrunklineError {
  const which = index === undefined ? 'A unique index' : `The unique index ${index}`
  return new TrunklineError(
    'DESTINATION_FAILED',
    `${stream}: ${which} that somebody made at the target refuses a row.`,
    {
      hint: 'Rows of the source share what it wants to be unique, or do so for a moment, while they change one after another. Drop it, make it a plain index, or a constraint that is DEFERRABLE INITIALLY DEFERRED.',
      context: { stream, sqlstate: '23505', ...(index === undefined ? {} : { constraint: index }) },
      cause,
    },
  )
}

/** Somebody gave the present table a primary key, and the stream has another, or rows that it does not go with. */
export function keyStandsInTheWay({ stream, table }: StreamLanding, key: string): TrunklineError {
  return new TrunklineError(
    'DESTINATION_FAILED',
    `${stream}: the primary key ${key} that somebody added to ${formatTable(table)} does not go with the new rows, or with the key of the stream.`,
    { hint: 'Drop it at the target, or make it a unique index.', context: { stream } },
  )
}

/** An index of the present table cannot be made over the new rows: a column has another type, or a value is too long for it. */
export function indexRefused(stream: string, index: string, cause: unknown): TrunklineError {
  const words = cause instanceof Error ? cause.message : String(cause)
  return new TrunklineError(
    'DESTINATION_FAILED',
    `${stream}: the index ${index} of the target table cannot be made over the new rows: ${words}`,
    { hint: 'Drop it at the target, and make another one after the run.', context: { stream }, cause },
  )
}

/** A trigger of a table that rows are copied into directly keeps some back. */
export function rowsLeftOut(table: string, taken: number, sent: number): TrunklineError {
  return new TrunklineError(
    'DESTINATION_FAILED',
    `${table} took ${taken} of ${sent} rows: a trigger there keeps rows back.`,
    {
      hint: 'Nothing was committed. Let triggers of the table pass all rows, or put them on a view over it.',
    },
  )
}

/** A trigger or rule of the table left rows out, or added some. */
export function rowsKeptBack(
  { stream, table }: StreamLanding,
  there: number,
  expected: number,
): TrunklineError {
  return new TrunklineError(
    'DESTINATION_FAILED',
    `${stream}: ${formatTable(table)} has ${there} rows after ${expected} were written: a trigger or rule there keeps rows back or adds some.`,
    {
      hint: 'Nothing was committed. Let triggers and rules of the table pass all rows, or put them on a view over it.',
      context: { stream },
    },
  )
}

export function keyMissing(stream: string): TrunklineError {
  return new TrunklineError('KEY_MISSING', `${stream} has no key to land by.`, {
    hint: 'Give it one with --primary-key, or use --mode full_refresh.',
    context: { stream },
  })
}

export function notLanded(stream: string, field: string): TrunklineError {
  return new TrunklineError('KEY_MISSING', `${stream}: the column ${field} is not landed.`, {
    hint: 'Do not exclude key columns.',
    context: { stream, field },
  })
}

const NAME_BYTES = 63

/** The server would cut longer names off, and say so only in a notice. @throws CONFIG_INVALID, STREAM_UNSUPPORTED */
export function assertNames({ stream, fields }: StreamLanding): void {
  if (fields.length === 0) {
    throw new TrunklineError('STREAM_UNSUPPORTED', `${stream} has no columns to land.`, {
      hint: `Leave it out: --exclude '${stream}'`,
      context: { stream },
    })
  }
  const seen = new Set<string>()
  for (const { name } of fields) {
    if (seen.has(name) || name.startsWith('_trunkline_')) {
      throw new TrunklineError('NAME_COLLISION', `${stream}: two columns would be called ${name}.`, {
        hint: 'Give one of them another name with `rename`, or leave it out with --exclude-columns.',
        context: { stream, field: name },
      })
    }
    seen.add(name)
    if (Buffer.byteLength(name) <= NAME_BYTES && name !== '') continue
    throw new TrunklineError(
      'CONFIG_INVALID',
      `${stream}: no column can be called ${JSON.stringify(name)}.`,
      {
        hint: `Names of PostgreSQL have 1 to ${NAME_BYTES} bytes; choose another one with \`rename\`.`,
        context: { stream, field: name },
      },
    )
  }
}
