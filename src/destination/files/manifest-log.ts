/** The chain of manifests of a store: what is in force, and the one way to change it. */
import { setTimeout } from 'node:timers/promises'
import { TrunklineError } from '../../model/error.js'
import type { Store } from '../stores/store.js'
import { otherFiles } from './refusals.js'
import type { Ledger, LedgerChange, Manifest, StreamEntry } from './manifest.js'
import {
  EMPTY_LEDGER,
  advanceLedger,
  MANIFEST_FOLDER,
  assembleLedger,
  formatManifest,
  manifestPath,
  nextManifest,
  parseManifest,
  seqOfPath,
  streamKey,
} from './manifest.js'

/** Each time that somebody else made the next manifest, they got on: so many in a row is a defect. */
const MAX_TRIES = 100
const LONGEST_PAUSE_MS = 50
/** Manifests are taken away while they are read only by those who fell far behind. */
const MAX_READS = 5
/** Manifests stay so long after they were replaced: whoever reads the files that they name may still be at it. */
export const KEPT_MS = 24 * 60 * 60 * 1000
/** Requests to the store that are on their way at once. */
const READ_AT_ONCE = 16

export class ManifestLog {
  readonly #store: Store
  #ledger: Ledger = EMPTY_LEDGER
  /** Whether {@link #ledger} was the newest when it was looked for, or made; otherwise it has to be looked for. */
  #isKnown = false
  /** One after another. */
  #queue: Promise<unknown> = Promise.resolve()

  constructor(store: Store) {
    this.#store = store
  }

  /** As of the last {@link refresh} or {@link append}. */
  get ledger(): Ledger {
    return this.#ledger
  }

  /** @throws STATE_TOO_NEW, STATE_MALFORMED */
  refresh(): Promise<Ledger> {
    return this.#alone(() => this.#refresh())
  }

  async #refresh(): Promise<Ledger> {
    for (let attempt = 1; ; attempt++) {
      const read = await this.#readNewest()
      if (read !== null) {
        this.#ledger = read
        this.#isKnown = true
        return read
      }
      if (attempt === MAX_READS) {
        throw new TrunklineError('STATE_MALFORMED', `${this.#store.description}: a manifest is gone.`, {
          hint: 'Put the files below _trunkline/manifest back from a copy.',
          context: { path: this.#store.description },
        })
      }
    }
  }

  /**
   * Makes the next manifest. When somebody else did, the state is read again and `change` asked again, which throws where it cannot
   * be made any more. Durable when it returns.
   */
  append(files: string, change: (ledger: Ledger) => LedgerChange): Promise<void> {
    return this.#alone(() => this.#append(files, change))
  }

  #alone<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#queue.then(work)
    this.#queue = result.catch(() => undefined)
    return result
  }

  /**
   * Removes manifests that were replaced more than a day ago, by the clock of the store: the newest one tells the time, near enough,
   * so that no clock that is off here removes anything too early.
   * @returns their paths
   */
  async prune(options: { readonly dryRun?: boolean } = {}): Promise<readonly string[]> {
    const made = await this.#listAll()
    const nowMs = made.at(-1)?.madeAtMs ?? 0
    const first = inForceAt(made, nowMs - KEPT_MS)
    const kept = made[first]
    const oldest = first === 0 || kept === undefined ? null : await this.#read(kept.path)
    if (oldest === null) return []
    // Whatever a later one lies over is that one, or below it, too.
    const needed = new Set([...oldest.over, ...this.#ledger.layers.map(({ seq }) => seq)])
    const gone = made
      .slice(0, first)
      .filter(({ seq }) => seq < this.#ledger.seq && !needed.has(seq))
      .map(({ path }) => path)
    if (gone.length > 0 && options.dryRun !== true) await this.#store.remove(gone)
    return gone
  }

  /**
   * Paths of all files that a table had at some moment since then, by the clock of the store, as far as there are manifests of
   * that time.
   */
  async namedSince(sinceMs: number): Promise<ReadonlySet<string>> {
    const made = await this.#listAll()
    const first = inForceAt(made, sinceMs)
    const entries: StreamEntry[] = []
    const [then] = await this.#readAll(made.slice(first, first + 1).map(({ seq }) => seq))
    if (then !== undefined) {
      const below = await this.#readAll(then.over)
      entries.push(...assembleLedger(then, below).streams.values())
    }
    const later = await this.#readAll(made.slice(first + 1).map(({ seq }) => seq))
    entries.push(...later.flatMap(({ streams }) => streams))
    return new Set(entries.flatMap(({ files }) => files.map(({ path }) => path)))
  }

  async #append(files: string, change: (ledger: Ledger) => LedgerChange): Promise<void> {
    for (let attempt = 1; attempt <= MAX_TRIES; attempt++) {
      if (attempt > 1) await setTimeout(Math.random() * LONGEST_PAUSE_MS)
      if (!this.#isKnown || attempt > 1) await this.#refresh()
      const ledger = this.#ledger
      if (ledger.files !== null && ledger.files !== files)
        throw otherFiles(this.#store.description, ledger.files)
      const { made, below } = nextManifest(ledger, files, change(ledger))
      this.#isKnown = false
      if (!(await this.#putNew(manifestPath(made.seq), formatManifest(made)))) continue
      if ((await this.#findNewest(manifestPath(made.seq))) === null) {
        this.#ledger = advanceLedger(ledger, made, below)
        this.#isKnown = true
      } else {
        await this.#assertInForce(made)
      }
      return
    }
    throw new TrunklineError(
      'DESTINATION_LOCKED',
      `${this.#store.description}: others commit all the time, and this commit never came in between.`,
      { hint: 'Let fewer syncs write into one place at once.', context: { path: this.#store.description } },
    )
  }

  /** An answer that says nothing is asked for again: the same content under the same name is the same commit. */
  async #putNew(path: string, content: Uint8Array): Promise<boolean> {
    try {
      return await this.#store.putNew(path, content)
    } catch (error) {
      const there = await this.#store.read(path).catch(() => null)
      if (there === null || !Buffer.from(there).equals(content)) throw error
      return this.#store.putNew(path, content)
    }
  }

  /**
   * Somebody came after: either on what we made, or long before, when this number was taken for the first time. It is free again a
   * day after it was replaced, for whoever was held up so long, whatever their clock says.
   */
  async #assertInForce(made: Manifest): Promise<void> {
    const ledger = await this.#refresh()
    const { sync } = made.run
    const token = made.syncs.find((entry) => entry.sync === sync)?.token
    const own = made.streams.filter((entry) => entry.sync === sync)
    if (ledger.syncs.get(sync)?.token === token && own.every((entry) => isTakenUp(entry, ledger))) return
    throw new TrunklineError('FENCED', `Another run has taken over the sync ${sync}.`, {
      hint: 'This run was held up, perhaps for very long. The next one goes on from what is saved, whether this commit is in it or not.',
    })
  }

  /** Null where one was taken away meanwhile. */
  async #readNewest(): Promise<Ledger | null> {
    const seen = this.#ledger
    const path = await this.#findNewest(seen.seq === 0 ? undefined : manifestPath(seen.seq))
    if (path === null) return seen
    const newest = await this.#read(path)
    if (newest === null) return null
    const known = new Map(seen.layers.map((layer) => [layer.seq, layer]))
    const below = await Promise.all(
      newest.over.map(async (seq) => known.get(seq) ?? (await this.#read(manifestPath(seq)))),
    )
    const found = below.filter((layer) => layer !== null)
    return found.length === below.length ? assembleLedger(newest, found) : null
  }

  /** In the order in which they were made. */
  async #listAll(): Promise<readonly MadeManifest[]> {
    const made: MadeManifest[] = []
    for await (const { path, modifiedAt } of this.#store.list(MANIFEST_FOLDER)) {
      const seq = seqOfPath(path)
      if (seq !== null) made.push({ seq, path, madeAtMs: modifiedAt.getTime() })
    }
    return made
  }

  async #findNewest(after: string | undefined): Promise<string | null> {
    let newest: string | null = null
    const options = after === undefined ? {} : { after }
    // In whatever order, and from wherever on, they come.
    for await (const { path } of this.#store.list(MANIFEST_FOLDER, options)) {
      if (seqOfPath(path) !== null && path > (newest ?? after ?? '')) newest = path
    }
    return newest
  }

  /** Those that are still there. */
  async #readAll(seqs: readonly number[]): Promise<readonly Manifest[]> {
    const found: (Manifest | null)[] = []
    for (let at = 0; at < seqs.length; at += READ_AT_ONCE) {
      const some = seqs.slice(at, at + READ_AT_ONCE)
      found.push(...(await Promise.all(some.map((seq) => this.#read(manifestPath(seq))))))
    }
    return found.filter((manifest) => manifest !== null)
  }

  async #read(path: string): Promise<Manifest | null> {
    const content = await this.#store.read(path)
    return content === null ? null : parseManifest(content, path)
  }
}

interface MadeManifest {
  readonly seq: number
  readonly path: string
  readonly madeAtMs: number
}

/** Which of them was in force then: the last one before the first that was made later. */
function inForceAt(made: readonly MadeManifest[], ms: number): number {
  const later = made.findIndex(({ madeAtMs }) => madeAtMs > ms)
  return Math.max(0, (later === -1 ? made.length : later) - 1)
}

/** The state of the stream is this one, or has come from it. */
function isTakenUp(entry: StreamEntry, ledger: Ledger): boolean {
  const now = ledger.streams.get(streamKey(entry))
  if (now === undefined || now.runSeq < entry.runSeq) return false
  if (now.runSeq > entry.runSeq) return true
  const { runId, paused, skipped, checkpoint } = entry
  return (
    now.runId === runId && now.paused === paused && now.skipped === skipped && now.checkpoint === checkpoint
  )
}
