/** sling, which runs DuckDB's command line for DuckDB files; what that would download is in packages, and is put where it looks. */
import { copyFile, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { JobContext, Presence } from '../job.js'
import type { Command } from '../measure.js'
import { probePackages, pythonPackage } from './places.js'

const DUCKDB_VERSION = 'v1.5.5'
const EXTENSIONS = `.duckdb/extensions/${DUCKDB_VERSION}/linux_amd64`

const home = (folder: string): string => join(folder, 'sling-home')

export const probeSling = async (): Promise<Presence> =>
  probePackages('sling', 'sling-linux-amd64', 'duckdb-cli', 'duckdb-extension-httpfs')

/** sling sends rows to DuckDB over HTTP on this machine, which DuckDB reads with its httpfs extension. */
export async function prepareSling({ folder }: JobContext): Promise<void> {
  const place = join(home(folder), EXTENSIONS)
  await mkdir(place, { recursive: true })
  const file = 'httpfs.duckdb_extension'
  const found = join(pythonPackage('sling', 'duckdb_extension_httpfs'), 'extensions', DUCKDB_VERSION, file)
  await copyFile(found, join(place, file))
}

/** `target`: sling's options for where rows land, and the same as the report shows them. */
export function sling({ folder, set, url }: JobContext, target: readonly string[], shown: string): Command {
  const stream = `public.${set.name}`
  const program = join(pythonPackage('sling', 'sling_linux_amd64'), 'bin/sling-linux-amd64')
  const args = ['--src-stream', stream, '--mode', 'full-refresh']
  return {
    file: program,
    // Its driver asks for TLS unless told otherwise.
    args: ['run', '--src-conn', `${url}?sslmode=disable`, ...target, ...args],
    env: {
      HOME: home(folder),
      SLING_HOME_DIR: home(folder),
      SLING_DISABLE_TELEMETRY: 'TRUE',
      DUCKDB_USE_INSTALLED_EXTENSIONS: 'true',
      DUCKDB_PATH: join(pythonPackage('sling', 'duckdb_cli'), 'duckdb'),
    },
    shown: `sling run --src-conn "$SOURCE" ${shown} ${args.join(' ')}`,
  }
}
