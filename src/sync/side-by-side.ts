/** Work on several items at a time, begun one by one as there is room. */

export interface SideBySideOptions<Item> {
  readonly items: readonly Item[]
  /** What is begun next; null: nothing now. Asked again whenever an item ends, and by {@link SideBySide.look}. */
  readonly choose: (waiting: readonly Item[], running: ReadonlySet<Item>) => Item | null
  /** When it rejects nothing else is begun, those under way go on to their end, and then the whole rejects with it. */
  readonly run: (item: Item) => Promise<void>
  /** Called once, when no item waits any more. */
  readonly onAllBegun: () => void
}

export class SideBySide<Item> {
  readonly #options: SideBySideOptions<Item>
  readonly #waiting: Set<Item>
  readonly #running = new Set<Item>()
  #allBegun = false
  #failure: { readonly error: unknown } | null = null
  #settle: (() => void) | null = null

  constructor(options: SideBySideOptions<Item>) {
    this.#options = options
    this.#waiting = new Set(options.items)
  }

  /** Resolves when nothing is under way and nothing is chosen any more, with what was never begun. */
  async run(): Promise<readonly Item[]> {
    await new Promise<void>((resolve) => {
      this.#settle = resolve
      this.look()
    })
    if (this.#failure !== null) throw this.#failure.error
    return [...this.#waiting]
  }

  /** Begins what there is room for. */
  look(): void {
    if (this.#settle === null) return
    for (let item = this.#next(); item !== null; item = this.#next()) this.#begin(item)
    if (this.#waiting.size === 0 && !this.#allBegun) {
      this.#allBegun = true
      this.#options.onAllBegun()
    }
    if (this.#running.size > 0) return
    this.#settle()
    this.#settle = null
  }

  #next(): Item | null {
    if (this.#failure !== null || this.#waiting.size === 0) return null
    return this.#options.choose([...this.#waiting], this.#running)
  }

  #begin(item: Item): void {
    this.#waiting.delete(item)
    this.#running.add(item)
    void this.#options
      .run(item)
      .catch((error: unknown) => {
        this.#failure ??= { error }
      })
      .then(() => {
        this.#running.delete(item)
        this.look()
      })
  }
}
