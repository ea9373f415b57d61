/** The chain of manifests of a store: what is in force, and the one way to change it. */
import { setTimeout } from 'node:timers/promises'
import { TrunklineError } from '../../model/error.js'
import type { Store } from '../stores/store.js'
import { otherFiles } from './refusals.js'
import type { Ledger, LedgerChange, Manifest } from './manifest.js'
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
} from './manifest.js'

/** Each time that somebody else made the next manifest, they got on: so many in a row is a defect. */
const MAX_TRIES = 100
const LONGEST_PAUSE_MS = 50
/** Manifests are taken away while they are read only by those who fell far behind. */
const MAX_READS = 5
/**
 * Manifests that are not in force are removed after a day at the earliest, {@link KEPT_MS}. Whoever has not looked for longer than
 * this could make one anew under a number that is gone, and has to look whether it is the newest.
 */
const TRUSTED_MS = 60 * 60 * 1000
const KEPT_MS = 24 * TRUSTED_MS

export class ManifestLog {
  readonly #store: Store
  #ledger: Ledger = EMPTY_LEDGER
  /** When the newest manifest was looked for, or made; null: it has to be looked for. */
  #knownAtMs: number | null = null
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
      const startedAtMs = Date.now()
      const read = await this.#readNewest()
      if (read !== null) {
        this.#ledger = read
        this.#knownAtMs = startedAtMs
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

  /** Removes manifests that are not in force and were made a day ago or earlier. @returns their paths */
  async prune(nowMs: number, options: { readonly dryRun?: boolean } = {}): Promise<readonly string[]> {
    const inForce = new Set([this.#ledger.seq, ...this.#ledger.layers.map(({ seq }) => seq)])
    const gone: string[] = []
    for await (const { path, modifiedAt } of this.#store.list(MANIFEST_FOLDER)) {
      const seq = seqOfPath(path)
      const old = nowMs - modifiedAt.getTime() > KEPT_MS
      if (seq !== null && seq < this.#ledger.seq && !inForce.has(seq) && old) gone.push(path)
    }
    if (gone.length > 0 && options.dryRun !== true) await this.#store.remove(gone)
    return gone
  }

  async #append(files: string, change: (ledger: Ledger) => LedgerChange): Promise<void> {
    for (let attempt = 1; attempt <= MAX_TRIES; attempt++) {
      if (attempt > 1) await setTimeout(Math.random() * LONGEST_PAUSE_MS)
      if (this.#knownAtMs === null || attempt > 1) await this.#refresh()
      const ledger = this.#ledger
      if (ledger.files !== null && ledger.files !== files)
        throw otherFiles(this.#store.description, ledger.files)
      const { made, below } = nextManifest(ledger, files, change(ledger))
      const knownAtMs = this.#knownAtMs ?? 0
      this.#knownAtMs = null
      if (!(await this.#putNew(manifestPath(made.seq), formatManifest(made)))) continue
      if (Date.now() - knownAtMs > TRUSTED_MS) await this.#assertInForce(made)
      this.#ledger = advanceLedger(ledger, made, below)
      this.#knownAtMs = Date.now()
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

  async #assertInForce(made: Manifest): Promise<void> {
    const newest = await this.#findNewest(manifestPath(made.seq))
    if (newest === null) return
    // Somebody came after: either on what we made, or long before, when this number was taken for the first time.
    const ledger = await this.#refresh()
    const chained = ledger.syncs.get(made.run.sync)?.epoch === made.run.epoch
    const kept = made.streams.every((entry) =>
      [...ledger.streams.values()].some(
        ({ sync, stream, runSeq }) =>
          sync === entry.sync && stream === entry.stream && runSeq >= entry.runSeq,
      ),
    )
    if (chained && kept) return
    throw new TrunklineError('FENCED', `Another run has taken over the sync ${made.run.sync}.`, {
      hint: 'This run was held up for very long. The next one goes on from what is saved, whether this commit is in it or not.',
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

  async #findNewest(after: string | undefined): Promise<string | null> {
    let newest: string | null = null
    const options = after === undefined ? {} : { after }
    for await (const { path } of this.#store.list(MANIFEST_FOLDER, options)) {
      if (seqOfPath(path) !== null) newest = path
    }
    return newest
  }

  async #read(path: string): Promise<Manifest | null> {
    const content = await this.#store.read(path)
    return content === null ? null : parseManifest(content, path)
  }
}
