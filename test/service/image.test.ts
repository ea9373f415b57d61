/** What can be said of the image without building it: its steps name what is there, and the service it starts is the right one. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'
import { expect, test } from 'vitest'
import { SERVICE_PORT } from '../../src/model/thresholds.js'

const root = join(import.meta.dirname, '../..')
const text = readFileSync(join(root, 'Dockerfile'), 'utf8')
const steps = text
  .replaceAll(/\\\n\s*/g, ' ')
  .split('\n')
  .filter((line) => /^[A-Z]+ /.test(line))
const last = steps.slice(steps.findLastIndex((step) => step.startsWith('FROM ')))

test('the container image runs the service on 8080, not as root, with a health check', () => {
  expect(last).toContain('USER node')
  expect(last).toContain(`EXPOSE ${SERVICE_PORT}`)
  expect(last.at(-2)).toBe('ENTRYPOINT ["trunkline"]')
  expect(last.at(-1)).toBe('CMD ["serve", "--host", "0.0.0.0", "--open", "health,metrics"]')
  expect(last.indexOf('USER node')).toBeGreaterThan(last.findLastIndex((step) => step.startsWith('RUN ')))
  const check = last.find((step) => step.startsWith('HEALTHCHECK ')) ?? ''
  expect(check).toContain('/health/live')
  expect(check).not.toMatch(/curl|wget/)
})

test('what the image copies is there, and let through by .dockerignore', () => {
  const ignore = readFileSync(join(root, '.dockerignore'), 'utf8').split('\n')
  const copied = steps
    .filter((step) => step.startsWith('COPY ') && !step.includes('--from='))
    .flatMap((step) => step.split(/\s+/).slice(1, -1))
  expect(copied.length).toBeGreaterThan(5)
  expect(copied.filter((path) => !existsSync(join(root, path)))).toEqual([])
  expect(copied.filter((path) => !ignore.includes(`!${path}`))).toEqual([])
  expect(ignore[0]).toBe('*')
})

test('the image needs a version of Node that the package takes, and installs the packages of the service', () => {
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    engines: { node: string }
    devDependencies: Record<string, string>
    peerDependencies: Record<string, string>
  }
  const majors = steps.flatMap((step) => /^FROM node:(\d+)/.exec(step)?.[1] ?? [])
  expect(new Set(majors).size).toBe(1)
  expect(Number(majors[0])).toBeGreaterThanOrEqual(Number(/\d+/.exec(manifest.engines.node)?.[0]))
  // They are taken from there, with their versions.
  const peers = Object.keys(manifest.peerDependencies)
  expect(peers.filter((name) => manifest.devDependencies[name] === undefined)).toEqual([])
})

test('compose starts a server and the service with the variables that it takes', () => {
  const compose = parse(readFileSync(join(root, 'compose.yaml'), 'utf8')) as {
    services: Record<
      string,
      { environment: Record<string, string>; ports?: string[]; build?: string; image?: string }
    >
  }
  const { postgres, trunkline } = compose.services
  expect(trunkline?.build).toBe('.')
  expect(trunkline?.ports).toEqual([`127.0.0.1:${SERVICE_PORT}:${SERVICE_PORT}`])
  expect(trunkline?.environment).toMatchObject({
    POSTGRES_HOST: 'postgres',
    POSTGRES_DATABASE: postgres?.environment['POSTGRES_DB'],
    POSTGRES_USERNAME: postgres?.environment['POSTGRES_USER'],
    POSTGRES_PASSWORD: postgres?.environment['POSTGRES_PASSWORD'],
  })
  expect(Number(/^postgres:(\d+)$/.exec(postgres?.image ?? '')?.[1])).toBeGreaterThanOrEqual(12)
})
