/** What stands behind the question mark of `s3://bucket/prefix?…`, checked. Keys to the bucket are never among it. */
import { TrunklineError } from '../model/error.js'

export interface S3Location {
  readonly bucket: string
  /** Without slashes at its ends; empty for the bucket itself. */
  readonly prefix: string
  /** Null: as the environment or the profile says. */
  readonly region: string | null
  /** Of a store other than Amazon's; null: as the environment says, or Amazon's. */
  readonly endpoint: string | null
  /** `endpoint/bucket/key` instead of `bucket.endpoint/key`. */
  readonly pathStyle: boolean
  /** Of the shared configuration files. */
  readonly profile: string | null
  /** Whoever writes here promises to be the only one, where the store cannot create a file only if there is none. */
  readonly singleWriter: boolean
  readonly encryption: S3Encryption | null
  readonly storageClass: string | null
}

export type S3Encryption =
  | { readonly kind: 'AES256' }
  /** Without a key: the bucket's own. */
  | { readonly kind: 'aws:kms'; readonly keyId: string | null }

/** Every option there is. */
export const S3_OPTIONS = [
  'region',
  'endpoint',
  'path_style',
  'profile',
  'single_writer',
  'encryption',
  'kms_key_id',
  'storage_class',
] as const

type S3Option = (typeof S3_OPTIONS)[number]

export interface S3Place {
  readonly bucket: string
  readonly prefix: string
}

/** @throws CONFIG_INVALID, CONFIG_UNSUPPORTED; no message quotes an endpoint, which may hold a password */
export function readS3Options(place: S3Place, options: Readonly<Record<string, string>>): S3Location {
  const { bucket, prefix } = place
  const where = `s3://${bucket}${prefix === '' ? '' : `/${prefix}`}`
  const text = (option: S3Option): string | null => {
    const value = options[option]
    if (value === undefined) return null
    if (value.trim() === '')
      throw invalid(where, `\`${option}\` is empty.`, 'Leave it out, or give it a value.')
    return value
  }
  const flag = (option: S3Option): boolean | null => {
    const value = text(option)
    if (value === null) return null
    if (value === 'true' || value === 'false') return value === 'true'
    throw invalid(where, `\`${option}\` must be true or false.`, `Write ${option}=true.`)
  }
  if (bucket.endsWith('--x-s3')) {
    throw new TrunklineError('CONFIG_UNSUPPORTED', `${where}: directory buckets are not supported.`, {
      hint: 'They list their files in no order. Use a general purpose bucket.',
    })
  }
  const endpoint = readEndpoint(where, text('endpoint'))
  return {
    bucket,
    prefix,
    region: text('region'),
    endpoint,
    // Most stores besides Amazon's have no name for each bucket.
    pathStyle: flag('path_style') ?? endpoint !== null,
    profile: text('profile'),
    singleWriter: flag('single_writer') ?? false,
    encryption: readEncryption(where, text('encryption'), text('kms_key_id')),
    storageClass: text('storage_class'),
  }
}

function readEndpoint(where: string, text: string | null): string | null {
  if (text === null) return null
  const url = URL.canParse(text) ? new URL(text) : null
  const hint = 'Write endpoint=https://HOST or endpoint=https://HOST:PORT; keys come from the environment.'
  if (url === null || !/^https?:$/.test(url.protocol) || url.search !== '' || url.hash !== '') {
    throw invalid(where, '`endpoint` is not the URL of a server.', hint)
  }
  if (url.username !== '' || url.password !== '') {
    throw invalid(where, '`endpoint` holds a user or a password.', hint)
  }
  return url.href.replace(/\/$/, '')
}

function readEncryption(where: string, kind: string | null, keyId: string | null): S3Encryption | null {
  if (kind === 'aws:kms' || (kind === null && keyId !== null)) return { kind: 'aws:kms', keyId }
  if (kind === null) return null
  if (kind !== 'AES256') {
    throw invalid(where, '`encryption` must be AES256 or aws:kms.', 'Left out, the bucket decides.')
  }
  if (keyId !== null) {
    throw invalid(where, '`kms_key_id` goes with encryption=aws:kms only.', 'Leave one of the two out.')
  }
  return { kind }
}

function invalid(where: string, what: string, hint: string): TrunklineError {
  return new TrunklineError('CONFIG_INVALID', `${where}: ${what}`, { hint })
}
