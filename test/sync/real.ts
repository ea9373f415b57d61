/** Runs of the real engine between a real server and a real DuckDB file. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir, userInfo } from 'node:os'
import path from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import { createDuckDbDestination } from '../../src/destination/duckdb/duckdb-destination.js'
import { fromErrorData } from '../../src/model/error.js'
import type { ProgressEvent, RunReport, StreamReport } from '../../src/model/report.js'
import type { Limits, SyncSpec } from '../../src/model/sync-spec.js'
import { resolveConnection } from '../../src/postgres/resolve-connection.js'
import type { Source } from '../../src/source/contract.js'
import { createPostgresSource } from '../../src/source/postgres-source.js'
import { runSync } from '../../src/sync/engine.js'
import { SPEC } from './model/world.js'
import { textRows } from '../destination/duckdb/text-rows.js'

export class Warehouse {
  readonly file: string
  readonly #folder: string
  readonly #url: string

  private constructor(folder: string, url: string) {
    this.#folder = folder
    this.#url = url
    this.file = path.join(folder, 'copy.duckdb')
  }

  static async create(url: string): Promise<Warehouse> {
    return new Warehouse(await mkdtemp(path.join(tmpdir(), 'trunkline-sync-')), url)
  }

  async run(
    spec: Partial<SyncSpec> = {},
    options: {
      readonly signal?: AbortSignal
      readonly onProgress?: (event: ProgressEvent) => void
      readonly url?: string
      /** Of the source. */
      readonly limits?: Limits
      /** Puts a hold on the source, see ../end-to-end/pausing-source.ts. */
      readonly wrap?: (source: Source) => Source
    } = {},
  ): Promise<RunReport> {
    const settings = await resolveConnection({
      url: options.url ?? this.#url,
      env: {},
      homeDir: this.#folder,
      userName: userInfo().username,
    })
    await using source = createPostgresSource(
      settings,
      options.limits === undefined ? {} : { limits: options.limits },
    )
    await using destination = createDuckDbDestination({ path: this.file, publish: 'direct' })
    const { url: _url, limits: _limits, wrap, ...rest } = options
    return await runSync({
      source: wrap?.(source) ?? source,
      destination,
      spec: { ...SPEC, ...spec },
      ...rest,
    })
  }

  /** Runs, and throws the first error of a stream. */
  async sync(
    spec: Partial<SyncSpec> = {},
    options: Parameters<Warehouse['run']>[1] = {},
  ): Promise<RunReport> {
    const report = await this.run(spec, options)
    for (const { error } of report.streams) if (error !== null) throw fromErrorData(error)
    return report
  }

  /** What a reader of the file finds; every value as DuckDB's text. */
  async query(sql: string): Promise<Record<string, string | null>[]> {
    const instance = await DuckDBInstance.create(this.file, { access_mode: 'READ_ONLY' })
    const connection = await instance.connect()
    try {
      return await textRows(connection, sql)
    } finally {
      connection.closeSync()
      instance.closeSync()
    }
  }

  async remove(): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true })
  }
}

export function streamOf(report: RunReport, name: string): StreamReport {
  const found = report.streams.find((stream) => stream.stream === name)
  if (found === undefined) throw new Error(`the report has no ${name}`)
  return found
}
