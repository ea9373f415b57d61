/**
 * What Prometheus is told. `postgres_…` is about the server as we see it, `trunkline_…` about what we do.
 *
 * Labels have few values, fixed by the configuration or by us: never a table, a client or a text of the server.
 */
import type { Counter, Gauge, Histogram, Registry } from 'prom-client'
import type { ConnectionEvent, ConnectionObserver } from '../connectors.js'
import type { RunReport } from '../model/report.js'
import type { ConnectionStatus, SchemaStatistics, SourceHealth } from '../source/contract.js'
import type { ServicePackages } from './packages.js'
import { createRateMeter, type RateMeter } from './rate-meter.js'

export type ExtractionOutcome = 'complete' | 'failed' | 'left' | 'refused'

/** Seconds: of statements, from an index lookup to a long scan. */
const STATEMENT_SECONDS = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 1800]
const CONNECT_SECONDS = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30]
const WORK_SECONDS = [0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 4 * 3600]
const THROUGHPUT_WINDOW_S = 10
/** Of one source; whoever has more schemas sees the largest. */
const MOST_SCHEMAS = 100
/** Classes of SQLSTATE that PostgreSQL has; what a server makes up is `other`. */
const SQLSTATE_CLASSES = new Set(
  '00 01 02 03 08 09 0A 0B 0F 0L 0P 0Z 20 21 22 23 24 25 26 27 28 2B 2D 2F 34 38 39 3B 3D 3F 40 42 44 53 54 55 57 58 72 F0 HV P0 XX'.split(
    ' ',
  ),
)

export class Metrics {
  readonly #registry: Registry
  readonly #connectionsActive: Gauge
  readonly #connectSeconds: Histogram
  readonly #connectionsRefused: Counter
  readonly #queries: Counter
  readonly #querySeconds: Histogram
  readonly #errors: Counter
  readonly #rows: Counter
  readonly #extractions: Counter
  readonly #extractionsInProgress: Gauge
  readonly #extractionSeconds: Histogram
  readonly #extractedBytes: Counter
  readonly #runs: Counter
  readonly #runsInProgress: Gauge
  readonly #runSeconds: Histogram
  readonly #runRows: Counter
  readonly #requests: Counter
  readonly #up: Gauge
  readonly #responseSeconds: Gauge
  readonly #databaseBytes: Gauge
  readonly #schemaTables: Gauge
  readonly #schemaBytes: Gauge
  readonly #schemaRows: Gauge
  readonly #meters = new Map<string, RateMeter>()
  /** Those that the gauges have, by source. */
  readonly #schemas = new Map<string, readonly string[]>()

  constructor(
    prometheus: ServicePackages['prometheus'],
    options: {
      readonly version: string
      readonly sources: readonly string[]
      readonly maxExtractions: number
      readonly maxRuns: number
      /** What each source has of connections, asked when the metrics are. */
      readonly pools: () => ReadonlyMap<string, ConnectionStatus>
    },
  ) {
    const registers = [new prometheus.Registry()]
    const [registry] = registers as [Registry]
    this.#registry = registry
    const counter = (name: string, help: string, labelNames: string[]): Counter =>
      new prometheus.Counter({ name, help, labelNames, registers })
    const gauge = (name: string, help: string, labelNames: string[], collect?: (own: Gauge) => void): Gauge =>
      new prometheus.Gauge({
        name,
        help,
        labelNames,
        registers,
        ...(collect === undefined
          ? {}
          : {
              collect() {
                collect(this)
              },
            }),
      })
    const histogram = (name: string, help: string, labelNames: string[], buckets: number[]): Histogram =>
      new prometheus.Histogram({ name, help, labelNames, buckets, registers })

    this.#connectionsActive = gauge(
      'postgres_connections_active',
      'Connections to the database that are open.',
      ['source'],
    )
    this.#queries = counter('postgres_queries_total', 'Statements that ended, however they did.', [
      'source',
      'protocol',
    ])
    this.#querySeconds = histogram(
      'postgres_query_duration_seconds',
      'Time from a statement to its end; of a copy it includes the time its taker was not ready.',
      ['source', 'protocol'],
      STATEMENT_SECONDS,
    )
    this.#rows = counter('postgres_rows_extracted_total', 'Rows read from the database.', ['source'])
    this.#errors = counter(
      'postgres_errors_total',
      'Statements and connections that failed, by the class of the SQLSTATE, or connection.',
      ['source', 'class'],
    )
    this.#connectSeconds = histogram(
      'postgres_connection_establishment_seconds',
      'Time to make a connection, until it is logged in.',
      ['source'],
      CONNECT_SECONDS,
    )
    this.#connectionsRefused = counter(
      'postgres_connections_refused_total',
      'Connections that did not come about.',
      ['source'],
    )
    gauge('postgres_rows_per_second', 'Rows read per second, over the last seconds.', ['source'], (own) => {
      for (const [source, meter] of this.#meters) own.set({ source }, meter.perSecond(performance.now()))
    })
    gauge(
      'postgres_pool_connections',
      'Connections of the pool, and uses that wait for one.',
      ['source', 'state'],
      (own) => {
        for (const [source, { open, idle, waiting }] of options.pools()) {
          own.set({ source, state: 'in_use' }, open - idle)
          own.set({ source, state: 'idle' }, idle)
          own.set({ source, state: 'waiting' }, waiting)
        }
      },
    )
    gauge('postgres_pool_connections_limit', 'Connections that the pool may have.', ['source'], (own) => {
      for (const [source, { max }] of options.pools()) own.set({ source }, max)
    })
    this.#up = gauge('postgres_up', 'Whether the last look at the database found it healthy.', ['source'])
    this.#responseSeconds = gauge('postgres_response_seconds', 'What the last look at the database took.', [
      'source',
    ])
    this.#databaseBytes = gauge('postgres_database_size_bytes', 'Size of the database.', ['source'])
    this.#schemaTables = gauge('postgres_schema_tables', 'Tables of a schema.', ['source', 'schema'])
    this.#schemaBytes = gauge('postgres_schema_size_bytes', 'Size of the tables of a schema.', [
      'source',
      'schema',
    ])
    this.#schemaRows = gauge('postgres_schema_rows', 'Rows of a schema, as the planner estimates them.', [
      'source',
      'schema',
    ])

    this.#extractions = counter('trunkline_extractions_total', 'Extractions by how they ended.', [
      'source',
      'format',
      'outcome',
    ])
    this.#extractionsInProgress = gauge('trunkline_extractions_in_progress', 'Extractions under way.', [
      'source',
    ])
    gauge('trunkline_extractions_limit', 'Extractions that may be under way.', [], (own) => {
      own.set(options.maxExtractions)
    })
    this.#extractionSeconds = histogram(
      'trunkline_extraction_duration_seconds',
      'Time of an extraction, from the request to the last byte.',
      ['source', 'format'],
      WORK_SECONDS,
    )
    this.#extractedBytes = counter('trunkline_extracted_bytes_total', 'Bytes of rows handed to clients.', [
      'source',
      'format',
    ])
    this.#runs = counter('trunkline_runs_total', 'Runs by how they ended.', ['sync', 'outcome'])
    this.#runsInProgress = gauge('trunkline_runs_in_progress', 'Runs under way.', ['sync'])
    gauge('trunkline_runs_limit', 'Runs that may be under way.', [], (own) => {
      own.set(options.maxRuns)
    })
    this.#runSeconds = histogram('trunkline_run_duration_seconds', 'Time of a run.', ['sync'], WORK_SECONDS)
    this.#runRows = counter('trunkline_run_rows_total', 'Rows that runs landed or deleted.', [
      'sync',
      'change',
    ])
    this.#requests = counter('trunkline_http_requests_total', 'Requests by route and status.', [
      'method',
      'route',
      'status',
    ])
    gauge('trunkline_build_info', 'The version that runs.', ['version'], (own) => {
      own.set({ version: options.version }, 1)
    })
    gauge('process_resident_memory_bytes', 'Resident memory of the process.', [], (own) => {
      own.set(process.memoryUsage.rss())
    })
    for (const source of options.sources) this.#begin(source)
  }

  get contentType(): string {
    return this.#registry.contentType
  }

  text(): Promise<string> {
    return this.#registry.metrics()
  }

  /** What connections of the source tell. */
  observe(source: string): ConnectionObserver {
    return (event) => {
      this.#note(source, event)
    }
  }

  rowsRead(source: string, rows: number): void {
    this.#rows.inc({ source }, rows)
    this.#meterOf(source).add(rows, performance.now())
  }

  /** Gives what ends it. */
  extractionStarted(
    source: string,
    format: string,
  ): { readonly bytes: (count: number) => void; readonly end: (outcome: ExtractionOutcome) => void } {
    this.#extractionsInProgress.inc({ source })
    const stop = this.#extractionSeconds.startTimer({ source, format })
    return {
      bytes: (count) => {
        this.#extractedBytes.inc({ source, format }, count)
      },
      end: (outcome) => {
        this.#extractionsInProgress.dec({ source })
        this.#extractions.inc({ source, format, outcome })
        stop()
      },
    }
  }

  extractionRefused(source: string, format: string): void {
    this.#extractions.inc({ source, format, outcome: 'refused' })
  }

  runStarted(sync: string): {
    readonly end: (outcome: RunReport['outcome'], report: RunReport | null) => void
  } {
    this.#runsInProgress.inc({ sync })
    const stop = this.#runSeconds.startTimer({ sync })
    return {
      end: (outcome, report) => {
        this.#runsInProgress.dec({ sync })
        this.#runs.inc({ sync, outcome })
        this.#runRows.inc({ sync, change: 'landed' }, report?.rowsLanded ?? 0)
        this.#runRows.inc({ sync, change: 'deleted' }, report?.rowsDeleted ?? 0)
        stop()
      },
    }
  }

  request(method: string, route: string, status: number): void {
    this.#requests.inc({ method, route, status: String(status) })
  }

  health(source: string, { status, database_size_bytes: bytes, response_time_ms: ms }: SourceHealth): void {
    this.#up.set({ source }, status === 'healthy' ? 1 : 0)
    this.#responseSeconds.set({ source }, ms / 1000)
    if (bytes !== null) this.#databaseBytes.set({ source }, bytes)
  }

  schemas(source: string, statistics: readonly SchemaStatistics[]): void {
    const gauges = [this.#schemaTables, this.#schemaBytes, this.#schemaRows]
    for (const schema of this.#schemas.get(source) ?? [])
      for (const gauge of gauges) gauge.remove({ source, schema })
    const largest = [...statistics].sort((one, other) => other.bytes - one.bytes).slice(0, MOST_SCHEMAS)
    this.#schemas.set(
      source,
      largest.map(({ schema }) => schema),
    )
    for (const { schema, tables, bytes, estimatedRows } of largest) {
      this.#schemaTables.set({ source, schema }, tables)
      this.#schemaBytes.set({ source, schema }, bytes)
      this.#schemaRows.set({ source, schema }, estimatedRows)
    }
  }

  /** So that whoever asks for a rate finds a zero to begin with. */
  #begin(source: string): void {
    this.#connectionsActive.set({ source }, 0)
    this.#extractionsInProgress.set({ source }, 0)
    this.#rows.inc({ source }, 0)
    this.#connectionsRefused.inc({ source }, 0)
    this.#errors.inc({ source, class: 'connection' }, 0)
    for (const protocol of ['query', 'copy']) this.#queries.inc({ source, protocol }, 0)
    this.#meterOf(source)
  }

  #meterOf(source: string): RateMeter {
    const known = this.#meters.get(source)
    if (known !== undefined) return known
    const meter = createRateMeter(THROUGHPUT_WINDOW_S)
    this.#meters.set(source, meter)
    return meter
  }

  #note(source: string, event: ConnectionEvent): void {
    switch (event.kind) {
      case 'opened':
        this.#connectionsActive.inc({ source })
        this.#connectSeconds.observe({ source }, event.seconds)
        break
      case 'refused':
        this.#connectionsRefused.inc({ source })
        this.#errors.inc({ source, class: 'connection' })
        break
      case 'closed':
        this.#connectionsActive.dec({ source })
        break
      case 'statement': {
        const { protocol, seconds, outcome, sqlstate } = event
        this.#queries.inc({ source, protocol })
        this.#querySeconds.observe({ source, protocol }, seconds)
        if (outcome === 'failed') this.#errors.inc({ source, class: errorClass(sqlstate) })
        break
      }
    }
  }
}

function errorClass(sqlstate: string | null): string {
  if (sqlstate === null) return 'connection'
  const found = sqlstate.slice(0, 2)
  return SQLSTATE_CLASSES.has(found) ? found : 'other'
}
