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

export function tableGone({ stream, table }: StreamLanding): TrunklineError {
  return new TrunklineError('DESTINATION_FAILED', `The table ${formatTable(table)} of ${stream} is gone.`, {
    hint: `Load it anew: trunkline state resync ${stream}`,
    context: { stream },
  })
}

export function partialGone(stream: string): TrunklineError {
  return new TrunklineError('DESTINATION_INVALID', `What was loaded of ${stream} is gone.`, {
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
  return new TrunklineError('DESTINATION_INVALID', `${stream}: the column ${field} ${how}.`, {
    hint: `Load the table anew: trunkline state resync ${stream}`,
    context: { stream, field },
  })
}

export function keyMissing(stream: string): TrunklineError {
  return new TrunklineError('KEY_MISSING', `${stream} has no key to land by.`, {
    hint: 'Give it one with --primary-key, or use --mode full_refresh.',
    context: { stream },
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
