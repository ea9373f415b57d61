/** Server-sent events: https://html.spec.whatwg.org/multipage/server-sent-events.html */
import type { ServerResponse } from 'node:http'
import { EVENT_VERSION } from '../model/report.js'
import type { KeptEvents, NumberedEvent } from './kept-events.js'
import { sendBytes, type SendOptions } from './send-rows.js'

/** Before a proxy takes a silent connection for dead. */
const HEARTBEAT_MS = 15_000

/** Sends the events of a run after an id until it ends. Rejects with the signal's reason. */
export async function sendEvents(
  response: ServerResponse,
  events: KeptEvents,
  { afterId, ...send }: SendOptions & { readonly afterId: number },
): Promise<void> {
  response.writeHead(200, {
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-store',
    'x-accel-buffering': 'no',
  })
  response.flushHeaders()
  const heartbeat = setInterval(() => {
    if (!response.writableNeedDrain) response.write(': \n\n')
  }, HEARTBEAT_MS)
  try {
    for await (const news of events.follow(afterId, send.signal)) {
      await sendBytes(response, Buffer.from(news.map(formatEvent).join(''), 'utf8'), send)
    }
  } finally {
    clearInterval(heartbeat)
  }
}

function formatEvent({ id, event }: NumberedEvent): string {
  return `id: ${id}\nevent: ${event.kind}\ndata: ${JSON.stringify({ v: EVENT_VERSION, ...event })}\n\n`
}

/** What a client that comes back has seen last; 0 for a new one. */
export function lastEventId(header: string | string[] | undefined): number {
  const id = Number(typeof header === 'string' ? header : '')
  return Number.isSafeInteger(id) && id > 0 ? id : 0
}
