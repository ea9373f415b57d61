/** A store of ours at a server of the tests, with the credentials where the SDK looks for them. */
import { vi } from 'vitest'
import {
  createS3Store,
  type S3StoreOptions,
  type S3StoreTools,
} from '../../src/destination/stores/s3-store.js'
import type { Store } from '../../src/destination/stores/store.js'
import { silentLogger } from '../../src/model/log.js'
import type { S3Server } from './s3-server.js'

/** Nothing of this machine's own configuration is looked at, and no service of a cloud asked. */
export const noCloud = {
  AWS_EC2_METADATA_DISABLED: 'true',
  AWS_CONFIG_FILE: '/dev/null',
  AWS_SHARED_CREDENTIALS_FILE: '/dev/null',
}

export function environmentOf({ credentials }: Pick<S3Server, 'credentials'>): Record<string, string> {
  return {
    ...noCloud,
    AWS_ACCESS_KEY_ID: credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
  }
}

export function stubEnvironment(values: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(values)) vi.stubEnv(name, value)
}

const defaults: Omit<S3StoreOptions, 'endpoint'> = {
  bucket: 'lake',
  prefix: 'shop/daily',
  region: null,
  pathStyle: true,
  profile: null,
  singleWriter: false,
  encryption: null,
  storageClass: null,
}

export function makeS3Store(
  server: Pick<S3Server, 'endpoint' | 'credentials'>,
  options: Partial<S3StoreOptions> = {},
  tools: Partial<S3StoreTools> = {},
): Store {
  stubEnvironment(environmentOf(server))
  return createS3Store(
    { ...defaults, endpoint: server.endpoint, ...options },
    { logger: silentLogger, ...tools },
  )
}
