/** Every route but `/extract`: health, metrics, catalog, syncs and their runs. */
import type { FastifyInstance, FastifyReply } from 'fastify'
import { TrunklineError } from '../model/error.js'
import { describeCatalog } from './describe-catalog.js'
import { lastEventId, sendEvents } from './event-stream.js'
import type { Metrics } from './metrics.js'
import {
  catalogAnswer,
  catalogQuery,
  errorBody,
  healthAnswer,
  runAnswer,
  runBody,
  runParams,
  runsAnswer,
  sourceQuery,
  syncsAnswer,
} from './request-schemas.js'
import type { Runs } from './runs.js'
import { cut } from './send-rows.js'
import type { SourceWatch } from './source-watch.js'
import type { Sources } from './sources.js'

export interface RoutesOptions {
  readonly sources: Sources
  readonly watch: SourceWatch
  readonly runs: Runs
  readonly metrics: Metrics
  readonly clientTimeoutMs: number
  readonly isStopping: () => boolean
  /** Aborts when the service stops: whoever follows something is let go. */
  readonly stopped: AbortSignal
}

export function addRoutes(app: FastifyInstance, options: RoutesOptions): void {
  addHealthRoutes(app, options)
  addCatalogRoute(app, options)
  addRunRoutes(app, options)
}

function addHealthRoutes(app: FastifyInstance, { watch, metrics, isStopping, sources }: RoutesOptions): void {
  app.get('/health/live', { schema: { summary: 'Whether the process works at all' } }, () => ({
    status: 'alive',
  }))

  app.get('/health/ready', { schema: { summary: 'Whether requests can be answered' } }, async (_, reply) => {
    if (isStopping()) return reply.code(503).send({ status: 'stopping' })
    const all = [...(await watch.all()).values()]
    const ready = all.length === 0 || all.some(({ status }) => status === 'healthy')
    return reply.code(ready ? 200 : 503).send({ status: ready ? 'ready' : 'not_ready' })
  })

  app.get<{ Querystring: { source?: string } }>(
    '/health',
    {
      schema: {
        summary: 'Health of the database',
        description:
          'Of the source named, or of the only one; where there are several, a status for all with each under `sources`. 503 where something is unhealthy.',
        querystring: sourceQuery,
        response: { 200: healthAnswer, 503: healthAnswer, 404: errorBody },
      },
    },
    async (request, reply) => {
      const { source } = request.query
      if (source !== undefined || sources.names.length === 1) {
        const health = await watch.health(source)
        return reply.code(health.status === 'healthy' ? 200 : 503).send(health)
      }
      const all = await watch.all()
      const healthy = [...all.values()].every(({ status }) => status === 'healthy')
      return reply.code(healthy ? 200 : 503).send({
        status: healthy ? 'healthy' : 'unhealthy',
        last_check:
          [...all.values()]
            .map((health) => health.last_check)
            .sort()
            .at(-1) ?? new Date().toISOString(),
        sources: Object.fromEntries(all),
      })
    },
  )

  app.get(
    '/metrics',
    { schema: { summary: 'Metrics in the text format of Prometheus' } },
    async (_, reply) => {
      await watch.refresh()
      return reply.type(metrics.contentType).send(await metrics.text())
    },
  )
}

function addCatalogRoute(app: FastifyInstance, { sources }: RoutesOptions): void {
  app.get<{ Querystring: { source?: string; select?: string | string[] } }>(
    '/catalog',
    {
      schema: {
        summary: 'Tables, views and their relationships',
        querystring: catalogQuery,
        response: { 200: catalogAnswer, 404: errorBody, 503: errorBody },
      },
    },
    async (request, reply) => {
      const { source: name, select = '*' } = request.query
      const source = sources.get(name)
      const { gone } = clientOf(reply)
      await source.assertOnlyReads(gone)
      const opened = await source.open()
      const catalog = await opened.discover(
        { select: [select].flat(), exclude: [] },
        { queries: [...source.queries.values()], allowPrivilegedRole: true, signal: gone },
      )
      return describeCatalog(source.name, catalog)
    },
  )
}

function addRunRoutes(app: FastifyInstance, { runs, clientTimeoutMs, stopped }: RoutesOptions): void {
  app.get(
    '/syncs',
    { schema: { summary: 'Syncs of the configuration', response: { 200: syncsAnswer } } },
    () => ({ syncs: runs.syncs }),
  )
  app.get('/runs', { schema: { summary: 'Runs, the newest first', response: { 200: runsAnswer } } }, () => ({
    runs: runs.list(),
  }))
  app.post<{ Body: { sync: string } }>(
    '/runs',
    {
      schema: {
        summary: 'Start a run of a configured sync',
        body: runBody,
        response: { 202: runAnswer, 404: errorBody, 409: errorBody, 429: errorBody },
      },
    },
    (request, reply) => {
      const run = runs.start(request.body.sync)
      return reply.code(202).header('location', `/runs/${run.id}`).send(run.describe())
    },
  )
  app.get<{ Params: { id: string } }>(
    '/runs/:id',
    {
      schema: {
        summary: 'A run and its report',
        params: runParams,
        response: { 200: runAnswer, 404: errorBody },
      },
    },
    (request) => runs.get(request.params.id).describe(),
  )
  app.post<{ Params: { id: string } }>(
    '/runs/:id/cancel',
    {
      schema: {
        summary: 'End a run in order: what is committed stays, the next run goes on from there',
        params: runParams,
        response: { 202: runAnswer, 404: errorBody },
      },
    },
    (request, reply) => {
      const run = runs.get(request.params.id)
      run.abort.abort(new TrunklineError('ABORTED', 'The run was cancelled over HTTP.'))
      return reply.code(202).send(run.describe())
    },
  )
  app.get<{ Params: { id: string } }>(
    '/runs/:id/events',
    {
      schema: {
        summary: 'What happens in a run, as server-sent events',
        description:
          'Each event is one of those of `trunkline sync --json` (docs/reference/trunkline-events.schema.json). Begins after Last-Event-ID, and ends with the run.',
        params: runParams,
        response: { 404: errorBody },
      },
    },
    async (request, reply) => {
      const run = runs.get(request.params.id)
      const { gone } = clientOf(reply)
      reply.hijack()
      try {
        await sendEvents(reply.raw, run.events, {
          afterId: lastEventId(request.headers['last-event-id']),
          clientTimeoutMs,
          signal: AbortSignal.any([gone, stopped]),
        })
        reply.raw.end()
      } catch {
        // The client is gone, takes nothing, or is let go: there is nobody to tell.
        await cut(reply.raw, null)
      }
      return reply
    },
  )
}

function clientOf({ raw }: FastifyReply): { readonly gone: AbortSignal } {
  const gone = new AbortController()
  raw.once('close', () => {
    gone.abort(new TrunklineError('ABORTED', 'The client has left.'))
  })
  return { gone: gone.signal }
}
