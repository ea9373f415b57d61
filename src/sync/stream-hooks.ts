/**
 * Hooks of a user's own, from the modules that options name: asked which streams to read, and made part of their options.
 *
 * They run on the engine's thread, not in the readers: there every row passes one place, whoever read it and however it was read
 * again; functions that a program hands in cannot be sent to another thread; and the keys of masks stay where they are.
 */
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { basename, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { CatalogStream } from '../model/catalog.js'
import { TrunklineError } from '../model/error.js'
import type { ShouldReadStream, TransformRow } from '../model/hooks.js'
import type { StreamOptions, SyncSpec } from '../model/sync-spec.js'
import { resolveOptions, type ResolvedStream, type ResolvedStreams } from './resolve-options.js'

interface LoadedHooks {
  readonly transformRow: TransformRow | undefined
  readonly shouldReadStream: ShouldReadStream | undefined
  readonly version: string
}

/**
 * Options by stream, with row hooks in `transformRow`, of the streams that hooks let through.
 * @throws HOOK_FAILED where a module cannot be loaded, or a hook fails on a stream
 */
export async function resolveWithHooks(
  streams: readonly CatalogStream[],
  spec: Pick<SyncSpec, 'defaults' | 'streams' | 'rowFilter'>,
): Promise<ResolvedStreams> {
  const resolved = resolveOptions(streams, spec)
  const loaded = new Map<string, Promise<LoadedHooks>>()
  const load = (path: string): Promise<LoadedHooks> => {
    const known = loaded.get(path) ?? loadHooks(path)
    loaded.set(path, known)
    return known
  }
  const read: ResolvedStream[] = []
  for (const entry of resolved.streams) {
    const { stream } = entry
    const options = await withModule(entry.options, load)
    if (options.shouldReadStream === undefined || isRead(stream, options.shouldReadStream)) {
      read.push({ ...entry, options })
    }
  }
  return { ...resolved, streams: read }
}

/** A function that is stated beside a module wins over the module's. */
async function withModule(
  options: StreamOptions,
  load: (path: string) => Promise<LoadedHooks>,
): Promise<StreamOptions> {
  if (options.hooks === undefined) return options
  const { module } = typeof options.hooks === 'string' ? { module: options.hooks } : options.hooks
  const { transformRow, shouldReadStream, version } = await load(resolve(module))
  return {
    ...(transformRow === undefined || options.transformRow !== undefined
      ? {}
      : { transformRow, hookVersion: version }),
    ...(shouldReadStream === undefined ? {} : { shouldReadStream }),
    ...options,
  }
}

function isRead(stream: CatalogStream, shouldReadStream: ShouldReadStream): boolean {
  let given: unknown
  try {
    given = shouldReadStream(stream)
  } catch (cause) {
    throw new TrunklineError('HOOK_FAILED', `shouldReadStream threw for ${stream.name}: ${describe(cause)}`, {
      hint: 'Correct the hook: it is given a stream of the catalog and returns true or false.',
      context: { stream: stream.name },
      cause,
    })
  }
  if (typeof given === 'boolean') return given
  throw new TrunklineError(
    'HOOK_FAILED',
    `shouldReadStream gave neither true nor false for ${stream.name}.`,
    {
      hint: 'Return a boolean, not a promise.',
      context: { stream: stream.name },
    },
  )
}

async function loadHooks(path: string): Promise<LoadedHooks> {
  const name = basename(path)
  const fail = (what: string, cause?: unknown): TrunklineError =>
    new TrunklineError('HOOK_FAILED', `The hooks module ${name} ${what}.`, {
      hint: 'A hooks module is JavaScript that exports `transformRow`, `shouldReadStream` or both. Its path is relative to the configuration file.',
      context: { path },
      cause,
    })
  let module: Readonly<Record<string, unknown>>
  let digest: string
  try {
    digest = createHash('sha256')
      .update(await readFile(path))
      .digest('hex')
    // What was imported once is not read again under the same address.
    module = (await import(`${pathToFileURL(path).href}?${digest}`)) as Readonly<Record<string, unknown>>
  } catch (cause) {
    throw fail(`cannot be loaded: ${describe(cause)}`, cause)
  }
  // A CommonJS module has its exports here.
  const exported = { ...(module['default'] as object | undefined), ...module }
  const { transformRow, shouldReadStream, version } = exported as Readonly<Record<string, unknown>>
  for (const [key, value] of Object.entries({ transformRow, shouldReadStream })) {
    if (value !== undefined && typeof value !== 'function') throw fail(`exports ${key}, which is no function`)
  }
  if (transformRow === undefined && shouldReadStream === undefined) throw fail('exports no hook')
  return {
    transformRow: transformRow as TransformRow | undefined,
    shouldReadStream: shouldReadStream as ShouldReadStream | undefined,
    version: typeof version === 'string' || typeof version === 'number' ? String(version) : digest,
  }
}

/** Nothing of rows is known here yet. */
function describe(cause: unknown): string {
  return cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause)
}
