/** The HTTP side: who is let in, what is limited, how errors are told, and the OpenAPI document. */
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Logger as PinoLogger } from 'pino'
import type { ServiceSettings } from '../config/service-settings.js'
import { TrunklineError, toErrorData } from '../model/error.js'
import { SERVICE_BODY_BYTES } from '../model/thresholds.js'
import { bearerCheck, isLoopbackAddress, isLoopbackHost } from './authorize.js'
import type { Metrics } from './metrics.js'
import type { ServicePackages } from './packages.js'
import { type DescribeError, ServiceError, toErrorAnswer } from './service-error.js'

export interface HttpServerOptions {
  readonly packages: ServicePackages
  readonly settings: ServiceSettings
  /** Null: everybody is let in. */
  readonly token: string | null
  readonly version: string
  readonly metrics: Metrics
  readonly log: PinoLogger
  readonly isStopping: () => boolean
  readonly describeError: DescribeError
}

/** A client that takes longer than this to send its request is left. */
const REQUEST_TIMEOUT_MS = 30_000
const ALWAYS_OPEN: ReadonlySet<string> = new Set(['/health/live', '/health/ready'])
/** Answered while the service stops: whoever looks after it asks these. */
const ANSWERED_TO_THE_END = /^\/(health|metrics)\b/

/** Routes are added to it before it is listened on. */
export async function createHttpServer(options: HttpServerOptions): Promise<FastifyInstance> {
  const { packages, log, version, settings } = options
  const check = options.token === null ? null : bearerCheck(options.token)
  const app = packages.fastify({
    loggerInstance: log,
    logController: new packages.LogController({ disableRequestLogging: true }),
    bodyLimit: SERVICE_BODY_BYTES,
    requestTimeout: REQUEST_TIMEOUT_MS,
    forceCloseConnections: 'idle',
    // What is not JSON is not read.
    onProtoPoisoning: 'error',
    onConstructorPoisoning: 'error',
  })
  app.removeContentTypeParser('text/plain')
  app.setValidatorCompiler(packages.provider.validatorCompiler)
  app.setSerializerCompiler(packages.provider.serializerCompiler)
  await app.register(packages.swagger, {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'Trunkline', description: 'Rows and syncs of PostgreSQL databases.', version },
      components: { securitySchemes: { token: { type: 'http', scheme: 'bearer' } } },
      ...(options.token === null ? {} : { security: [{ token: [] }] }),
    },
    transform: packages.provider.jsonSchemaTransform,
    transformObject: packages.provider.jsonSchemaTransformObject,
  })
  app.addHook('onRequest', async (request, reply) => {
    const startedAtMs = performance.now()
    reply.raw.once('close', () => {
      note(request, reply.raw.statusCode, reply.raw.writableFinished, performance.now() - startedAtMs)
    })
    reply.header('x-content-type-options', 'nosniff')
    admit(request)
  })
  app.setErrorHandler((error, request, reply) => {
    const known = toKnownError(error)
    const answer = toErrorAnswer(known, options.describeError)
    if (answer.status >= 500) {
      const { code, message, stack } = toErrorData(known)
      log.error({ code, route: routeOf(request), ...(code === 'INTERNAL' ? { stack } : {}) }, message)
    }
    return reply.code(answer.status).headers(answer.headers).send(answer.body)
  })
  app.setNotFoundHandler(() => {
    throw new ServiceError(
      'NOT_FOUND',
      'There is nothing at this path.',
      'GET /openapi.json says what there is.',
    )
  })
  app.get('/openapi.json', { schema: { hide: true } }, () => app.swagger())
  return app

  function note(request: FastifyRequest, status: number, finished: boolean, ms: number): void {
    const route = routeOf(request)
    options.metrics.request(request.method, route, status)
    log.debug({ method: request.method, route, status, finished, ms: Math.round(ms) }, 'a request has ended')
  }

  function admit(request: FastifyRequest): void {
    const route = routeOf(request)
    if (isLoopbackAddress(settings.host) && !isLoopbackHost(request.headers.host)) {
      throw new ServiceError(
        'HOST_REFUSED',
        'The request was meant for another host.',
        'Ask by localhost or 127.0.0.1, or have the service listen on the address that the name stands for.',
      )
    }
    if (!mayEnter(request, route)) {
      throw new ServiceError(
        'UNAUTHORIZED',
        'The request does not show the token.',
        'Send it as `Authorization: Bearer TOKEN`.',
      )
    }
    if (options.isStopping() && !ANSWERED_TO_THE_END.test(route)) {
      throw new ServiceError('STOPPING', 'The service stops.', 'Try again when it is back.')
    }
  }

  function mayEnter(request: FastifyRequest, route: string): boolean {
    if (ALWAYS_OPEN.has(route) || shows(request.headers.authorization)) return true
    return (
      (route === '/health' && settings.open.includes('health')) ||
      (route === '/metrics' && settings.open.includes('metrics'))
    )
  }

  function shows(header: string | undefined): boolean {
    return check === null || check(header)
  }
}

/** The route's pattern, never what was asked for: it is a label, and anybody can ask for anything. */
function routeOf(request: FastifyRequest): string {
  return request.routeOptions.url ?? 'none'
}

interface FastifyFailure {
  readonly code?: unknown
  readonly statusCode?: unknown
  readonly message?: unknown
  readonly validation?: readonly { readonly instancePath?: string; readonly message?: string }[]
}

/** What Fastify refuses, in our form. */
function toKnownError(error: unknown): unknown {
  if (error instanceof ServiceError || error instanceof TrunklineError) return error
  const { statusCode, validation, message } = error as FastifyFailure
  if (validation !== undefined) {
    const places = validation.map(
      ({ instancePath = '', message: why = '' }) =>
        `${instancePath.slice(1).replaceAll('/', '.') || 'body'}: ${why}`,
    )
    return new ServiceError(
      'REQUEST_INVALID',
      places.join('; '),
      'GET /openapi.json says what there is to ask.',
    )
  }
  if (typeof statusCode === 'number' && statusCode >= 400 && statusCode < 500) {
    return new ServiceError(
      'REQUEST_INVALID',
      typeof message === 'string' ? message : 'The request cannot be understood.',
      'Send a small JSON document as application/json.',
      statusCode,
    )
  }
  return error
}
