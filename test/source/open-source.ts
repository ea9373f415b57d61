/** Sources for tests: the reader's worker is bundled from the sources as they are, as a bundled program would do it. */
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { build } from 'esbuild'
import { rows as rowsOf, type Value } from '../../src/batch/rows.js'
import type { CatalogStream } from '../../src/model/catalog.js'
import type { Limits } from '../../src/model/sync-spec.js'
import { DEFAULT_LIMITS } from '../../src/model/thresholds.js'
import { resolveConnection } from '../../src/postgres/resolve-connection.js'
import type {
  ReadColumn,
  RowWindow,
  Snapshot,
  SnapshotOptions,
  Source,
  Split,
  StreamRead,
  TypeOptions,
} from '../../src/source/contract.js'
import { createPostgresSource, type PostgresSourceOptions } from '../../src/source/postgres-source.js'
import { makeTemporaryFolder } from '../temporary-folder.js'

export const TYPE_OPTIONS: TypeOptions = {
  types: {},
  specialNumeric: 'error',
  specialTemporal: 'error',
  invalidUtf8: 'error',
}

let readerFile: Promise<URL> | null = null

export function bundleReader(): Promise<URL> {
  readerFile ??= (async () => {
    const outfile = join(makeTemporaryFolder('reader'), 'reader.mjs')
    await build({
      entryPoints: [join(import.meta.dirname, '../../src/source/reader-worker.ts')],
      outfile,
      bundle: true,
      platform: 'node',
      format: 'esm',
      target: 'node20',
      external: ['pg-native'],
      logLevel: 'silent',
      banner: {
        js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);",
      },
    })
    return pathToFileURL(outfile)
  })()
  return readerFile
}

export async function openSource(url: string, options: PostgresSourceOptions = {}): Promise<Source> {
  const settings = await resolveConnection({ url, env: {}, homeDir: '/nonexistent', userName: 'nobody' })
  return createPostgresSource(settings, { readerWorker: await bundleReader(), ...options })
}

export async function discover(
  source: Source,
  select: readonly string[] = [],
  exclude: readonly string[] = [],
): Promise<readonly CatalogStream[]> {
  return (await source.discover({ select, exclude })).streams
}

export async function discoverOne(source: Source, name: string): Promise<CatalogStream> {
  const [stream] = await discover(source, [name])
  if (stream === undefined) throw new Error(`${name} was not discovered`)
  return stream
}

export function withLimits(limits: Partial<Limits>): Limits {
  return { ...DEFAULT_LIMITS, ...limits }
}

export async function openSnapshot(
  source: Source,
  streams: readonly CatalogStream[],
  options: Partial<SnapshotOptions> = {},
): Promise<Snapshot> {
  return source.openSnapshot(streams, { limits: DEFAULT_LIMITS, readers: 0, ...options })
}

export async function planRead(
  source: Source,
  snapshot: Snapshot,
  stream: CatalogStream,
  options: Partial<StreamRead> & { readonly types?: Partial<TypeOptions> } = {},
): Promise<Split> {
  const { types, ...read } = options
  const columns: readonly ReadColumn[] = source.mapColumns(stream, { ...TYPE_OPTIONS, ...types })
  const [split] = await snapshot.plan({
    stream,
    columns,
    rows: { kind: 'full' },
    where: null,
    withXmin: false,
    limits: DEFAULT_LIMITS,
    ...read,
  })
  if (split === undefined) throw new Error('no split was planned')
  return split
}

export async function readRows(
  source: Source,
  snapshot: Snapshot,
  stream: CatalogStream,
  options: Partial<StreamRead> & { readonly types?: Partial<TypeOptions> } = {},
): Promise<Record<string, Value>[]> {
  const split = await planRead(source, snapshot, stream, options)
  const all: Record<string, Value>[] = []
  for await (const batch of snapshot.read(split)) all.push(...rowsOf(batch))
  return all
}

export function since(window: RowWindow): Pick<StreamRead, 'rows'> {
  return { rows: { kind: 'since', window } }
}

export function streamNamed(streams: readonly CatalogStream[], name: string): CatalogStream {
  const stream = streams.find((candidate) => candidate.name === name)
  if (stream === undefined) throw new Error(`${name} is not among ${streams.map((s) => s.name).join(', ')}`)
  return stream
}

/** What an error says of itself; the promise must reject. */
export async function failureOf(
  promise: Promise<unknown>,
): Promise<{ code: string; message: string; hint: string }> {
  try {
    await promise
  } catch (error) {
    const { code, message, hint } = error as { code: string; message: string; hint?: string }
    return { code, message, hint: hint ?? '' }
  }
  throw new Error('expected a failure')
}
