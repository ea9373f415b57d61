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
}

export interface Transport {
  readonly socket: Socket
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
  const socket = openSocket(address)
  const abort = (): void => {
    socket.destroy(abortReason(signal))
  }
  signal.addEventListener('abort', abort, { once: true })
  try {
    await awaitConnected(socket)
    socket.setNoDelay(true)
    if (settings.keepalives && address.kind === 'tcp') socket.setKeepAlive(true, settings.keepalivesIdleMs)
    if (tlsRequest === null || address.kind === 'unix') return { socket, address, tls: null }
    if (settings.sslNegotiation === 'postgres' && !(await requestTls(socket, where, address.host))) {
      if (tlsRequest.use === 'try') return { socket, address, tls: null }
      throw new TrunklineError('TLS_FAILED', `${where}: the server does not offer TLS.`, {
        hint: 'Turn ssl on at the server; or, on a network that nobody else can read, use sslmode=disable.',
        context: { host: address.host },
      })
    }
    const target = { host: address.host, where }
    const secured = await upgradeToTls(socket, target, settings, tlsRequest.material)
    return { socket: secured, address, tls: describeTls(secured) }
  } catch (error) {
    socket.on('error', () => undefined)
    socket.destroy()
    signal.throwIfAborted()
    throw toNetworkError(error, where, address.host)
  } finally {
    signal.removeEventListener('abort', abort)
  }
}

function openSocket(address: Address): Socket {
  return address.kind === 'unix'
    ? connectTcp({ path: address.target.startsWith('@') ? `\0${address.target.slice(1)}` : address.target })
    : connectTcp({ host: address.target, port: address.port })
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
function requestTls(socket: Socket, where: string, host: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const settle = (outcome: Error | boolean): void => {
      socket.removeListener('data', onData)
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
    const onData = (bytes: Buffer): void => {
      socket.pause()
      if (bytes.length === 1 && bytes[0] === ACCEPTED) settle(true)
      else if (bytes.length === 1 && bytes[0] === REFUSED) settle(false)
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
    }
    socket.on('data', onData)
    socket.once('error', settle)
    socket.once('close', onClose)
    socket.write(SSL_REQUEST)
  })
}

function describeTls(socket: TLSSocket): string {
  return [socket.getProtocol(), socket.getCipher().name].filter((part) => part !== null).join(' ')
}
