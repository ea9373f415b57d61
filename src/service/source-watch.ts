/** Health of the sources, and statistics of their schemas, looked at when somebody asks and not more often than now and then. */
import type { Logger } from '../model/log.js'
import { toErrorData } from '../model/error.js'
import {
  SERVICE_HEALTH_AGE_MS,
  SERVICE_HEALTH_TIMEOUT_MS,
  SERVICE_STATISTICS_AGE_MS,
} from '../model/thresholds.js'
import type { SourceHealth } from '../source/contract.js'
import type { Metrics } from './metrics.js'
import { keptFor } from './once-at-a-time.js'
import type { ServiceSource, Sources } from './sources.js'

export class SourceWatch {
  readonly #sources: Sources
  readonly #metrics: Metrics
  readonly #logger: Logger
  readonly #health = new Map<string, () => Promise<SourceHealth>>()
  readonly #statistics = new Map<string, () => Promise<void>>()

  constructor(sources: Sources, metrics: Metrics, logger: Logger) {
    this.#sources = sources
    this.#metrics = metrics
    this.#logger = logger
    for (const source of sources.all()) {
      this.#health.set(
        source.name,
        keptFor(SERVICE_HEALTH_AGE_MS, () => this.#lookAt(source)),
      )
      this.#statistics.set(
        source.name,
        keptFor(SERVICE_STATISTICS_AGE_MS, () => this.#readStatistics(source)),
      )
    }
  }

  /** Never rejects for a source that is away: that is an answer. @throws ServiceError for one that there is not */
  async health(name: string | undefined): Promise<SourceHealth> {
    const source = this.#sources.get(name)
    const ask = this.#health.get(source.name)
    if (ask === undefined) throw new Error(`no watch for ${source.name}`)
    return ask()
  }

  async all(): Promise<ReadonlyMap<string, SourceHealth>> {
    const names = this.#sources.names
    const answers = await Promise.all(names.map((name) => this.health(name)))
    return new Map(names.flatMap((name, index) => (answers[index] ? [[name, answers[index]] as const] : [])))
  }

  /** For the metrics: health as it is now; statistics come with a later answer, nobody waits for them. */
  async refresh(): Promise<void> {
    for (const [name, read] of this.#statistics) {
      read().catch((error: unknown) => {
        const { code, message } = toErrorData(error)
        this.#logger.debug(
          { source: name, code },
          `The statistics of the schemas could not be read: ${message}`,
        )
      })
    }
    await this.all()
  }

  async #lookAt(source: ServiceSource): Promise<SourceHealth> {
    const opened = await source.open()
    const [schema] = source.schemas
    const health = await opened.health({
      timeoutMs: SERVICE_HEALTH_TIMEOUT_MS,
      ...(schema === undefined ? {} : { schema }),
    })
    this.#metrics.health(source.name, health)
    return health
  }

  async #readStatistics(source: ServiceSource): Promise<void> {
    const opened = await source.open()
    const { statistics } = await opened.check({
      statistics: true,
      signal: AbortSignal.timeout(SERVICE_HEALTH_TIMEOUT_MS),
    })
    if (statistics !== undefined) this.#metrics.schemas(source.name, statistics)
  }
}
