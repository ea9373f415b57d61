/** A source that stops at chosen moments of a run until something else has happened. */
import type { Batch } from '../../src/batch/batch.js'
import type { Snapshot, Source } from '../../src/source/contract.js'

export type Moment =
  /** The catalog is known, nothing is locked. */
  | 'discovered'
  /** Locks and snapshot are taken, nothing is read. */
  | 'locked'
  /** A batch has arrived, others are under way. */
  | 'reading'
  /** Everything has arrived, nothing is committed. */
  | 'read'

/**
 * Waits for `hold` the first time that a run is at the moment, with the snapshot if there is one.
 * @param of the stream whose first batch counts for `reading`; that of any unless said
 */
export function pauseOnce(
  moment: Moment,
  hold: (snapshot: Snapshot | null) => Promise<void>,
  of: string | null = null,
): { readonly wrap: (source: Source) => Source; readonly reached: () => boolean } {
  let reached = false
  const pause = async (now: Moment, snapshot: Snapshot | null): Promise<void> => {
    if (now !== moment || reached) return
    reached = true
    await hold(snapshot)
  }

  const wrapSnapshot = (snapshot: Snapshot): Snapshot =>
    override(snapshot, {
      async *read(...args: Parameters<Snapshot['read']>): AsyncGenerator<Batch, void> {
        for await (const batch of snapshot.read(...args)) {
          if (of === null || args[0].stream === of) await pause('reading', snapshot)
          yield batch
        }
      },
      async assertUnchanged(stream) {
        await pause('read', snapshot)
        await snapshot.assertUnchanged(stream)
      },
    })

  return {
    reached: () => reached,
    wrap: (source) =>
      override(source, {
        async openSnapshot(...args: Parameters<Source['openSnapshot']>): Promise<Snapshot> {
          await pause('discovered', null)
          const snapshot = await source.openSnapshot(...args)
          await pause('locked', snapshot)
          return wrapSnapshot(snapshot)
        },
      }),
  }
}

/** The methods of `object`, some of them replaced; getters and private state go on to belong to it. */
function override<Target extends object>(object: Target, methods: Partial<Target>): Target {
  return new Proxy(object, {
    get(target, name) {
      if (Object.hasOwn(methods, name)) return Reflect.get(methods, name) as unknown
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' ? (value.bind(target) as unknown) : value
    },
  })
}
