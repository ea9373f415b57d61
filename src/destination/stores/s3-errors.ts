/**
 * What an object store, the line to it or the SDK says went wrong, in our codes. Decided by the error's name, the HTTP status and
 * Node's codes, never by text. The names are those of the S3 API reference, "List of error codes".
 */
import { TrunklineError, type ErrorCode, type Retry } from '../../model/error.js'
import { printable } from '../../postgres/redact.js'
import { hideValues } from './hide-values.js'

/** What was being done, for the message. */
export interface S3Action {
  readonly bucket: string
  /** `read s3://bucket/key`. */
  readonly doing: string
  /** The right that it takes. */
  readonly right: string
}

/** As much of an error of the SDK as is looked at. */
export interface S3Failure {
  readonly name: string
  readonly status: number | null
  /** Node's. */
  readonly code: string | null
  /** Where the bucket is, when the error is that it is not here. */
  readonly region: string | null
}

interface Verdict {
  readonly code: ErrorCode
  readonly says: string
  readonly hint: string
  readonly retry?: Retry
}

const CREDENTIALS_HINT =
  'Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, name a profile with ?profile=, or run where a role is attached.'
const AGAIN_HINT = 'What was committed stays. Run again in a while.'

const notTheseKeys = (says: string): Verdict => ({ code: 'DESTINATION_DENIED', says, hint: CREDENTIALS_HINT })
const busy = (says: string): Verdict => ({ code: 'DESTINATION_UNREACHABLE', says, hint: AGAIN_HINT })
const damaged: Verdict = {
  code: 'DESTINATION_FAILED',
  says: 'what arrived was not what was sent',
  hint: 'The line or something on it damages data; nothing wrong was kept. Run again, and look at proxies if it stays.',
  retry: 'safe',
}
const overTime: Verdict = {
  code: 'DESTINATION_DENIED',
  says: 'the credentials are over',
  hint: 'Renew them (`aws sso login`, or a new session token) and run again.',
}
const clockOff: Verdict = {
  code: 'DESTINATION_DENIED',
  says: 'the clock of this machine is too far from the clock of the store',
  hint: 'Set the clock; requests are signed with the time.',
}
const full: Verdict = {
  code: 'DESTINATION_FULL',
  says: 'the store has no room left',
  hint: 'Make room, or raise the quota, and run again.',
}

const BY_NAME: Readonly<Record<string, Verdict>> = {
  NoSuchBucket: {
    code: 'DESTINATION_INVALID',
    says: 'the bucket does not exist',
    hint: 'Check its name, the endpoint and the region. Trunkline creates no buckets.',
  },
  InvalidBucketName: {
    code: 'DESTINATION_INVALID',
    says: 'the store takes no such name for a bucket',
    hint: 'Check the name after s3://.',
  },
  CredentialsProviderError: notTheseKeys('there are no credentials'),
  TokenProviderError: notTheseKeys('there is no token'),
  InvalidAccessKeyId: notTheseKeys('the store does not know the access key'),
  SignatureDoesNotMatch: notTheseKeys('the secret key does not belong to the access key'),
  InvalidToken: notTheseKeys('the session token is not valid'),
  InvalidClientTokenId: notTheseKeys('the store does not know the access key'),
  UnrecognizedClientException: notTheseKeys('the store does not know the access key'),
  ExpiredToken: overTime,
  ExpiredTokenException: overTime,
  TokenRefreshRequired: overTime,
  RequestTimeTooSkewed: clockOff,
  RequestExpired: clockOff,
  SlowDown: busy('the store asks to slow down'),
  RequestTimeout: busy('the request did not arrive in time'),
  TimeoutError: busy('no answer came in time'),
  BadDigest: damaged,
  InvalidDigest: damaged,
  XAmzContentSHA256Mismatch: damaged,
  IncompleteBody: damaged,
  QuotaExceeded: full,
  XMinioStorageFull: full,
  EntityTooLarge: {
    code: 'DESTINATION_FAILED',
    says: 'the file is larger than the store takes',
    hint: 'Let files be smaller: ?file_size=.',
  },
  InvalidStorageClass: {
    code: 'DESTINATION_INVALID',
    says: 'the store does not have this storage class',
    hint: 'Correct or leave out ?storage_class=.',
  },
  InvalidObjectState: {
    code: 'DESTINATION_FAILED',
    says: 'the file is archived',
    hint: 'Restore it; a rule that moves files to an archive must leave this prefix out.',
  },
  NoSuchUpload: {
    code: 'DESTINATION_FAILED',
    says: 'somebody aborted the upload',
    hint: 'A rule of the bucket that aborts uploads, or another process, is too eager. Run again.',
    retry: 'safe',
  },
}

const REGION_NAMES: ReadonlySet<string> = new Set([
  'PermanentRedirect',
  'TemporaryRedirect',
  'Redirect',
  'AuthorizationHeaderMalformed',
  'IllegalLocationConstraintException',
])

const NETWORK: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing listens there (connection refused)',
  ECONNRESET: 'the connection was cut',
  EPIPE: 'the connection was cut',
  ETIMEDOUT: 'no answer came in time',
  ENOTFOUND: 'the name of the host does not resolve',
  EAI_AGAIN: 'the name server does not answer',
  EHOSTUNREACH: 'there is no route to the host',
  ENETUNREACH: 'the network cannot be reached',
  ERR_STREAM_PREMATURE_CLOSE: 'the connection was cut',
}

const CERTIFICATE: ReadonlySet<string> = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'CERT_HAS_EXPIRED',
  'CERT_NOT_YET_VALID',
  'ERR_TLS_CERT_ALTNAME_INVALID',
])

export function describeFailure(error: unknown): S3Failure {
  const { name, code, $metadata, Region, $response } = error as {
    readonly name?: unknown
    readonly code?: unknown
    readonly $metadata?: { readonly httpStatusCode?: unknown }
    readonly Region?: unknown
    readonly $response?: { readonly headers?: Readonly<Record<string, unknown>> }
  }
  const status = $metadata?.httpStatusCode
  const region = Region ?? $response?.headers?.['x-amz-bucket-region']
  return {
    name: typeof name === 'string' ? name : '',
    status: typeof status === 'number' ? status : null,
    code: typeof code === 'string' ? code : null,
    region: typeof region === 'string' ? region : null,
  }
}

/** Whether it is not known if the request had its effect: no answer came, or one of a server in trouble. */
export function isOutcomeUnknown(error: unknown): boolean {
  const { name, status, code } = describeFailure(error)
  if (status !== null) return status >= 500 && status !== 501
  return name === 'TimeoutError' || (code !== null && Object.hasOwn(NETWORK, code))
}

export function toStoreError(error: unknown, { bucket, doing, right }: S3Action): TrunklineError {
  if (error instanceof TrunklineError) return error
  const failure = describeFailure(error)
  const { code, says, hint, retry } = judge(failure, bucket, right)
  return new TrunklineError(code, `Cannot ${doing}: ${says}.`, {
    hint,
    cause: withoutRequest(failure, error),
    ...(retry === undefined ? {} : { retry }),
  })
}

function judge(failure: S3Failure, bucket: string, right: string): Verdict {
  const { name, status, code, region } = failure
  const known = Object.hasOwn(BY_NAME, name) ? BY_NAME[name] : undefined
  if (known !== undefined) return known
  if (REGION_NAMES.has(name) || status === 301 || status === 307) {
    return {
      code: 'DESTINATION_INVALID',
      says: region === null ? 'the bucket is in another region' : `the bucket is in the region ${region}`,
      hint:
        region === null
          ? 'Write ?region= with the region of the bucket, or correct the endpoint.'
          : `Write ?region=${region}.`,
    }
  }
  if (status === 403 || status === 401) {
    return {
      code: 'DESTINATION_DENIED',
      says: 'access denied',
      hint: `The credentials need ${right} on ${bucket}; a policy of the bucket, or of its key for encryption, may deny it, too.`,
    }
  }
  if (status === 507) return full
  if (status === 429 || (status !== null && status >= 500 && status !== 501)) {
    return busy(`the store is too busy or out of order (${status}${name === '' ? '' : ` ${name}`})`)
  }
  if (code !== null && Object.hasOwn(NETWORK, code)) {
    const says = NETWORK[code] ?? code
    return { code: 'DESTINATION_UNREACHABLE', says, hint: 'Check the endpoint, the region and the network.' }
  }
  if (code !== null && CERTIFICATE.has(code)) {
    return {
      code: 'DESTINATION_INVALID',
      says: `the certificate of the store cannot be trusted (${code})`,
      hint: 'Set NODE_EXTRA_CA_CERTS to the file of its certificate authority, or correct the name of the host.',
    }
  }
  if (name === 'SyntaxError' || code === 'EPROTO') {
    return {
      code: 'DESTINATION_INVALID',
      says: 'what answers there is not an object store with the S3 API',
      hint: 'Check ?endpoint=: it must be the address of the API, with http:// or https:// as the server has it.',
    }
  }
  const what = [status, name === 'Error' ? null : name, code].filter((part) => part !== null && part !== '')
  return {
    code: 'DESTINATION_FAILED',
    says: `the store refused it (${what.join(' ') || 'without a reason'})`,
    hint: 'The cause is shown with -v.',
  }
}

/** The error as the store worded it, without what the SDK attaches: requests hold tokens. */
function withoutRequest({ name, status, code }: S3Failure, error: unknown): Error {
  const message = error instanceof Error ? error.message : String(error)
  const cause = new Error(hideValues(printable(message)))
  cause.name = [name === '' ? 'Error' : name, status, code].filter((part) => part !== null).join(' ')
  return cause
}
