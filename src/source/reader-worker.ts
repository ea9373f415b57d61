/** A reader: the thread that holds a connection of its own in the leader's snapshot and reads splits, one at a time. */
import { parentPort } from 'node:worker_threads'
import type { Batch } from '../batch/batch.js'
import { keepBuffer } from '../codec/idle-buffers.js'
import { TrunklineError, toErrorData } from '../model/error.js'
import { connect } from '../postgres/connect.js'
import type { Connection } from '../postgres/connection.js'
import type { ConnectionEvent } from '../postgres/connection-observer.js'
import type { ConnectionSettings } from '../postgres/connection-settings.js'
import { createPace, type ReadPace } from './read-pace.js'
import { readSplit } from './read-split.js'
import { startReplay, type Given } from './replay.js'
import type { FromReader, SnapshotTicket, ToReader } from './reader-protocol.js'
import { beginInSnapshot } from './session.js'
import type { Split } from './contract.js'

interface ActiveRead {
  readonly readId: number
  readonly abort: AbortController
  credit: number
  wake: (() => void) | null
}

if (parentPort === null) throw new Error('The reader is a worker thread; it cannot be run by itself.')
const port = parentPort
let connection: Connection | null = null
let pace: ReadPace = createPace()
let active: ActiveRead | null = null

port.on('message', (message: ToReader) => {
  switch (message.kind) {
    case 'open':
      pace = message.pace
      void open(message.connection, message.snapshot, message.observed)
      break
    case 'read':
      void read(message.readId, message.split, message.after)
      break
    case 'credit':
      if (active?.readId === message.readId) {
        active.credit += message.batches
        active.wake?.()
      }
      break
    case 'cancel':
      if (active?.readId === message.readId) {
        active.abort.abort(new TrunklineError('ABORTED', 'The read was cancelled.'))
        active.wake?.()
      }
      break
    case 'recycle':
      keepBuffer(message.buffer)
      break
    case 'close':
      void close()
      break
  }
})

async function open(settings: ConnectionSettings, ticket: SnapshotTicket, observed: boolean): Promise<void> {
  try {
    connection = await connect(settings, observed ? { observer } : {})
    await beginInSnapshot(connection, ticket)
    if (!(await isInSnapshot(connection, ticket))) {
      throw new TrunklineError('SNAPSHOT_LOST', 'A reader does not see the snapshot of the run.', {
        hint: 'Something between here and the server changes transactions: connect to the server itself.',
      })
    }
    connection.lost.addEventListener('abort', () => {
      if (active === null) fail(null, connection?.lost.reason)
    })
    send({ kind: 'opened', backendPid: connection.backendPid })
  } catch (error) {
    fail(null, error)
  }
}

function observer(event: ConnectionEvent): void {
  send({ kind: 'observed', event })
}

async function read(readId: number, split: Split, after: Readonly<Given>): Promise<void> {
  if (connection === null || active !== null) {
    fail(readId, new TrunklineError('INTERNAL', 'A reader was asked to read when it could not.'))
    return
  }
  const current: ActiveRead = { readId, abort: new AbortController(), credit: 0, wake: null }
  active = current
  const replay = startReplay(after)
  try {
    const totals = await readSplit(connection, split, {
      emit: async (batch) => {
        if (replay.accept(batch)) await emit(current, batch, replay.digest)
        else keepBuffer(batch.buffer)
      },
      signal: current.abort.signal,
      pace,
    })
    replay.finish()
    active = null
    send({ kind: 'done', readId, ...totals })
  } catch (error) {
    // Said together with the failure: otherwise the next read could come before it.
    const fatal = !(await isUsable(connection))
    active = null
    fail(readId, error, fatal)
  }
}

async function isInSnapshot(held: Connection, { contents }: SnapshotTicket): Promise<boolean> {
  if (contents === null) {
    const [row] = await held.query<{ transaction_isolation: string }>('SHOW transaction_isolation')
    return row?.transaction_isolation === 'repeatable read'
  }
  const [row] = await held.query<{ contents: string }>(
    'SELECT pg_catalog.txid_current_snapshot()::text AS contents',
  )
  return row?.contents === contents
}

/** Whether the transaction that holds the snapshot goes on. By what needs no slot of a resource queue. */
async function isUsable(held: Connection): Promise<boolean> {
  return held.execute('SHOW transaction_isolation').then(
    () => true,
    () => false,
  )
}

/** Sends when there is credit; until then the COPY rests. */
async function emit(current: ActiveRead, batch: Batch, digest: number): Promise<void> {
  while (current.credit === 0 && !current.abort.signal.aborted) {
    await new Promise<void>((resolve) => {
      current.wake = resolve
    })
    current.wake = null
  }
  current.abort.signal.throwIfAborted()
  current.credit--
  const message: FromReader = { kind: 'batch', readId: current.readId, batch, digest }
  port.postMessage(message, [batch.buffer])
}

async function close(): Promise<void> {
  active?.abort.abort(new TrunklineError('ABORTED', 'The reader is closed.'))
  active?.wake?.()
  if (active === null) {
    // As the leader does it, so that the server flushes what the scan may have written to the log.
    await connection?.execute('COMMIT').catch(() => undefined)
    await connection?.close()
  } else connection?.destroy()
  port.close()
}

function fail(readId: number | null, error: unknown, fatal = readId === null): void {
  send({ kind: 'error', readId, error: toErrorData(error), fatal })
}

function send(message: FromReader): void {
  port.postMessage(message)
}
