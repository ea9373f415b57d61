/** Which part of `src/` may import which: the table of docs/architecture.md, as data. */
import { builtinModules } from 'node:module'
import { posix } from 'node:path'
import type { ModuleImport } from './source-files.js'

/** `types`: only types of it, which leave no trace at run time. */
interface Allowed {
  readonly values: readonly string[]
  readonly types?: readonly string[]
}

/** Faces drive sources and destinations through their contracts, which are types; only `connectors` knows the real ones. */
const faces: Allowed = {
  values: ['model', 'config', 'pipeline', 'sync', 'connectors', 'reading', 'row-output'],
  types: ['batch', 'source', 'destination'],
}

/** The part is the folder below `src/`, or the file's name for a file at its root. */
export const directions: Readonly<Record<string, Allowed>> = {
  model: { values: [] },
  batch: { values: ['model'] },
  codec: { values: ['model', 'batch'] },
  transform: { values: ['model', 'batch'] },
  pipeline: { values: ['model', 'transform'] },
  postgres: { values: ['model'] },
  config: { values: ['model'], types: ['postgres'] },
  source: { values: ['model', 'batch', 'codec', 'postgres'] },
  destination: { values: ['model', 'batch', 'codec', 'postgres'] },
  sync: { values: ['model', 'batch', 'transform', 'pipeline'], types: ['source', 'destination'] },
  connectors: {
    values: ['model', 'batch', 'codec', 'transform', 'config', 'postgres', 'source', 'destination', 'sync'],
  },
  // The one exception between faces: `trunkline serve` starts the service.
  cli: { ...faces, values: [...faces.values, 'service'] },
  service: { ...faces, values: [...faces.values, 'batch'] },
  protocol: faces,
  // What a library offers for batches is part of it.
  index: { ...faces, values: [...faces.values, 'batch'] },
  testing: { values: ['model', 'batch'], types: ['destination'] },
  arrow: { values: ['model', 'batch', 'codec'] },
  // Splits are read side by side as a sync reads them.
  reading: { values: ['model', 'batch', 'sync'], types: ['source'] },
  'row-output': { values: ['model', 'batch', 'codec'] },
}

/** The one part that imports a third-party package, and whether only lazily (`import()`), because loading it is slow. */
export const packages: Readonly<Record<string, { readonly part: string; readonly lazy?: true }>> = {
  '@aws-sdk/client-s3': { part: 'destination/stores', lazy: true },
  '@duckdb/node-api': { part: 'destination/duckdb', lazy: true },
  '@fastify/swagger': { part: 'service', lazy: true },
  '@hpcc-js/wasm-zstd': { part: 'codec/compression', lazy: true },
  'apache-arrow': { part: 'arrow' },
  cockatiel: { part: 'sync', lazy: true },
  commander: { part: 'cli' },
  fastify: { part: 'service', lazy: true },
  'fastify-type-provider-zod': { part: 'service', lazy: true },
  'libpg-query': { part: 'source', lazy: true },
  pg: { part: 'postgres' },
  pino: { part: 'service', lazy: true },
  'prom-client': { part: 'service', lazy: true },
  yaml: { part: 'config' },
  ssh2: { part: 'postgres/ssh', lazy: true },
  zod: { part: '' },
}

const builtins = new Set(builtinModules)

/** What is wrong with an import, in a sentence; null if nothing is. `path` is below `src/`. */
export function judgeImport(path: string, { kind, specifier }: ModuleImport): string | null {
  if (specifier.startsWith('node:')) return null
  if (specifier.startsWith('.')) return judgeOwn(path, kind, specifier)
  if (builtins.has(specifier)) return `imports ${specifier} without node: in front`
  return judgePackage(path, kind, specifier)
}

function judgeOwn(path: string, kind: ModuleImport['kind'], specifier: string): string | null {
  const target = posix.join(posix.dirname(path), specifier)
  if (target.startsWith('../')) return `imports ${specifier}, which is outside src`
  const from = partOf(path)
  const to = partOf(target)
  if (from === to) return null
  const allowed = directions[from]
  if (allowed === undefined) return `belongs to ${from}, which the table of directions does not know`
  if (allowed.values.includes(to)) return null
  if (kind === 'type' && allowed.types?.includes(to)) return null
  return `imports ${kind === 'type' ? 'a type of ' : ''}${to}; ${from} may import ${describe(allowed)}`
}

function judgePackage(path: string, kind: ModuleImport['kind'], specifier: string): string | null {
  const name = specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/')
  const rule = packages[name]
  if (rule === undefined) return `imports ${name}, which no part is entered for`
  const inside = rule.part === '' || path.startsWith(`${rule.part}/`) || path === `${rule.part}.ts`
  if (!inside) return `imports ${name}, which belongs to ${rule.part}`
  if (rule.lazy && kind === 'static')
    return `imports ${name} at once; it is slow to load, so import() it where it is used`
  return null
}

function partOf(path: string): string {
  const [first = '', ...rest] = path.split('/')
  return rest.length === 0 ? first.replace(/\.[jt]s$/, '') : first
}

function describe(allowed: Allowed): string {
  const types = (allowed.types ?? []).map((part) => `types of ${part}`)
  return [...allowed.values, ...types].join(', ') || 'nothing'
}
