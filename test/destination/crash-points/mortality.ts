/**
 * A process that dies at its n-th effect: that one and all later ones do not happen. The effect before it has happened, so that over
 * all n a run is stopped before and after each of them.
 */
import type { Store, StoreFile } from '../../../src/destination/stores/store.js'

export class Death extends Error {
  constructor() {
    super('the process is dead')
  }
}

export class Mortality {
  readonly #at: number
  #effects = 0

  /** @param at the effect before which the process dies, from 1 */
  constructor(at: number) {
    this.#at = at
  }

  /** How many there were; all of a run that did not die. */
  get effects(): number {
    return this.#effects
  }

  get dead(): boolean {
    return this.#effects >= this.#at
  }

  /** @throws Death */
  step(): void {
    if (this.dead || ++this.#effects === this.#at) throw new Death()
  }
}

/** Who is mortal just now: what is wrapped once for all asks here. */
export const mortal: { current: Mortality | null } = { current: null }

/**
 * Has every call of these methods pass the mortality of the moment; to be called once.
 * @param onUse told whose method it is, first
 */
export function wrapMethods(
  prototype: object,
  names: readonly string[],
  onUse: (self: unknown) => void = () => undefined,
): void {
  const methods = prototype as Record<string, (...args: unknown[]) => unknown>
  for (const name of names) {
    const method = methods[name]
    if (method === undefined) throw new Error(`there is no method ${name}`)
    methods[name] = async function (this: unknown, ...args: unknown[]) {
      onUse(this)
      mortal.current?.step()
      return method.apply(this, args)
    }
  }
}

/** A store of which every effect passes the mortality. Looking is none. */
export function makeMortalStore(store: Store, mortality: Pick<Mortality, 'step' | 'dead'>): Store {
  return {
    description: store.description,
    ...(store.folder === undefined ? {} : { folder: store.folder }),
    locate: (path) => store.locate(path),
    async open(options) {
      mortality.step()
      await store.open(options)
    },
    async create(path) {
      mortality.step()
      return makeMortalFile(await store.create(path), mortality)
    },
    async put(path, content) {
      mortality.step()
      await store.put(path, content)
    },
    async putNew(path, content) {
      mortality.step()
      return store.putNew(path, content)
    },
    read: (path) => store.read(path),
    list: (prefix, options) => store.list(prefix, options),
    async remove(paths) {
      mortality.step()
      await store.remove(paths)
    },
    fetch: (path) => store.fetch(path),
    close: () => store.close(),
    [Symbol.asyncDispose]: () => store.close(),
  }
}

function makeMortalFile(file: StoreFile, mortality: Pick<Mortality, 'step' | 'dead'>): StoreFile {
  return {
    async write(pieces) {
      mortality.step()
      await file.write(pieces)
    },
    async finish() {
      mortality.step()
      await file.finish()
    },
    async abort() {
      // What a dead process has begun stays as it is.
      if (!mortality.dead) await file.abort()
    },
  }
}
