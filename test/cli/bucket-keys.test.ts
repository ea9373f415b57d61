import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { refreshBuild } from '../../scripts/build.mjs'
import { environmentOf, noCloud } from '../store/open-s3-store.js'
import { startS3Server, type S3Server } from '../store/s3-server.js'
import { makeFolder, runCli, type CliResult } from './run-cli.js'

let cwd: string
let store: S3Server

beforeAll(() => refreshBuild())

beforeEach(async () => {
  cwd = makeFolder()
  store = await startS3Server()
})

afterEach(async () => {
  await store[Symbol.asyncDispose]()
  await rm(cwd, { recursive: true, force: true })
})

const status = (env: Readonly<Record<string, string>>): Promise<CliResult> =>
  runCli(['status', `parquet:s3://lake/shop?endpoint=${store.endpoint}`], { cwd, env })

const writeEnvFile = (values: Readonly<Record<string, string>>): Promise<void> =>
  writeFile(
    join(cwd, '.env'),
    Object.entries(values)
      .map(([name, value]) => `${name}='${value}'\n`)
      .join(''),
  )

test('the keys to a bucket may stand in .env', async () => {
  expect(await status(noCloud)).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('DESTINATION_DENIED') as string,
  })
  await writeEnvFile(environmentOf(store))
  expect(await status({})).toMatchObject({
    code: 0,
    stdout: expect.stringContaining('nothing was synced yet') as string,
  })
})

test('keys of the environment go before those of .env', async () => {
  await writeEnvFile({ ...noCloud, AWS_ACCESS_KEY_ID: 'nobody', AWS_SECRET_ACCESS_KEY: 'knows' })
  expect(await status(environmentOf(store))).toMatchObject({ code: 0 })
})
