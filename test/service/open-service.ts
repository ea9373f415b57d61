/** A service for tests: on a free port, over a database of the test's own, read by a role that can only read. */
import { onTestFinished } from 'vitest'
import type { ConnectionInput } from '../../src/config/connection-input.js'
import type { ConfiguredSync } from '../../src/config/find-configuration.js'
import { resolveServiceSettings, type StatedServiceSettings } from '../../src/config/service-settings.js'
import { startService, type RunningService, type ServiceOptions } from '../../src/service/start-service.js'
import type { TestDatabase } from '../server/servers.js'

export const TOKEN = 'a-token-for-tests-0123456789abcdef'

export interface TestService extends RunningService {
  /** Lines of the log, parsed. */
  readonly log: Record<string, unknown>[]
  ask(path: string, options?: RequestInit): Promise<Response>
  extract(body: object, options?: RequestInit): Promise<Response>
}

export interface OpenOptions extends Partial<Omit<ServiceOptions, 'settings'>> {
  readonly settings?: StatedServiceSettings
}

/** Stopped when the test has ended. */
export async function openService(options: OpenOptions = {}): Promise<TestService> {
  const log: Record<string, unknown>[] = []
  const { settings, ...rest } = options
  const service = await startService({
    settings: resolveServiceSettings({ port: 0, token: TOKEN, gracePeriodMs: 500, ...settings }),
    connections: new Map(),
    syncs: new Map(),
    env: {},
    version: '1.2.3',
    log: { write: (line) => void log.push(JSON.parse(line) as Record<string, unknown>) },
    ...rest,
  })
  onTestFinished(() => service.stop())
  const ask: TestService['ask'] = (path, { headers, ...init } = {}) =>
    fetch(`${service.url}${path}`, { headers: { authorization: `Bearer ${TOKEN}`, ...headers }, ...init })
  return {
    ...service,
    log,
    ask,
    extract: (body, init = {}) =>
      ask('/extract', {
        method: 'POST',
        body: JSON.stringify(body),
        ...init,
        headers: { 'content-type': 'application/json', ...init.headers },
      }),
  }
}

export function connectionTo(url: string): ConnectionInput {
  return { url, options: {}, place: null }
}

/** The only source, `shop`, as a new role that may read what there is in the schema. */
export async function readerOf(database: TestDatabase, schema = 'public'): Promise<ConnectionInput> {
  const role = await database.createRole()
  await database.sql(
    `GRANT USAGE ON SCHEMA ${schema} TO ${role.name}; GRANT SELECT ON ALL TABLES IN SCHEMA ${schema} TO ${role.name}`,
  )
  return connectionTo(role.url)
}

export function syncOf(
  connection: ConnectionInput,
  destination: string,
  options: ConfiguredSync['options'] = {},
) {
  return { connection, destination, destinationPlace: null, options }
}

export const fullTable = (entity: string) => ({ mode: { fullTable: { entity } } })

export function linesOf(text: string): Record<string, unknown>[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>)
}

/** Value of a metric's sample, by its name with labels as it is written; 0 where there is none. */
export async function metricOf(service: TestService, sample: string): Promise<number> {
  const text = await (await service.ask('/metrics')).text()
  const line = text.split('\n').find((candidate) => candidate.startsWith(`${sample} `))
  return line === undefined ? 0 : Number(line.slice(sample.length + 1))
}

export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 20))
}
