/** What a failure at the target database means, by SQLSTATE, and what to do about it. */
import { TrunklineError } from '../../model/error.js'
import type { ErrorCode, Retry } from '../../model/error.js'
import { uniqueRefused } from './refusals.js'

interface Meaning {
  readonly code: ErrorCode
  readonly hint: string
  readonly retry?: Retry
}

const UNREACHABLE: Meaning = {
  code: 'DESTINATION_UNREACHABLE',
  hint: 'The target server or the network went away; what was committed before is complete, and the next run goes on from there.',
}
const NOT_REACHED: Meaning = {
  code: 'DESTINATION_UNREACHABLE',
  hint: 'Check host and port of the destination, and that its server runs; what was committed before is complete.',
}
const DENIED_LOGIN: Meaning = {
  code: 'DESTINATION_DENIED',
  hint: 'Check user and password of the destination, and the pg_hba.conf of its server.',
}
const NOTHING_COMMITTED = 'Nothing of this stream was committed; what was there before is unchanged.'

const CANNOT_FOLLOW: Meaning = {
  code: 'DESTINATION_FAILED',
  hint: 'Something about the table at the target (a rule, a key of its partitions, a view or an inheriting table) does not let it follow the stream: drop that, or give the table another name, and run again.',
}
const UNIQUE_VIOLATION = '23505'

/** Exact codes, then classes of two characters. */
const SQLSTATES: Readonly<Record<string, Meaning>> = {
  '25006': {
    code: 'DESTINATION_READ_ONLY',
    hint: 'The target is a standby or read-only: name its primary, for example with target_session_attrs=read-write.',
  },
  '42501': {
    code: 'DESTINATION_DENIED',
    hint: 'The role needs CREATE on the database (or a schema _trunkline of its own), CREATE and USAGE on the target schemas, TEMPORARY on the database, and to own the tables that it replaces.',
  },
  '53100': {
    code: 'DESTINATION_FULL',
    hint: 'Free space at the target server and run again; what was committed before is complete.',
  },
  '53200': {
    code: 'DESTINATION_UNREACHABLE',
    hint: 'The target server is out of memory or of locks (max_locks_per_transaction): land fewer streams at once with `jobs`, or raise it.',
  },
  '53300': {
    code: 'DESTINATION_UNREACHABLE',
    hint: 'The target server has no connection left: each stream under way takes one, and each run two more. Lower `jobs`, or raise its limit.',
  },
  '55P03': {
    code: 'LOCK_TIMEOUT',
    hint: 'Another session at the target holds the table; the run tries again later.',
  },
  '40P01': { code: 'DESTINATION_FAILED', retry: 'safe', hint: NOTHING_COMMITTED },
  '40001': { code: 'DESTINATION_FAILED', retry: 'safe', hint: NOTHING_COMMITTED },
  '57014': {
    code: 'DESTINATION_FAILED',
    retry: 'backoff',
    hint: 'Somebody cancelled the statement at the target server.',
  },
  '23502': {
    code: 'VALUE_UNREPRESENTABLE',
    hint: 'A column of the target table takes no NULLs. Load the table anew with `trunkline state resync STREAM`.',
  },
  '23503': {
    code: 'DESTINATION_FAILED',
    hint: 'A foreign key of another table at the target refers to rows that are gone at the source: drop it, or delete what refers to them.',
  },
  '23514': {
    code: 'VALUE_UNREPRESENTABLE',
    hint: 'A CHECK constraint that somebody added to the target table refuses a row.',
  },
  '0A000': CANNOT_FOLLOW,
  '42P16': CANNOT_FOLLOW,
  '2BP01': {
    code: 'DESTINATION_FAILED',
    hint: 'Something at the target (a view, a function, a foreign key) depends on a column or a key that the stream no longer has as it was: drop it, and create it again after the run.',
  },
}

const CLASSES: Readonly<Record<string, Meaning>> = {
  '22': {
    code: 'VALUE_UNREPRESENTABLE',
    hint: 'The target database cannot hold the value in this column (an older version, or another encoding). Choose another type under `types`, for example text.',
  },
  '08': UNREACHABLE,
  '53': { ...UNREACHABLE, hint: 'The target server lacks a resource; try again later.' },
  '57': UNREACHABLE,
  '28': DENIED_LOGIN,
}

/** What connecting throws, which names no SQLSTATE where no server answered. */
const CODES: Readonly<Partial<Record<ErrorCode, Meaning>>> = {
  CONNECT_FAILED: NOT_REACHED,
  CONNECT_TIMEOUT: NOT_REACHED,
  CONNECT_NO_SUITABLE_HOST: NOT_REACHED,
  CONNECTION_LOST: UNREACHABLE,
  CONNECTION_STALLED: UNREACHABLE,
  SERVER_RESTARTING: UNREACHABLE,
  SERVER_BUSY: UNREACHABLE,
  AUTH_FAILED: DENIED_LOGIN,
  AUTH_INSECURE: {
    code: 'DESTINATION_DENIED',
    hint: 'Use TLS (sslmode=verify-full) or SCRAM for the destination.',
  },
  TLS_FAILED: { code: 'DESTINATION_DENIED', hint: 'Check sslmode and sslrootcert of the destination.' },
  DATABASE_MISSING: { code: 'DESTINATION_INVALID', hint: 'Create the database first: CREATE DATABASE.' },
}

export interface FailureContext {
  /** `postgresql://host/db`, without secrets. */
  readonly description: string
  readonly doing: string
  readonly stream?: string
  /** Better ones than those of all, by SQLSTATE. */
  readonly hints?: Readonly<Record<string, string>>
}

/** Whatever the target or the way to it says, as an error of a destination. What is one already passes. */
export function toTargetError(
  cause: unknown,
  { description, doing, stream, hints = {} }: FailureContext,
): TrunklineError {
  const words = cause instanceof Error ? cause.message : String(cause)
  const where = stream === undefined ? {} : { stream }
  if (!(cause instanceof TrunklineError)) {
    return new TrunklineError('DESTINATION_FAILED', `${description}: ${doing} failed: ${words}`, {
      hint: NOTHING_COMMITTED,
      context: where,
      cause,
    })
  }
  const { sqlstate } = cause.context
  const meaning =
    (sqlstate === undefined ? undefined : (SQLSTATES[sqlstate] ?? CLASSES[sqlstate.slice(0, 2)])) ??
    CODES[cause.code]
  const foreign = cause.area === 'source' && (sqlstate !== undefined || meaning !== undefined)
  if (!foreign) return cause
  const {
    code: meant,
    hint,
    retry,
  }: Meaning = meaning ?? {
    code: 'DESTINATION_FAILED',
    hint: NOTHING_COMMITTED,
  }
  // The key that rows land by is looked after where it can be violated.
  if (sqlstate === UNIQUE_VIOLATION && stream !== undefined) {
    return uniqueRefused(stream, cause.context.constraint, cause)
  }
  // Being denied the table of one stream stops that stream; being denied everything stops the run.
  const code = sqlstate === '42501' && stream !== undefined ? 'DESTINATION_FAILED' : meant
  return new TrunklineError(code, `${description}: ${doing} failed: ${words}`, {
    hint: (sqlstate === undefined ? undefined : hints[sqlstate]) ?? hint,
    ...(retry === undefined ? {} : { retry }),
    context: { ...cause.context, ...where },
    cause,
  })
}

/** The connection ended, so that nobody was told how a statement did. */
export function isLost(error: unknown): boolean {
  if (!(error instanceof TrunklineError)) return false
  const { code, context } = error
  if (code === 'CONNECTION_LOST' || code === 'CONNECTION_STALLED' || code === 'SERVER_RESTARTING') return true
  return context.sqlstate?.startsWith('57P') === true || context.sqlstate?.startsWith('08') === true
}
