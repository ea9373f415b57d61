/**
 * TLS with libpq's meaning: which root certificates count, which client certificate is sent, and whether the name matches.
 *
 * https://www.postgresql.org/docs/current/libpq-ssl.html
 */
import { X509Certificate } from 'node:crypto'
import { readFile, stat } from 'node:fs/promises'
import { isIP } from 'node:net'
import type { Socket } from 'node:net'
import { connect as connectTls, rootCertificates } from 'node:tls'
import type { ConnectionOptions, SecureVersion, TLSSocket } from 'node:tls'
import { TrunklineError } from '../model/error.js'
import type { Logger } from '../model/log.js'
import type { ConnectionSettings } from './connection-settings.js'
import { certificateError } from './network-error.js'
import { printable } from './redact.js'

/** Where Linux distributions, the BSDs and Homebrew keep the machine's root certificates. */
const SYSTEM_ROOT_FILES = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/ca-bundle.pem',
  '/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem',
  '/etc/ssl/cert.pem',
  '/opt/homebrew/etc/openssl@3/cert.pem',
  '/usr/local/etc/openssl@3/cert.pem',
]

/** What the files of the settings hold, read once per connection. */
export interface TlsMaterial {
  readonly options: ConnectionOptions
  /** The chain is verified: always with verify-*, and, as libpq does, in every mode when a root certificate is there. */
  readonly verifyChain: boolean
  readonly verifyName: boolean
}

/** @throws CONFIG_INVALID, SECRET_FILE_PERMISSIONS, TLS_FAILED for files that are missing, open to others or not PEM. */
export async function loadTlsMaterial(settings: ConnectionSettings, logger: Logger): Promise<TlsMaterial> {
  const verify = settings.sslmode === 'verify-ca' || settings.sslmode === 'verify-full'
  const ca = await loadRootCertificates(settings, verify, logger)
  const client = await loadClientCertificate(settings, logger)
  const crl = settings.sslcrl === null ? undefined : await readNamed(settings.sslcrl, 'sslcrl')
  const { sslMinProtocolVersion: min, sslMaxProtocolVersion: max } = settings
  return {
    verifyChain: ca !== null,
    verifyName: settings.sslmode === 'verify-full',
    options: {
      // Never Node's own bundle by accident: without a root certificate nothing is verified, and nothing is trusted.
      ca: ca ?? [],
      ...(crl === undefined || ca === null ? {} : { crl }),
      ...client,
      minVersion: (min ?? 'TLSv1.2') as SecureVersion,
      ...(max === null ? {} : { maxVersion: max as SecureVersion }),
    },
  }
}

async function loadRootCertificates(
  settings: ConnectionSettings,
  required: boolean,
  logger: Logger,
): Promise<string[] | null> {
  const path = settings.sslrootcert
  if (path === 'system') return loadSystemRoots()
  if (path !== null && (await exists(path))) return [await readNamed(path, 'sslrootcert')]
  if (required) {
    throw new TrunklineError(
      'CONFIG_INVALID',
      path === null
        ? `sslmode=${settings.sslmode} needs root certificates, and neither sslrootcert nor ~/.postgresql/root.crt is there.`
        : `The root certificate file ${path} does not exist.`,
      {
        hint: 'Set sslrootcert to the certificate of the authority that signed the server’s, or to `system` for public authorities.',
        ...(path === null ? {} : { context: { path } }),
      },
    )
  }
  if (path !== null) logger.warn({ path }, 'The sslrootcert file does not exist: the server is not verified.')
  return null
}

/** OpenSSL's own variables first, then the known places, then what Node ships. */
async function loadSystemRoots(): Promise<string[]> {
  const stated = process.env['SSL_CERT_FILE']
  for (const path of stated === undefined ? SYSTEM_ROOT_FILES : [stated]) {
    if (await exists(path)) return [await readNamed(path, 'the system’s root certificates')]
  }
  return [...rootCertificates]
}

async function loadClientCertificate(
  settings: ConnectionSettings,
  logger: Logger,
): Promise<ConnectionOptions> {
  if (settings.sslcert === null) return {}
  if (!(await exists(settings.sslcert))) {
    // As libpq: go on, the server may not ask for one.
    logger.warn({ path: settings.sslcert }, 'The sslcert file does not exist: no client certificate is sent.')
    return {}
  }
  const keyPath = settings.sslkey
  if (keyPath === null || !(await exists(keyPath))) {
    throw new TrunklineError(
      'CONFIG_INVALID',
      `There is a client certificate (${settings.sslcert}) but no private key${keyPath === null ? '' : ` ${keyPath}`}.`,
      { hint: 'Set sslkey to the private key of the certificate.', context: { path: settings.sslcert } },
    )
  }
  await assertPrivate(keyPath)
  return {
    cert: await readNamed(settings.sslcert, 'sslcert'),
    key: await readNamed(keyPath, 'sslkey'),
    // libpq never asks for a passphrase either: without one an encrypted key fails to load.
    ...(settings.sslpassword === null ? {} : { passphrase: settings.sslpassword }),
  }
}

/** libpq's rule: 0600 or less for a key of our own, 0640 or less for one of root's. */
async function assertPrivate(path: string): Promise<void> {
  if (process.platform === 'win32') return
  const { mode, uid } = await stat(path)
  const forbidden = uid === 0 ? 0o037 : 0o077
  if ((mode & forbidden) === 0) return
  throw new TrunklineError('SECRET_FILE_PERMISSIONS', `The private key ${path} can be read by others.`, {
    hint: `Run: chmod 0600 ${path}`,
    context: { path },
  })
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  )
}

async function readNamed(path: string, setting: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (cause) {
    throw new TrunklineError('CONFIG_INVALID', `The file of ${setting}, ${path}, cannot be read.`, {
      hint: 'Check the path and its permissions.',
      context: { path },
      cause,
    })
  }
}

export interface TlsTarget {
  /** The name that the certificate is checked against. */
  readonly host: string
  /** The attempted address, for messages. */
  readonly where: string
}

/**
 * Speaks TLS on a connected socket and verifies the server before anything else is sent.
 *
 * @throws TLS_FAILED
 */
export async function upgradeToTls(
  socket: Socket,
  target: TlsTarget,
  settings: ConnectionSettings,
  material: TlsMaterial,
): Promise<TLSSocket> {
  const { host, where } = target
  const tls = await new Promise<TLSSocket>((resolve, reject) => {
    const fail = (error: Error): void => {
      reject(handshakeError(error, where, host))
    }
    let secured: TLSSocket
    try {
      secured = connectTls({
        socket,
        ...material.options,
        // Verified below, with libpq's rules for names.
        rejectUnauthorized: false,
        checkServerIdentity: () => undefined,
        ...(settings.sslsni && isIP(host) === 0 ? { servername: host } : {}),
        ...(settings.sslNegotiation === 'direct' ? { ALPNProtocols: ['postgresql'] } : {}),
      })
    } catch (error) {
      // Files that are not PEM, a key that does not belong to the certificate, a wrong passphrase.
      reject(
        new TrunklineError('CONFIG_INVALID', `${where}: the certificate or key files cannot be used.`, {
          hint: 'Check that sslcert and sslkey belong together, that they are PEM, and sslpassword for an encrypted key.',
          context: { host },
          cause: withoutSecrets(error),
        }),
      )
      return
    }
    const onClose = (): void => {
      fail(new Error('the server closed the connection during the TLS handshake'))
    }
    secured.once('error', fail)
    secured.once('close', onClose)
    secured.once('secureConnect', () => {
      secured.removeListener('error', fail)
      secured.removeListener('close', onClose)
      resolve(secured)
    })
  })
  try {
    assertVerified(tls, target, material)
    if (settings.sslNegotiation === 'direct' && tls.alpnProtocol !== 'postgresql') {
      throw new TrunklineError(
        'TLS_FAILED',
        `${where}: the server does not speak PostgreSQL over direct TLS.`,
        {
          hint: 'sslnegotiation=direct needs PostgreSQL 17 or newer; leave it out for older servers.',
          context: { host },
        },
      )
    }
  } catch (error) {
    tls.on('error', () => undefined)
    tls.destroy()
    throw error
  }
  return tls
}

function assertVerified(tls: TLSSocket, { host, where }: TlsTarget, material: TlsMaterial): void {
  if (!material.verifyChain) return
  if (!tls.authorized) {
    // Typed as Error, in truth the code of OpenSSL's verification as text.
    throw certificateError(String(tls.authorizationError), where, host)
  }
  if (material.verifyName && !nameMatches(tls, host)) {
    const certificate = peerCertificate(tls)
    const names = certificate?.subjectAltName ?? certificate?.subject.replaceAll('\n', ', ')
    throw certificateError(
      'HOSTNAME_MISMATCH',
      where,
      host,
      names === undefined ? names : printable(names, 300),
    )
  }
}

/** Not getPeerX509Certificate: after it getPeerCertificate, which channel binding needs, finds nothing (Node 20). */
function peerCertificate(tls: TLSSocket): X509Certificate | null {
  const { raw } = tls.getPeerCertificate() as { raw?: Buffer }
  return raw === undefined ? null : new X509Certificate(raw)
}

/**
 * libpq's rule: subjectAltNames of the host's own kind decide; only without any of them does the common name count.
 * An IP address may also stand in a common name or as a DNS name.
 */
function nameMatches(tls: TLSSocket, host: string): boolean {
  const certificate = peerCertificate(tls)
  if (certificate === null || host === '') return false
  if (isIP(host) === 0) {
    return certificate.checkHost(host, { subject: 'default', partialWildcards: false }) !== undefined
  }
  if (certificate.checkIP(host) !== undefined) return true
  const hasIpName = /(?:^|, )IP Address:/.test(certificate.subjectAltName ?? '')
  return (
    certificate.checkHost(host, { subject: hasIpName ? 'never' : 'always', wildcards: false }) !== undefined
  )
}

function handshakeError(error: Error, where: string, host: string): TrunklineError {
  const code = (error as { code?: unknown }).code
  const alert = typeof code === 'string' ? ` [${code}]` : ''
  return new TrunklineError(
    'TLS_FAILED',
    `${where}: the TLS handshake failed${alert}: ${error.message.trim()}.`,
    {
      hint: 'The server may refuse the client certificate, or share no protocol version with us (ssl_min_protocol_version, ssl_max_protocol_version).',
      context: { host },
      cause: error,
    },
  )
}

/** OpenSSL's message and nothing else: the options of the failed call hold the key. */
function withoutSecrets(error: unknown): Error {
  return new Error(error instanceof Error ? error.message : 'TLS setup failed')
}
