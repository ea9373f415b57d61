/** A bucket of the project's test server that files land in, read by whoever reads the objects of the listing: DuckDB. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import type { Destination, TableName } from '../../src/destination/contract.js'
import { createFilesDestination } from '../../src/destination/files/files-destination.js'
import type { FilesDestinationOptions } from '../../src/destination/files/files-destination.js'
import { createParquetFormat } from '../../src/destination/files/parquet-format.js'
import type { Place } from '../../src/testing/place.js'
import { makeS3Store } from '../store/open-s3-store.js'
import { startS3Server, type S3Server } from '../store/s3-server.js'
import { selectField, toPlain } from './duckdb/duckdb-place.js'

export interface S3Place extends Place {
  readonly server: S3Server
  create(options?: Partial<FilesDestinationOptions>): Destination
}

/** Below this prefix of the bucket. */
const PREFIX = 'shop/daily/'

interface Listing {
  readonly tables: readonly (TableName & { readonly files: readonly { readonly path: string }[] })[]
}

/** Parquet files in a bucket. The server is the caller's; it is emptied before and after. */
export async function makeS3Place(server: S3Server): Promise<S3Place> {
  const format = await createParquetFormat({})
  server.objects.clear()
  server.uploads.clear()
  return {
    server,
    create: (options = {}) => createFilesDestination({ format, store: makeS3Store(server), ...options }),
    async readRows(table, columns) {
      const listing = server.objects.get(`${PREFIX}latest.json`)
      if (listing === undefined) return null
      const { tables } = JSON.parse(listing.content.toString()) as Listing
      const found = tables.find(({ schema, name }) => schema === table.schema && name === table.name)
      if (found === undefined) return null
      const folder = await mkdtemp(path.join(tmpdir(), 'trunkline-s3-read-'))
      const instance = await DuckDBInstance.create(':memory:')
      const connection = await instance.connect()
      try {
        const files: string[] = []
        for (const [index, file] of found.files.entries()) {
          const object = server.objects.get(`${PREFIX}${file.path}`)
          if (object === undefined) throw new Error(`the listing names ${file.path}, which is not there`)
          files.push(path.join(folder, `${index}.parquet`))
          await writeFile(files.at(-1) ?? '', object.content)
        }
        if (files.length === 0) return []
        await connection.run("SET TimeZone = 'UTC'")
        const list = files.map((file) => `'${file}'`).join(', ')
        const rows = await connection.runAndReadAll(
          `SELECT ${columns.map(selectField).join(', ')} FROM read_parquet([${list}], union_by_name = true)`,
        )
        return rows.getRows().map((row) => row.map((value, index) => toPlain(columns[index]?.type, value)))
      } finally {
        connection.closeSync()
        instance.closeSync()
        await rm(folder, { recursive: true, force: true })
      }
    },
    readableDuringRuns: true,
    rowsFollow: true,
    async remove() {
      server.objects.clear()
    },
  }
}

export function startBucket(): Promise<S3Server> {
  return startS3Server({ buckets: ['lake'] })
}
