/** The packages that only the service needs: optional peers, loaded when it starts. */
import type { fastifySwagger } from '@fastify/swagger'
import type { FastifyInstance, FastifyServerOptions, LogController } from 'fastify'
import type { pino as Pino } from 'pino'
import { TrunklineError } from '../model/error.js'

export interface ServicePackages {
  readonly fastify: (options: FastifyServerOptions) => FastifyInstance
  readonly LogController: typeof LogController
  readonly swagger: typeof fastifySwagger
  readonly provider: typeof import('fastify-type-provider-zod')
  readonly prometheus: typeof import('prom-client')
  readonly pino: typeof Pino
}

const NAMES = ['fastify', '@fastify/swagger', 'fastify-type-provider-zod', 'prom-client', 'pino'] as const

/** @throws MODULE_MISSING with the command that installs them */
export async function loadServicePackages(): Promise<ServicePackages> {
  try {
    const [fastify, swagger, provider, prometheus, pino] = await Promise.all([
      import('fastify'),
      import('@fastify/swagger'),
      import('fastify-type-provider-zod'),
      import('prom-client'),
      import('pino'),
    ])
    return {
      fastify: fastify.fastify as unknown as ServicePackages['fastify'],
      LogController: fastify.LogController,
      swagger: swagger.fastifySwagger,
      provider,
      // A CommonJS module, all of which stands in its default export.
      prometheus: prometheus.default,
      pino: pino.default,
    }
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw cause
    throw new TrunklineError('MODULE_MISSING', 'The service needs packages that are not installed.', {
      hint: `npm install ${NAMES.join(' ')}`,
      cause,
    })
  }
}
