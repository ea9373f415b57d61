/** The SDK's client of one bucket, made when it is first used: loading the SDK takes a tenth of a second. */
import type { S3, S3ClientConfig } from '@aws-sdk/client-s3'
import { TrunklineError } from '../../model/error.js'
import { hideValues } from './hide-values.js'
import { describeFailure, toStoreError } from './s3-errors.js'

/** The bucket and how it is reached: the fields of what configuration calls an S3 location. */
export interface S3Address {
  readonly bucket: string
  readonly prefix: string
  readonly region: string | null
  readonly endpoint: string | null
  readonly pathStyle: boolean
  readonly profile: string | null
  readonly encryption:
    { readonly kind: 'AES256' } | { readonly kind: 'aws:kms'; readonly keyId: string | null } | null
  readonly storageClass: string | null
}

export interface S3Patience {
  readonly connectMs: number
  /** Without a byte in either direction. */
  readonly idleMs: number
  /** Until credentials are found: a command of the profile, a token service or the machine's role may be asked. */
  readonly credentialsMs: number
  /** Of one request, by the SDK, with growing pauses. */
  readonly attempts: number
}

export const DEFAULT_PATIENCE: S3Patience = {
  connectMs: 10_000,
  idleMs: 60_000,
  credentialsMs: 30_000,
  attempts: 5,
}

/** What one request is about. */
export interface S3Request {
  readonly doing: string
  readonly right: string
}

export interface S3Bucket {
  readonly address: S3Address
  /** `s3://bucket/prefix`. */
  readonly url: string
  /** The key of a path of the store. */
  keyOf(path: string): string
  /** What other programs read it by. */
  urlOf(path: string): string
  /** The same for messages: without values of rows. */
  nameOf(path: string): string
  /** Sends a request; what fails is a TrunklineError. */
  send<T>(request: S3Request, run: (s3: S3) => Promise<T>): Promise<T>
  /** Sends a request; what fails is as the SDK has it, for whoever has to look at it first. */
  sendRaw<T>(run: (s3: S3) => Promise<T>): Promise<T>
  toError(request: S3Request, error: unknown): TrunklineError
  /** Headers of every object that is written. */
  readonly writing: {
    readonly ServerSideEncryption?: 'AES256' | 'aws:kms'
    readonly SSEKMSKeyId?: string
    readonly StorageClass?: StorageClass
  }
  close(): void
}

type StorageClass = NonNullable<Parameters<S3['putObject']>[0]['StorageClass']>

export function createS3Bucket(address: S3Address, patience: S3Patience): S3Bucket {
  const { bucket, prefix, encryption, storageClass } = address
  const root = prefix === '' ? '' : `${prefix}/`
  const url = prefix === '' ? `s3://${bucket}` : `s3://${bucket}/${prefix}`
  let connecting: Promise<S3> | null = null

  const toError = ({ doing, right }: S3Request, error: unknown): TrunklineError =>
    toStoreError(error, { bucket, doing, right })
  const connect = (): Promise<S3> => {
    connecting ??= openClient(address, patience)
    // What was missing may be there at the next try.
    connecting.catch(() => (connecting = null))
    return connecting
  }
  const sendRaw = async <T>(run: (s3: S3) => Promise<T>): Promise<T> => run(await connect())

  return {
    address,
    url,
    keyOf: (path) => root + path,
    urlOf: (path) => `s3://${bucket}/${root}${path}`,
    nameOf: (path) => `s3://${bucket}/${root}${hideValues(path)}`,
    sendRaw,
    async send(request, run) {
      try {
        return await sendRaw(run)
      } catch (error) {
        throw toError(request, error)
      }
    },
    toError,
    writing: {
      ...(encryption === null ? {} : { ServerSideEncryption: encryption.kind }),
      ...(encryption?.kind === 'aws:kms' && encryption.keyId !== null
        ? { SSEKMSKeyId: encryption.keyId }
        : {}),
      // The store says which it has.
      ...(storageClass === null ? {} : { StorageClass: storageClass as StorageClass }),
    },
    close() {
      const client = connecting
      connecting = null
      client?.then(
        (s3) => s3.destroy(),
        () => undefined,
      )
    },
  }
}

async function openClient(address: S3Address, patience: S3Patience): Promise<S3> {
  const { S3 } = await loadSdk()
  let s3 = withoutVersionWarning(() => new S3(configure(address, patience)))
  try {
    if (!(await hasRegion(s3))) {
      s3.destroy()
      s3 = new S3(configure({ ...address, region: regionOfOthers(address) }, patience))
    }
    await withDeadline(s3.config.credentials(), patience.credentialsMs)
    return s3
  } catch (error) {
    s3.destroy()
    throw error
  }
}

function configure(
  { region, endpoint, pathStyle, profile }: S3Address,
  patience: S3Patience,
): S3ClientConfig {
  return {
    ...(region === null ? {} : { region }),
    ...(endpoint === null ? {} : { endpoint }),
    ...(profile === null ? {} : { profile }),
    forcePathStyle: pathStyle,
    maxAttempts: patience.attempts,
    retryMode: 'standard',
    requestHandler: { connectionTimeout: patience.connectMs, socketTimeout: patience.idleMs },
    // The SDK logs to the console unless told otherwise.
    logger: { trace: ignore, debug: ignore, info: ignore, warn: ignore, error: ignore },
  }
}

async function loadSdk(): Promise<typeof import('@aws-sdk/client-s3')> {
  try {
    return await import('@aws-sdk/client-s3')
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw cause
    throw new TrunklineError('MODULE_MISSING', 's3:// needs a package that is not installed.', {
      hint: 'npm install @aws-sdk/client-s3',
      cause,
    })
  }
}

/** The SDK announces that versions of next year need a newer Node: true, and nothing that whoever runs this can act on. */
function withoutVersionWarning<T>(make: () => T): T {
  const name = 'AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'
  const before = process.env[name]
  process.env[name] = 'true'
  try {
    return make()
  } finally {
    if (before === undefined) delete process.env[name]
    else process.env[name] = before
  }
}

async function hasRegion(s3: S3): Promise<boolean> {
  return s3.config.region().then(
    (region) => region !== '',
    () => false,
  )
}

/** Other stores than Amazon's mostly do not look at the region, but a signature has one. */
function regionOfOthers({ endpoint, bucket }: S3Address): string {
  if (endpoint !== null) return 'us-east-1'
  throw new TrunklineError(
    'CONFIG_INVALID',
    `s3://${bucket}: it is not said which region the bucket is in.`,
    {
      hint: 'Write ?region=, or set AWS_REGION.',
    },
  )
}

/** Credentials come from commands, files and other machines, none of which may keep a run waiting for ever. */
async function withDeadline<T>(work: Promise<T>, timeoutMs: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      const message = `No credentials were found within ${timeoutMs / 1000} s.`
      reject(Object.assign(new Error(message), { name: 'CredentialsProviderError' }))
    }, timeoutMs)
  })
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}

function ignore(): void {
  // The SDK's log: what matters in it comes as errors.
}

/** Whether an error of the SDK is one of these, by its name or its HTTP status. */
export function isFailure(error: unknown, ...kinds: readonly (string | number)[]): boolean {
  const { name, status } = describeFailure(error)
  return kinds.some((kind) => (typeof kind === 'number' ? kind === status : kind === name))
}
