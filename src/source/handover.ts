/** Passes items from one that pushes to one that pulls, without a queue. */

interface Handover<Item> {
  /** Resolves when the item is taken, so that one at a time is on its way. */
  readonly give: (item: Item) => Promise<void>
  /** Null after the last one. */
  readonly take: () => Promise<Item | null>
  readonly end: (failure: { readonly error: unknown } | null) => void
  /** Nobody takes any more. */
  readonly stop: () => void
}

export function createHandover<Item>(): Handover<Item> {
  let offered: Item | null = null
  let taken: (() => void) | null = null
  let arrived: (() => void) | null = null
  let ended: { readonly failure: { readonly error: unknown } | null } | null = null
  let stopped = false
  return {
    give: async (item) => {
      if (stopped) return
      offered = item
      arrived?.()
      await new Promise<void>((resolve) => {
        taken = resolve
      })
    },
    take: async () => {
      for (;;) {
        if (offered !== null) {
          const item = offered
          offered = null
          taken?.()
          return item
        }
        if (ended !== null) {
          if (ended.failure !== null) throw ended.failure.error
          return null
        }
        await new Promise<void>((resolve) => {
          arrived = resolve
        })
        arrived = null
      }
    },
    end: (failure) => {
      ended = { failure }
      arrived?.()
    },
    stop: () => {
      stopped = true
      taken?.()
    },
  }
}
