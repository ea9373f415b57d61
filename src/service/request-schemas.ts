/** What requests may say, and what answers hold: the OpenAPI document is made of these. */
import { z } from 'zod'
import type { RunReport } from '../model/report.js'
import { FORMATS } from './row-formats.js'

const name = z.string().min(1)
const count = z.number().int().nonnegative()

const fullTable = z
  .strictObject({
    fullTable: z.strictObject({
      entity: name.describe(
        'A table or view, as `users` or `sales.orders`, or a configured query by its name.',
      ),
    }),
  })
  .describe('All rows.')

const incremental = z
  .strictObject({
    incremental: z.strictObject({
      entity: name.describe('A table, a view or a configured query.'),
      cursorField: name.describe('The column that says where a row stands.'),
      cursor: z
        .union([z.string(), z.number().refine(Number.isSafeInteger, 'larger integers as text')])
        .nullish()
        .describe('Rows above it; absent or null: all that have a value.'),
      inclusive: z
        .boolean()
        .optional()
        .describe('Rows at the cursor, too: none is missed where several share a value.'),
    }),
  })
  .describe('Rows above a cursor, in its order.')

const query = z
  .strictObject({ query: z.strictObject({ sql: name.describe('One SELECT.') }) })
  .describe('Rows of a SELECT. Only where the service allows inline SQL.')

export const extractionBody = z
  .strictObject({
    source: name.optional().describe('Name of a source; needed where there are several.'),
    connection: name
      .optional()
      .describe('postgresql:// URL, in place of a source. Only where the service allows the host.'),
    mode: z.union([fullTable, incremental, query]),
    columns: z.array(name).min(1).optional().describe('Only these columns, in this order.'),
    excludeColumns: z.array(name).optional().describe('All columns but these.'),
    where: name
      .optional()
      .describe("A condition over the stream's own columns. Only where the service allows inline SQL."),
    limit: z.number().int().positive().optional().describe('No more rows than this.'),
    format: z.enum(FORMATS).optional().describe('Before what Accept says.'),
    trailer: z
      .boolean()
      .optional()
      .describe('JSON Lines end with a line {"_trunkline": …} that says whether the rows are complete.'),
  })
  .meta({ id: 'Extraction' })

export type ExtractionBody = z.output<typeof extractionBody>

export const errorBody = z
  .object({
    error: z.looseObject({
      code: z.string().describe('Stable; the reference of errors and of the service explain them.'),
      message: z.string(),
      hint: z.string().optional().describe('What to do.'),
      retry: z.enum(['never', 'safe', 'backoff']),
    }),
  })
  .meta({ id: 'Error' })

const field = z.object({
  name: z.string(),
  type: z.string().describe('As PostgreSQL writes it.'),
  nullable: z.boolean(),
  readable: z.boolean().describe('Whether the role may read it.'),
  comment: z.string().nullable(),
})

const entity = z.object({
  name: z.string(),
  kind: z.enum(['table', 'partitioned', 'inherited', 'view', 'matview', 'foreign', 'query']),
  fields: z.array(field),
  primaryKey: z
    .array(z.string())
    .describe('Of the primary key or the key that identifies rows; empty without one.'),
  uniqueKeys: z.array(z.array(z.string())),
  relationships: z.array(
    z.object({
      name: z.string(),
      columns: z.array(z.string()),
      entity: z.string(),
      references: z.array(z.string()),
    }),
  ),
  cursors: z
    .array(z.object({ field: z.string(), type: z.enum(['timestamp', 'incrementing']), indexed: z.boolean() }))
    .describe('Columns that can serve as cursorField, the likeliest first.'),
  estimatedRows: z.number().nullable(),
  bytes: z.number(),
  comment: z.string().nullable(),
})

export const catalogAnswer = z
  .object({ source: z.string(), database: z.string(), entities: z.array(entity) })
  .meta({ id: 'Catalog' })

export type CatalogAnswer = z.output<typeof catalogAnswer>

export const catalogQuery = z.object({
  source: name.optional(),
  select: z
    .union([name, z.array(name)])
    .optional()
    .describe("Patterns, as 'public.*'; default: what the role may use, views included."),
})

export const sourceQuery = z.object({ source: name.optional() })

/** Document 003's object; `error` beside it where the database is not healthy. */
export const healthAnswer = z
  .looseObject({
    status: z.enum(['healthy', 'unhealthy']),
    connected: z.boolean().optional(),
    response_time_ms: z.number().optional(),
    last_check: z.string(),
  })
  .meta({ id: 'Health' })

export const runBody = z.strictObject({ sync: name.describe('A sync of the configuration.') })

const report = z
  .looseObject({
    sync: z.string(),
    runId: z.string(),
    startedAt: z.string(),
    seconds: z.number(),
    outcome: z.enum(['done', 'failed', 'some_failed', 'aborted']),
    rowsRead: count,
    rowsLanded: count,
    rowsDeleted: count,
    bytesRead: count,
    streams: z.array(z.looseObject({ stream: z.string(), outcome: z.string() })),
  })
  .describe('As in the events of `trunkline sync --json`: docs/reference/trunkline-events.schema.json.')

export const runAnswer = z
  .object({
    id: z.string(),
    sync: z.string(),
    state: z.enum(['running', 'done', 'failed', 'some_failed', 'aborted']),
    startedAt: z.string(),
    endedAt: z.string().nullable(),
    report: report.nullable().describe('Null until the end, and where the run could not begin.'),
    error: errorBody.shape.error.nullable().describe('Why the run as a whole failed.'),
  })
  .meta({ id: 'Run' })

export interface RunAnswer extends Omit<z.output<typeof runAnswer>, 'report'> {
  readonly report: RunReport | null
}

export const runsAnswer = z.object({ runs: z.array(runAnswer) })
export const syncsAnswer = z.object({
  syncs: z.array(z.object({ name: z.string(), source: z.string(), running: z.boolean() })),
})
export const runParams = z.object({ id: name })
