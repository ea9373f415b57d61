/** A socket to one address of one server, in plain text or under TLS, before the first message of the protocol. */
import { connect as connectTcp } from 'node:net'
import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { TrunklineError } from '../model/error.js'
import type { ConnectionSettings } from './connection-settings.js'
import { toNetworkError } from './network-error.js'
import { upgradeToTls } from './tls.js'
import type { TlsMaterial } from './tls.js'

/** One place to connect to, resolved. */
export interface Address {
  /** As configured: what the certificate is checked against. */
  readonly host: string
  readonly port: number
  /** An IP address, or the path of a unix socket. */
  readonly target: string
  readonly kind: 'tcp' | 'unix'
  /** The local socket of a tunnel that leads there. */
  readonly through?: string
}

/** The first `length` of `bytes` have arrived. They are valid until the call returns, or longer, until the socket is resumed, where the call paused it. */
export type Receive = (bytes: Buffer, length: number) => void

export interface Transport {
  /** To write to, to pause and to end; what arrives goes to `listen`. */
  readonly socket: Socket
  /** One listener at a time; what arrives before the first is kept for it. */
  readonly listen: (receive: Receive) => void
  readonly address: Address
  /** `TLSv1.3 TLS_AES_256_GCM_SHA384`; null in plain text. */
  readonly tls: string | null
}

/** `try` goes on in plain text on the same socket when the server offers no TLS. */
export type TlsUse = 'never' | 'try' | 'must'

export interface TlsRequest {
  readonly material: TlsMaterial
  readonly use: 'try' | 'must'
}

/** SSLRequest: length 8 and the code 1234 · 2¹⁶ + 5679. */
const SSL_REQUEST = Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f])
/** Servers send blocks of 8 KB, but several may be waiting. */
const READ_BYTES = 128 * 1024
const NOTHING = Buffer.alloc(0)
const ACCEPTED = 0x53
const REFUSED = 0x4e

export function describeAddress(address: Address): string {
  if (address.kind === 'unix') return `${address.target}`
  const host = address.host === '' ? address.target : address.host
  const name = host.includes(':') ? `[${host}]` : host
  const resolved = address.target === host ? '' : ` (${address.target})`
  return `${name}:${address.port}${resolved}`
}

export function isLoopback(address: string): boolean {
  return /^(?:::ffff:)?127\.\d+\.\d+\.\d+$/i.test(address) || address === '::1'
}

/**
 * @param tlsRequest - Null connects in plain text. Unix sockets are always plain text, as in libpq.
 * @param signal - Aborts with its reason.
 * @throws CONNECT_FAILED, CONNECT_TIMEOUT, TLS_FAILED
 */
export async function openTransport(
  address: Address,
  settings: ConnectionSettings,
  tlsRequest: TlsRequest | null,
  signal: AbortSignal,
): Promise<Transport> {
  signal.throwIfAborted()
  const where = describeAddress(address)
  const { socket, listen } = openSocket(address)
  const abort = (): void => {
    socket.destroy(abortReason(signal))
  }
  signal.addEventListener('abort', abort, { once: true })
  try {
    await awaitConnected(socket)
    socket.setNoDelay(true)
    if (settings.keepalives && address.kind === 'tcp') socket.setKeepAlive(true, settings.keepalivesIdleMs)
    if (tlsRequest === null || address.kind === 'unix') return { socket, listen, address, tls: null }
    if (settings.sslNegotiation === 'postgres' && !(await requestTls(socket, listen, where, address.host))) {
      if (tlsRequest.use === 'try') return { socket, listen, address, tls: null }
      throw new TrunklineError('TLS_FAILED', `${where}: the server does not offer TLS.`, {
        hint: 'Turn ssl on at the server; or, on a network that nobody else can read, use sslmode=disable.',
        context: { host: address.host },
      })
    }
    const target = { host: address.host, where }
    const secured = await upgradeToTls(socket, target, settings, tlsRequest.material)
    return {
      socket: secured,
      listen: (receive) => {
        secured.removeAllListeners('data')
        secured.on('data', (bytes: Buffer) => {
          receive(bytes, bytes.length)
        })
      },
      address,
      tls: describeTls(secured),
    }
  } catch (error) {
    socket.on('error', () => undefined)
    socket.destroy()
    signal.throwIfAborted()
    throw toNetworkError(error, where, address.host)
  } finally {
    signal.removeEventListener('abort', abort)
  }
}

/**
 * Reads into one buffer for good: with 'data' events each read makes one of its own, which costs a quarter of the processor time
 * of receiving. Under TLS, whose decrypted bytes come by events, the buffer serves only until the handshake.
 */
function openSocket(address: Address): Pick<Transport, 'socket' | 'listen'> {
  let receiver: Receive | null = null
  let early: Buffer | null = null
  const onread = {
    buffer: Buffer.allocUnsafeSlow(READ_BYTES),
    callback: (length: number, memory: Uint8Array): boolean => {
      const bytes = memory as Buffer
      if (receiver === null) early = Buffer.concat([early ?? NOTHING, bytes.subarray(0, length)])
      else receiver(bytes, length)
      return true
    },
  }
  const socket =
    address.kind === 'unix'
      ? connectTcp({
          path: address.target.startsWith('@') ? `\0${address.target.slice(1)}` : address.target,
          onread,
        })
      : connectTcp(
          address.through === undefined
            ? { host: address.target, port: address.port, onread }
            : { path: address.through, onread },
        )
  const listen = (receive: Receive): void => {
    receiver = receive
    const kept = early
    early = null
    if (kept !== null) receive(kept, kept.length)
  }
  return { socket, listen }
}

function abortReason(signal: AbortSignal): Error {
  return signal.reason instanceof Error ? signal.reason : new Error('aborted')
}

function awaitConnected(socket: Socket): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once('error', reject)
    socket.once('connect', () => {
      socket.removeListener('error', reject)
      resolve()
    })
  })
}

/** Asks whether the server offers TLS. Exactly one byte may come back: more would be plain text smuggled in front of the handshake (CVE-2021-23222). */
function requestTls(
  socket: Socket,
  listen: Transport['listen'],
  where: string,
  host: string,
): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const settle = (outcome: Error | boolean): void => {
      socket.removeListener('error', settle)
      socket.removeListener('close', onClose)
      if (typeof outcome === 'boolean') resolve(outcome)
      else reject(outcome)
    }
    const onClose = (): void => {
      settle(
        new TrunklineError('CONNECT_FAILED', `${where}: the connection was closed when TLS was asked for.`, {
          hint: 'Something that is not PostgreSQL may listen there, or the server has no connection left.',
          context: { host },
        }),
      )
    }
    listen((bytes, length) => {
      socket.pause()
      if (length === 1 && bytes[0] === ACCEPTED) settle(true)
      else if (length === 1 && bytes[0] === REFUSED) settle(false)
      else {
        // Not TLS_FAILED: `prefer` must not answer tampering with plain text.
        settle(
          new TrunklineError(
            'CONNECT_FAILED',
            `${where}: the answer to the request for TLS is not PostgreSQL’s.`,
            {
              retry: 'never',
              hint: 'Check host and port; something between may tamper with the connection.',
              context: { host },
            },
          ),
        )
      }
    })
    socket.once('error', settle)
    socket.once('close', onClose)
    socket.write(SSL_REQUEST)
  })
}

function describeTls(socket: TLSSocket): string {
  return [socket.getProtocol(), socket.getCipher().name].filter((part) => part !== null).join(' ')
}
