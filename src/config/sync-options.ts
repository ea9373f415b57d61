/** What the faces hand over: options of a sync, complete with defaults, as one SyncSpec. */
import type { AdaptiveOptions, AdaptiveSettings } from '../model/adaptive-options.js'
import type { Limits, Selection, StreamOptions, SyncSpec, Wording } from '../model/sync-spec.js'
import { DEFAULT_ADAPTIVE, DEFAULT_LIMITS } from '../model/thresholds.js'

/** A sync as the library takes it and as a file or flags come down to; what is absent has a default. */
export interface SyncOptions {
  /** Identity of the sync at the destination; default: the database's name. */
  readonly name?: string
  /** Patterns of streams; default: the keys of `streams`, else every schema the role may use. */
  readonly select?: readonly string[]
  readonly exclude?: readonly string[]
  readonly defaults?: StreamOptions
  /** Options by stream or pattern; the most specific pattern wins, key by key. */
  readonly streams?: Readonly<Record<string, StreamOptions | null>>
  readonly limits?: Partial<Limits>
  readonly targetSchema?: string
  readonly nameTemplate?: string
  readonly adopt?: boolean
  readonly allowMassDelete?: boolean
  readonly allowPrivilegedRole?: boolean
  readonly acceptNewSource?: boolean
  readonly allowUnverifiedSnapshot?: boolean
  readonly jobs?: number
  readonly verify?: boolean
  readonly adaptive?: AdaptiveSettings
  readonly rowFilter?: Readonly<Record<string, string>>
  readonly metadataTables?: boolean
  readonly wording?: Wording
}

/** As a pattern. */
const EVERYTHING = '*'

/** A sync without a name takes the one given. */
export function toSyncSpec(options: SyncOptions, defaultName: string): SyncSpec {
  const streams = withoutNull(options.streams)
  return {
    name: options.name ?? defaultName,
    selection: toSelection(options, streams),
    defaults: options.defaults ?? {},
    streams,
    limits: { ...DEFAULT_LIMITS, ...options.limits },
    targetSchema: options.targetSchema ?? null,
    nameTemplate: options.nameTemplate ?? null,
    adopt: options.adopt ?? false,
    allowMassDelete: options.allowMassDelete ?? false,
    allowPrivilegedRole: options.allowPrivilegedRole ?? false,
    acceptNewSource: options.acceptNewSource ?? false,
    ...(options.allowUnverifiedSnapshot === true ? { allowUnverifiedSnapshot: true } : {}),
    jobs: options.jobs ?? null,
    verify: options.verify ?? false,
    adaptive: toAdaptiveOptions(options.adaptive ?? {}),
    rowFilter: options.rowFilter ?? {},
    metadataTables: options.metadataTables ?? false,
    wording: options.wording ?? 'native',
  }
}

function toAdaptiveOptions(settings: AdaptiveSettings): AdaptiveOptions {
  const { small, medium, large } = DEFAULT_ADAPTIVE
  return {
    ...DEFAULT_ADAPTIVE,
    ...settings,
    small: { ...small, ...settings.small },
    medium: { ...medium, ...settings.medium },
    large: { ...large, ...settings.large },
  }
}

/**
 * Options that beat those of every stream, whatever its pattern: flags. A key with a pattern (`--where 'public.t=…'`)
 * is laid over that pattern alone.
 */
export function overlayStreamOptions(
  options: SyncOptions,
  all: StreamOptions,
  byPattern: Readonly<Record<string, StreamOptions>>,
): SyncOptions {
  const streams: Record<string, StreamOptions> = {}
  for (const [pattern, stream] of Object.entries(options.streams ?? {}))
    streams[pattern] = { ...stream, ...all }
  for (const [pattern, stream] of Object.entries(byPattern)) {
    streams[pattern] = { ...streams[pattern], ...all, ...stream }
  }
  return {
    ...options,
    // Chosen before: a pattern that only a flag names narrows nothing.
    ...toSelection(options, withoutNull(options.streams)),
    defaults: { ...options.defaults, ...all },
    streams,
  }
}

/** What is listed is selected; a list of nothing but exceptions is about everything, one of nothing but queries about them. */
function toSelection(options: SyncOptions, streams: Readonly<Record<string, StreamOptions>>): Selection {
  const exclude = options.exclude ?? []
  if (options.select !== undefined) return { select: options.select, exclude }
  const entries = Object.entries(streams)
  const listed = entries.filter(([, stream]) => stream.sql === undefined)
  const select = listed.filter(([, stream]) => stream.disabled !== true).map(([pattern]) => pattern)
  const onlyQueries = entries.length > 0 && listed.length === 0
  return { select, exclude: onlyQueries ? [...exclude, EVERYTHING] : exclude }
}

function withoutNull(streams: SyncOptions['streams']): Readonly<Record<string, StreamOptions>> {
  return Object.fromEntries(Object.entries(streams ?? {}).map(([pattern, stream]) => [pattern, stream ?? {}]))
}
