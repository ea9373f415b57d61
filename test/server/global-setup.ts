/** Before the server tests: the JavaScript that worker threads load, and one shared server per major under test. */
import type { TestProject } from 'vitest/node'
import { refreshBuild } from '../../scripts/build.mjs'
import { installServers, parseMajors } from '../../scripts/servers/install.mjs'
import { type Server, startServer } from '../../scripts/servers/server.js'

export interface SharedServer {
  readonly major: number
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
  const servers: Server[] = []
  const close = async (): Promise<void> => {
    await Promise.all(servers.map(closeOrKeep))
  }
  try {
    for (const major of majors) servers.push(await startServer({ major }))
  } catch (error) {
    await close()
    throw error
  }
  project.provide(
    'servers',
    servers.map(({ major, host, port, socketDir }) => ({ major, host, port, socketDir })),
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
