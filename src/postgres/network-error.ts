/** Failures below the protocol: sockets, name resolution, TLS. Each says what to look at. */
import { TrunklineError } from '../model/error.js'
import type { ErrorCode, Retry } from '../model/error.js'

interface NetworkFailure {
  readonly code: ErrorCode
  readonly retry: Retry
  readonly says: string
  readonly hint: string
}

/** By `code` of Node's system errors. */
const NETWORK_FAILURES: Readonly<Record<string, NetworkFailure>> = {
  ECONNREFUSED: {
    code: 'CONNECT_FAILED',
    retry: 'backoff',
    says: 'nothing listens there (connection refused)',
    hint: 'Check host and port, that the server runs, and that listen_addresses includes the address.',
  },
  ENOTFOUND: {
    code: 'CONNECT_FAILED',
    retry: 'never',
    says: 'the host name does not resolve',
    hint: 'Check the spelling of the host name, and that this machine uses the right DNS server.',
  },
  EAI_AGAIN: {
    code: 'CONNECT_FAILED',
    retry: 'backoff',
    says: 'the name server does not answer',
    hint: 'Check the network of this machine; it may pass on its own.',
  },
  ENOENT: {
    code: 'CONNECT_FAILED',
    retry: 'backoff',
    says: 'there is no such socket',
    hint: 'Check unix_socket_directories and the port of the server, or connect by host name.',
  },
  EACCES: {
    code: 'CONNECT_FAILED',
    retry: 'never',
    says: 'this user may not open the socket',
    hint: 'Check the permissions of the socket (unix_socket_permissions) or a local firewall.',
  },
  ENOTSOCK: {
    code: 'CONNECT_FAILED',
    retry: 'never',
    says: 'the file is not a socket',
    hint: 'Check the directory given as host.',
  },
  EHOSTUNREACH: {
    code: 'CONNECT_FAILED',
    retry: 'backoff',
    says: 'there is no route to the host',
    hint: 'Check the network, a VPN, and the firewall between here and the server.',
  },
  ENETUNREACH: {
    code: 'CONNECT_FAILED',
    retry: 'backoff',
    says: 'the network cannot be reached',
    hint: 'Check the network and, for an IPv6 address, that this machine has IPv6.',
  },
  ETIMEDOUT: {
    code: 'CONNECT_TIMEOUT',
    retry: 'backoff',
    says: 'no answer came',
    hint: 'A firewall usually drops the packets: check host, port, and the rules between here and the server.',
  },
  ECONNRESET: {
    code: 'CONNECT_FAILED',
    retry: 'backoff',
    says: 'the other side cut the connection',
    hint: 'Something that is not PostgreSQL, a proxy or a firewall may listen there; or the server is stopping.',
  },
  EPIPE: {
    code: 'CONNECT_FAILED',
    retry: 'backoff',
    says: 'the other side closed the connection',
    hint: 'Something that is not PostgreSQL may listen there; or the server is stopping.',
  },
  EMFILE: {
    code: 'CONNECT_FAILED',
    retry: 'backoff',
    says: 'this process has no file descriptor left',
    hint: 'Raise `ulimit -n` or lower the number of connections.',
  },
}

/** By the code of OpenSSL's verification, as Node names it. */
const CERTIFICATE_FAILURES: Readonly<Record<string, { readonly says: string; readonly hint: string }>> = {
  CERT_HAS_EXPIRED: {
    says: 'its certificate has expired',
    hint: 'Renew the certificate of the server. If it is valid, check the clock of this machine.',
  },
  CERT_NOT_YET_VALID: {
    says: 'its certificate is not valid yet',
    hint: 'Check the clocks of this machine and of the server.',
  },
  CERT_REVOKED: { says: 'its certificate is revoked', hint: 'Replace the certificate of the server.' },
  CRL_HAS_EXPIRED: {
    says: 'the revocation list in sslcrl has expired',
    hint: 'Fetch a current revocation list from the authority.',
  },
  UNABLE_TO_GET_CRL: {
    says: 'sslcrl holds no revocation list of its authority',
    hint: 'Put the list of each authority of the chain into the sslcrl file.',
  },
  HOSTNAME_MISMATCH: {
    says: 'its certificate is for another host',
    hint: 'Connect by a name that the certificate has, or have it reissued with this name as a subjectAltName. sslmode=verify-ca checks the authority alone.',
  },
}

const NOT_TRUSTED = {
  says: 'its certificate is not signed by an authority in sslrootcert',
  hint: 'Point sslrootcert to the certificate of the authority that signed the server’s (cloud providers publish theirs), or to `system` for public authorities.',
}

/** @param where - The attempted address, as the start of the message. */
export function toNetworkError(error: unknown, where: string, host: string): TrunklineError {
  if (error instanceof TrunklineError) return error
  const code = (error as { code?: unknown } | null)?.code
  const known = typeof code === 'string' ? NETWORK_FAILURES[code] : undefined
  const says = known?.says ?? (error instanceof Error ? error.message : String(error))
  return new TrunklineError(known?.code ?? 'CONNECT_FAILED', `${where}: ${says}.`, {
    ...(known === undefined
      ? { hint: 'Check host and port and the network between here and the server.' }
      : { retry: known.retry, hint: known.hint }),
    context: { host },
    cause: error,
  })
}

/** @param reason - OpenSSL's verification result as Node names it, or HOSTNAME_MISMATCH. */
export function certificateError(
  reason: string,
  where: string,
  host: string,
  detail?: string,
): TrunklineError {
  const { says, hint } = CERTIFICATE_FAILURES[reason] ?? NOT_TRUSTED
  const more = detail === undefined ? '' : ` (${detail})`
  return new TrunklineError('TLS_FAILED', `${where}: ${says}${more} [${reason}].`, {
    hint,
    context: { host },
  })
}
