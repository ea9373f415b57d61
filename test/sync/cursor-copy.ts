/** What other tools do: they read `column > the highest seen`. */
import type pg from 'pg'

/** What a cursor over one column has copied. */
export class CursorCopy {
  readonly #rows = new Map<string, string>()
  readonly #column: string
  #max: string | null = null

  constructor(column: string) {
    this.#column = column
  }

  async read(client: pg.Client): Promise<void> {
    const condition = this.#max === null ? 'true' : `${this.#column} > $1`
    const { rows } = await client.query<{ id: string; ver: string; at: string }>(
      `SELECT id::text, ver::text, ${this.#column}::text AS at FROM w WHERE ${condition} ORDER BY ${this.#column}`,
      this.#max === null ? [] : [this.#max],
    )
    for (const row of rows) this.#rows.set(row.id, row.ver)
    this.#max = rows.at(-1)?.at ?? this.#max
  }

  async lost(client: pg.Client): Promise<number> {
    const { rows } = await client.query<{ id: string; ver: string }>('SELECT id::text, ver::text FROM w')
    return rows.filter((row) => this.#rows.get(row.id) !== row.ver).length
  }
}
