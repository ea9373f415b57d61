/** A DuckDB file that a test syncs into, by the real engine between the real source and destination, in this process or another. */
import { AsyncLocalStorage } from 'node:async_hooks'
import { spawn } from 'node:child_process'
import { mkdtemp, realpath, rm } from 'node:fs/promises'
import { tmpdir, userInfo } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api'
import { checkSyncOptions } from '../../src/config/check-options.js'
import { type SyncOptions, toSyncSpec } from '../../src/config/sync-options.js'
import { createDuckDbDestination } from '../../src/destination/duckdb/duckdb-destination.js'
import { type ErrorData, fromErrorData } from '../../src/model/error.js'
import type { Logger } from '../../src/model/log.js'
import type { ProgressEvent, RunReport, StreamReport } from '../../src/model/report.js'
import type { Limits } from '../../src/model/sync-spec.js'
import { DEFAULT_LIMITS } from '../../src/model/thresholds.js'
import { resolveConnection } from '../../src/postgres/resolve-connection.js'
import type { Source } from '../../src/source/contract.js'
import { createPostgresSource } from '../../src/source/postgres-source.js'
import { runSync } from '../../src/sync/engine.js'
import { textRows } from '../destination/duckdb/text-rows.js'

export interface RunOptions extends SyncOptions {
  readonly url?: string
  readonly file?: string
  readonly signal?: AbortSignal
  readonly onProgress?: (event: ProgressEvent) => void
  readonly logger?: Logger
  /** Puts a hold on the source, see pausing-source.ts. */
  readonly wrap?: (source: Source) => Source
}

/** What the child process prints. */
export interface ChildResult {
  readonly report: RunReport | null
  readonly error: ErrorData | null
  /** Of the process, as the system counts it. */
  readonly peakBytes: number
  readonly output: string
}

export class CopyFile {
  readonly folder: string
  readonly file: string
  readonly #url: string
  /** Of whoever is within {@link whileOpen}. */
  readonly #open = new AsyncLocalStorage<DuckDBConnection>()

  private constructor(folder: string, name: string, url: string) {
    this.folder = folder
    this.#url = url
    this.file = path.join(folder, name)
  }

  static async create(url: string, name = 'copy.duckdb'): Promise<CopyFile> {
    const folder = await realpath(await mkdtemp(path.join(tmpdir(), 'trunkline-e2e-')))
    return new CopyFile(folder, name, url)
  }

  /** What DuckDB calls the file when it is opened. */
  get catalog(): string {
    return path.parse(this.file).name
  }

  /** Runs once; streams may fail. */
  async run(options: RunOptions = {}): Promise<RunReport> {
    const { url, file, signal, onProgress, logger, wrap, ...stated } = options
    const limits: Limits = { ...DEFAULT_LIMITS, firstRetryDelayMs: 50, ...stated.limits }
    const settings = await resolveConnection({
      url: url ?? this.#url,
      env: {},
      homeDir: this.folder,
      userName: userInfo().username,
    })
    await using source = createPostgresSource(settings, { limits })
    await using destination = createDuckDbDestination({ path: file ?? this.file, publish: 'direct' })
    return await runSync({
      source: wrap === undefined ? source : wrap(source),
      destination,
      spec: toSyncSpec(checkSyncOptions({ ...stated, limits }), source.database),
      ...(signal === undefined ? {} : { signal }),
      ...(onProgress === undefined ? {} : { onProgress }),
      ...(logger === undefined ? {} : { logger }),
    })
  }

  /** Runs once, and throws the first error of a stream. */
  async sync(options: RunOptions = {}): Promise<RunReport> {
    const report = await this.run(options)
    for (const { error } of report.streams) if (error !== null) throw fromErrorData(error)
    return report
  }

  /** The same by the built library in a process of its own. `through` is put in front of the command. */
  runInChild(
    options: Omit<RunOptions, 'signal' | 'onProgress' | 'logger' | 'wrap'> = {},
    through: readonly string[] = [],
  ): Promise<ChildResult> {
    const { url, file, ...sync } = options
    const program = fileURLToPath(new URL('sync-child.mjs', import.meta.url))
    const call = JSON.stringify({
      ...sync,
      source: url ?? this.#url,
      destination: `duckdb:${file ?? this.file}`,
      limits: { firstRetryDelayMs: 50, ...sync.limits },
    })
    const [command = '', ...args] = [...through, process.execPath, program, call]
    const child = spawn(command, args, { cwd: this.folder, stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    let errors = ''
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
    child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()))
    return new Promise((resolve, reject) => {
      child.on('error', reject)
      child.on('close', (code, signal) => {
        if (code !== 0) reject(new Error(`the child ended with ${code ?? signal ?? ''}: ${errors}`))
        else resolve({ ...(JSON.parse(output) as Omit<ChildResult, 'output'>), output: output + errors })
      })
    })
  }

  /** What a reader of the file finds; every value as DuckDB's text. */
  async rows(sql: string, values: string[] = []): Promise<Record<string, string | null>[]> {
    const connection = this.#open.getStore()
    if (connection === undefined) return await this.whileOpen(() => this.rows(sql, values))
    return textRows(connection, sql, values)
  }

  /** Opens the file once for all the rows that `work` asks for, which is the longest part of a look. No run can begin meanwhile. */
  async whileOpen<Result>(work: () => Promise<Result>): Promise<Result> {
    if (this.#open.getStore() !== undefined) return await work()
    const instance = await DuckDBInstance.create(this.file, { access_mode: 'READ_ONLY' })
    try {
      const connection = await instance.connect()
      try {
        await connection.run("SET TimeZone = 'UTC'")
        return await this.#open.run(connection, work)
      } finally {
        // An open connection would keep the file, and other processes from it.
        connection.closeSync()
      }
    } finally {
      instance.closeSync()
    }
  }

  async remove(): Promise<void> {
    await rm(this.folder, { recursive: true, force: true })
  }
}

export function streamOf(report: RunReport, name: string): StreamReport {
  const found = report.streams.find((stream) => stream.stream === name)
  if (found === undefined) throw new Error(`the report has no ${name}`)
  return found
}

/** `name: code` of the streams that failed. */
export function failuresOf(report: RunReport): Record<string, string> {
  return Object.fromEntries(
    report.streams.flatMap(({ stream, error }) => (error === null ? [] : [[stream, error.code]])),
  )
}

/** The error that a run is refused with. */
export async function refusalOf(run: Promise<unknown>): Promise<ErrorData> {
  try {
    await run
  } catch (error) {
    return error as ErrorData
  }
  throw new Error('the run was not refused')
}
