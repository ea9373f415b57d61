/**
 * Before the server tests: the JavaScript that worker threads load, and servers of each major under test. Each worker has servers of its
 * own, which the files that it runs one after another share: an open transaction anywhere on a server holds back what a run takes for
 * settled, so that two files at once on one server would see each other.
 */
import type { TestProject } from 'vitest/node'
import { refreshBuild } from '../../scripts/build.mjs'
import { installServers, parseMajors } from '../../scripts/servers/install.mjs'
import { type Server, startServer } from '../../scripts/servers/server.js'
import { SERVER_SETTINGS } from './server-settings.js'

export interface SharedServer {
  readonly major: number
  /** Whose it is: VITEST_POOL_ID, counted from 1. */
  readonly worker: number
  readonly host: string
  readonly port: number
  readonly socketDir: string
}

declare module 'vitest' {
  interface ProvidedContext {
    servers: readonly SharedServer[]
  }
}

export default async function startSharedServers(project: TestProject): Promise<() => Promise<void>> {
  const majors = parseMajors(process.env['TRUNKLINE_TEST_PG'])
  await refreshBuild()
  await installServers(majors)
  const workers = Array.from({ length: Number(project.vitest.config.maxWorkers) }, (_, index) => index + 1)
  const started: { readonly worker: number; readonly server: Server }[] = []
  const close = async (): Promise<void> => {
    await Promise.all(started.map(({ server }) => closeOrKeep(server)))
  }
  try {
    for (const major of majors) {
      for (const worker of workers)
        started.push({ worker, server: await startServer({ major, conf: SERVER_SETTINGS }) })
    }
  } catch (error) {
    await close()
    throw error
  }
  project.provide(
    'servers',
    started.map(({ worker, server: { major, host, port, socketDir } }) => ({
      worker,
      major,
      host,
      port,
      socketDir,
    })),
  )
  return close
}

/** A server with the database of a failed test stays on disk, for `scripts/servers/reopen.ts`. */
async function closeOrKeep(server: Server): Promise<void> {
  const client = await server.connect()
  const { rows } = await client.query<{ datname: string }>(
    "SELECT datname FROM pg_database WHERE pg_catalog.shobj_description(oid, 'pg_database') = 'kept'",
  )
  await client.end()
  if (rows.length === 0) {
    await server.close()
    return
  }
  await server.keep()
  const names = rows.map((row) => row.datname).join(', ')
  process.stderr.write(
    `\nKept until later runs fail: PostgreSQL ${server.major} with ${names}. To look into it: npx tsx scripts/servers/reopen.ts ${server.socketDir}\n`,
  )
}
