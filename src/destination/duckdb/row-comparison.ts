/**
 * Two sets of rows compared value by value, in a database of its own that is thrown away: those that are expected, as batches, and
 * those that are there, as batches or by SQL over files. What does not fit in memory is on disk.
 */
import { mkdtemp, realpath, rm } from 'node:fs/promises'
import path from 'node:path'
import type { DuckDBConnection } from '@duckdb/node-api'
import type { Batch } from '../../batch/batch.js'
import type { Field } from '../../model/column-type.js'
import type { VerifyResult } from '../../model/report.js'
import { formatComparison } from './compare-tables.js'
import { Database, createFile, queryRows } from './database.js'
import { countColumns, memoryForColumns, memoryLimit, RowRoom } from './memory-room.js'
import { ParquetLoader } from './parquet-loader.js'
import { quoteName, quoteTable } from './quote.js'
import { formatColumns } from './table-columns.js'

const THREADS = 1
/** Readers of text take buffers of many times the longest line that they allow, however short the lines are. */
const SCAN_BYTES = 512 * 1024 * 1024

type Side = 'expected' | 'actual'

export interface RowComparisonOptions {
  readonly fields: readonly Field[]
  /** Where the database is made, in a folder of its own. Absolute. */
  readonly scratchIn: string
  /** Folders whose files are read by SQL. */
  readonly readable: readonly string[]
}

export class RowComparison implements AsyncDisposable {
  readonly #fields: readonly Field[]
  readonly #folder: string
  readonly #scratchDir: string
  readonly #database: Database
  readonly #connection: DuckDBConnection
  #loads = 0

  private constructor(
    fields: readonly Field[],
    open: {
      readonly folder: string
      readonly scratchDir: string
      readonly database: Database
      readonly connection: DuckDBConnection
    },
  ) {
    this.#fields = fields
    this.#folder = open.folder
    this.#scratchDir = open.scratchDir
    this.#database = open.database
    this.#connection = open.connection
  }

  static async open({ fields, scratchIn, readable }: RowComparisonOptions): Promise<RowComparison> {
    const folder = await mkdtemp(path.join(scratchIn, 'compare-'))
    try {
      const file = path.join(folder, 'rows.duckdb')
      await createFile(file)
      const memoryLimitBytes = Math.max(memoryLimit(THREADS), memoryForColumns(countColumns(fields), THREADS))
      const database = await Database.start({ memoryLimitBytes, threads: THREADS })
      try {
        await database.attach(file)
        const resolved = await Promise.all(readable.map((each) => realpath(each).catch(() => each)))
        const allowed = [...new Set([...readable, ...resolved])]
        const scratchDir = await database.confine(file, file, allowed)
        const connection = await database.connect()
        for (const side of ['expected', 'actual'] as const) {
          await connection.run(`CREATE TABLE ${tableOf(side)} (${formatColumns(fields, [])})`)
        }
        return new RowComparison(fields, { folder, scratchDir, database, connection })
      } catch (error) {
        await database.close().catch(() => undefined)
        throw error
      }
    } catch (error) {
      await rm(folder, { recursive: true, force: true })
      throw error
    }
  }

  async add(side: Side, batches: AsyncIterable<Batch>): Promise<void> {
    const loader = new ParquetLoader({
      connection: this.#connection,
      scratchDir: this.#scratchDir,
      label: String(this.#loads++),
      threads: THREADS,
      table: tableOf(side),
      fields: this.#fields,
      constants: [],
    })
    const room = new RowRoom()
    try {
      for await (const batch of batches) {
        const more = room.add(batch)
        if (more > 0) await this.#database.allowMemory(memoryLimit(THREADS) + more)
        await loader.write(batch)
      }
      await loader.finish()
    } catch (error) {
      await loader.discard()
      throw error
    }
  }

  /** `from`: a FROM item that has the fields by name. */
  async addScan(side: Side, from: string): Promise<void> {
    await this.#database.allowMemory(SCAN_BYTES)
    const columns = this.#fields.map(({ name }) => quoteName(name)).join(', ')
    await this.#connection.run(`INSERT INTO ${tableOf(side)} (${columns}) SELECT ${columns} FROM ${from}`)
  }

  /** `actual`: a FROM item in place of what was added on that side. */
  async compare(actual?: string): Promise<VerifyResult> {
    if (actual !== undefined) await this.#database.allowMemory(SCAN_BYTES)
    const [found] = await queryRows(
      this.#connection,
      formatComparison({
        fields: this.#fields,
        expected: tableOf('expected'),
        actual: actual ?? tableOf('actual'),
        actualWhere: 'true',
      }),
    )
    const missing = Number(found?.['missing'])
    const unexpected = Number(found?.['unexpected'])
    return { equal: missing === 0 && unexpected === 0, missing, unexpected }
  }

  async close(): Promise<void> {
    try {
      this.#connection.closeSync()
      await this.#database.close()
    } finally {
      await rm(this.#folder, { recursive: true, force: true })
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

function tableOf(side: Side): string {
  return quoteTable({ schema: 'main', name: side })
}
