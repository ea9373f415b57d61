/**
 * Sends pieces to a client as it takes them, and lets nobody mistake a part for the whole.
 *
 * A response that ends in order has its last chunk and its trailers. One that fails, whatever was sent before, is cut: the
 * connection ends without the last chunk, which every HTTP/1.1 client reports.
 */
import type { ServerResponse } from 'node:http'
import { TrunklineError } from '../model/error.js'

/** Of one write: what a client has to take for us to see that it takes anything. */
const PIECE_BYTES = 64 * 1024

export interface SendOptions {
  /** A client that takes nothing for so long is left. */
  readonly clientTimeoutMs: number
  /** Aborts when the client is gone, or must be left. */
  readonly signal: AbortSignal
}

/** Resolves when the next bytes may come, so that little more than one piece waits here. Rejects with the signal's reason. */
export async function sendBytes(
  response: ServerResponse,
  bytes: Uint8Array,
  { clientTimeoutMs, signal }: SendOptions,
): Promise<void> {
  for (let start = 0; start < bytes.length; start += PIECE_BYTES) {
    signal.throwIfAborted()
    if (!response.write(bytes.subarray(start, start + PIECE_BYTES))) {
      await drained(response, clientTimeoutMs, signal)
    }
  }
}

async function drained(response: ServerResponse, timeoutMs: number, signal: AbortSignal): Promise<void> {
  const ready = new AbortController()
  const onDrain = (): void => {
    ready.abort()
  }
  response.once('drain', onDrain)
  try {
    await settled(ready.signal, timeoutMs, signal)
  } finally {
    response.off('drain', onDrain)
  }
}

/** Waits for the client: resolves when it was ready in time. */
function settled(ready: AbortSignal, timeoutMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (act: () => void): void => {
      clearTimeout(timer)
      ready.removeEventListener('abort', onReady)
      signal.removeEventListener('abort', onAbort)
      act()
    }
    const onReady = (): void => {
      settle(resolve)
    }
    const onAbort = (): void => {
      settle(() => {
        reject(signal.reason as Error)
      })
    }
    const timer = setTimeout(() => {
      settle(() => {
        reject(clientStalled(timeoutMs))
      })
    }, timeoutMs)
    ready.addEventListener('abort', onReady, { once: true })
    signal.addEventListener('abort', onAbort, { once: true })
    if (ready.aborted) onReady()
    else if (signal.aborted) onAbort()
  })
}

function clientStalled(timeoutMs: number): TrunklineError {
  return new TrunklineError(
    'ABORTED',
    `The client took nothing for ${Math.round(timeoutMs / 1000)} seconds.`,
    {
      hint: 'service.client_timeout sets how long to wait for it.',
    },
  )
}

/** The end in order: last chunk and trailers. Resolves when all of it has left for the client; rejects as {@link sendBytes} does. */
export async function endInOrder(
  response: ServerResponse,
  trailers: Readonly<Record<string, string>>,
  { clientTimeoutMs, signal }: SendOptions,
): Promise<void> {
  signal.throwIfAborted()
  response.addTrailers(trailers)
  const finished = new AbortController()
  response.once('finish', () => {
    finished.abort()
  })
  response.end()
  await settled(finished.signal, clientTimeoutMs, signal)
}

/** How long a last word may take to leave before the connection is cut. */
const LAST_WORD_MS = 1000

/** The end that cannot be mistaken for one in order; `lastWord` is tried, not promised. */
export async function cut(response: ServerResponse, lastWord: Uint8Array | null): Promise<void> {
  if (lastWord !== null && !response.destroyed) {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, LAST_WORD_MS)
      response.write(lastWord, () => {
        clearTimeout(timer)
        resolve()
      })
    })
  }
  response.destroy()
}
