/**
 * pg_service.conf: sections `[name]` of `keyword=value` lines.
 *
 * https://www.postgresql.org/docs/current/libpq-pgservice.html
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { TrunklineError } from '../model/error.js'
import { isKeyword, unknownKeyword } from './conninfo-keywords.js'
import type { Conninfo } from './conninfo-keywords.js'

export interface ServiceLookup {
  readonly service: string
  /** The `servicefile` parameter or PGSERVICEFILE; null: `~/.pg_service.conf`. */
  readonly file: string | null
  readonly homeDir: string
  /** PGSYSCONFDIR; null: Debian's and the usual place. */
  readonly systemDir: string | null
}

/**
 * The user's file is asked first, then the system's.
 *
 * @throws CONFIG_INVALID where the service is in none of them, or a file named outright is missing.
 */
export async function readService(lookup: ServiceLookup): Promise<Conninfo> {
  const { service, file, homeDir, systemDir } = lookup
  const systemDirs = systemDir === null ? ['/etc/postgresql-common', '/etc'] : [systemDir]
  const paths = [
    file ?? join(homeDir, '.pg_service.conf'),
    ...systemDirs.map((directory) => join(directory, 'pg_service.conf')),
  ]
  for (const path of paths) {
    const text = await readFile(path, 'utf8').catch(() => null)
    if (text === null) {
      if (path !== file) continue
      throw new TrunklineError('CONFIG_INVALID', `The service file ${path} cannot be read.`, {
        hint: 'Check the path in PGSERVICEFILE or servicefile, and its permissions.',
        context: { path },
      })
    }
    const found = parseServiceFile(text, service, path)
    if (found !== null) return found
  }
  throw new TrunklineError('CONFIG_INVALID', `The service ${JSON.stringify(service)} is defined nowhere.`, {
    hint: `Looked into ${paths.join(', ')}.`,
  })
}

/** @returns null where the file has no such section. @throws CONFIG_INVALID, CONFIG_UNKNOWN_KEY, CONFIG_UNSUPPORTED */
export function parseServiceFile(text: string, service: string, path: string): Conninfo | null {
  let found: Conninfo | null = null
  for (const [index, raw] of text.split(/\r?\n/).entries()) {
    const line = raw.trim()
    if (line === '' || line.startsWith('#')) continue
    if (line.startsWith('[')) {
      if (found !== null) break
      if (line === `[${service}]`) found = {}
      continue
    }
    if (found === null) continue
    const where = `${path}, line ${index + 1},`
    if (line.startsWith('ldap')) {
      throw new TrunklineError('CONFIG_UNSUPPORTED', `${where} looks up the service by LDAP.`, {
        hint: 'Write the parameters into the file.',
        context: { path },
      })
    }
    const equals = line.indexOf('=')
    if (equals < 0) {
      throw new TrunklineError('CONFIG_INVALID', `${where} is not of the form keyword=value.`, {
        hint: 'A service file holds sections [name] and lines keyword=value.',
        context: { path },
      })
    }
    const keyword = line.slice(0, equals)
    if (keyword === 'service' || keyword === 'servicefile') {
      throw new TrunklineError(
        'CONFIG_INVALID',
        `${where} refers to another service, which libpq does not follow.`,
        {
          hint: 'Write the parameters of the other service here.',
          context: { path },
        },
      )
    }
    if (!isKeyword(keyword)) throw unknownKeyword(keyword, where)
    // The first line of a keyword counts, as in libpq.
    found[keyword] ??= line.slice(equals + 1)
  }
  return found
}
