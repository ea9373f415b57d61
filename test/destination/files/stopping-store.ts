/** A store whose process ends before or after one of its effects: from then on nothing that it is asked for is done. */
import type { Store, StoreFile } from '../../../src/destination/stores/store.js'

export interface StoppingStore extends Store {
  /** In the order in which they were done, or would have been. */
  readonly effects: readonly string[]
}

export function stopAt(
  store: Store,
  stop: { readonly effect: number; readonly side: 'before' | 'after' } | null,
): StoppingStore {
  const effects: string[] = []
  const opened: StoreFile[] = []
  let ended = false
  const alive = (): void => {
    if (ended) throw new Error('the process has ended')
  }
  const effect = async <T>(name: string, work: () => Promise<T>): Promise<T> => {
    alive()
    const isHere = effects.push(name) === stop?.effect
    if (isHere && stop.side === 'before') ended = true
    alive()
    const result = await work()
    if (isHere) ended = true
    alive()
    return result
  }
  const wrapFile = (path: string, file: StoreFile): StoreFile => ({
    write: (pieces) => effect(`write ${path}`, () => file.write(pieces)),
    finish: () => effect(`finish ${path}`, () => file.finish()),
    abort: () => file.abort(),
  })
  return {
    effects,
    description: store.description,
    ...(store.folder === undefined ? {} : { folder: store.folder }),
    locate: (path) => store.locate(path),
    open: (options) => effect('open', () => store.open(options)),
    create: (path) =>
      effect(`create ${path}`, async () => {
        const file = await store.create(path)
        opened.push(file)
        return wrapFile(path, file)
      }),
    put: (path, content) => effect(`put ${path}`, () => store.put(path, content)),
    putNew: (path, content) => effect(`putNew ${path}`, () => store.putNew(path, content)),
    async read(path) {
      alive()
      return store.read(path)
    },
    async *list(prefix, options) {
      alive()
      yield* store.list(prefix, options)
    },
    remove: (paths) => effect(`remove ${paths.join(' ')}`, () => store.remove(paths)),
    fetch: (path) => store.fetch(path),
    async close() {
      // What a process has open is closed when it ends.
      for (const file of opened) await file.abort()
      await store.close()
    },
    [Symbol.asyncDispose]: () => store.close(),
  }
}
