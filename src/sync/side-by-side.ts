/** Work on several items at a time, begun one by one as there is room. */

export interface SideBySideOptions<Item> {
  /** Hands out what is begun next; null: nothing now. Asked again whenever an item ends, and by {@link SideBySide.look}. */
  readonly next: (running: ReadonlySet<Item>) => Item | null
  /** When it rejects nothing else is begun, those under way go on to their end, and then the whole rejects with it. */
  readonly run: (item: Item) => Promise<void>
}

export class SideBySide<Item> {
  readonly #options: SideBySideOptions<Item>
  readonly #running = new Set<Item>()
  #failure: { readonly error: unknown } | null = null
  #settle: (() => void) | null = null

  constructor(options: SideBySideOptions<Item>) {
    this.#options = options
  }

  /** Resolves when nothing is under way and nothing is handed out any more. */
  async run(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#settle = resolve
      this.look()
    })
    if (this.#failure !== null) throw this.#failure.error
  }

  /** Begins what there is room for. */
  look(): void {
    if (this.#settle === null) return
    for (let item = this.#next(); item !== null; item = this.#next()) this.#begin(item)
    if (this.#running.size > 0) return
    this.#settle()
    this.#settle = null
  }

  #next(): Item | null {
    return this.#failure === null ? this.#options.next(this.#running) : null
  }

  #begin(item: Item): void {
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
