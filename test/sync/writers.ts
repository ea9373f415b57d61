/**
 * Writers for the oracle: transactions that take their time before the first write, nest, roll back in part or whole, stay
 * open long, are prepared and committed later, update without touching the timestamp, and delete; and a vacuum that freezes
 * and rewrites the table under everybody.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type pg from 'pg'

export const SCHEMA = `
  CREATE TABLE w (
    id bigserial PRIMARY KEY, v int NOT NULL, ver int NOT NULL DEFAULT 0,
    updated_at timestamptz DEFAULT now(), note text);
  CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN NEW.updated_at = now(); NEW.ver = OLD.ver + 1; RETURN NEW; END $$;
  CREATE TRIGGER touch BEFORE UPDATE ON w FOR EACH ROW EXECUTE FUNCTION touch();
  INSERT INTO w (v) SELECT g FROM generate_series(1, 200) g;
`

export interface Counts {
  transactions: number
  prepared: number
  nested: number
  rolledBack: number
  /** Transactions that a run's snapshot found open, after their first write or `now()`, and that committed later. */
  lateCommits: number
  vacuums: number
}

interface Open {
  /** It has written, or fixed what its `now()` is. */
  touched: boolean
  ending: boolean
  missed: boolean
}

export interface WritersOptions {
  readonly connect: () => Promise<pg.Client>
  readonly count: number
  readonly seed: number
  readonly prepare: boolean
}

export class Writers {
  readonly counts: Counts = {
    transactions: 0,
    prepared: 0,
    nested: 0,
    rolledBack: 0,
    lateCommits: 0,
    vacuums: 0,
  }
  readonly #open = new Set<Open>()
  readonly #options: WritersOptions
  #candidates: Open[] = []
  #stopped = false
  readonly #work: Promise<void>[] = []

  constructor(options: WritersOptions) {
    this.#options = options
  }

  start(): void {
    for (let index = 0; index < this.#options.count; index++) this.#work.push(this.#write(index))
    this.#work.push(this.#vacuum())
  }

  /** Rejects with what a writer stumbled over. */
  async stop(): Promise<void> {
    this.#stopped = true
    await Promise.all(this.#work)
  }

  /** Before a run takes its snapshot. */
  beforeSnapshot(): void {
    this.#candidates = [...this.#open].filter((transaction) => transaction.touched)
  }

  /** After it: what was open before and has not begun to end was open in it. */
  afterSnapshot(): void {
    for (const transaction of this.#candidates) if (!transaction.ending) transaction.missed = true
  }

  async #write(index: number): Promise<void> {
    const random = makeRandom(this.#options.seed * 1000 + index)
    const client = await this.#options.connect()
    try {
      for (let round = 0; !this.#stopped; round++)
        await this.#transaction(client, random, `g${index}_${round}`)
    } finally {
      await client.end()
    }
  }

  async #transaction(client: pg.Client, random: () => number, gid: string): Promise<void> {
    const long = random() < 0.25
    const state: Open = { touched: false, ending: false, missed: false }
    await client.query('BEGIN')
    if (random() < 0.3) await client.query('SET LOCAL synchronous_commit = off')
    this.#open.add(state)
    if (random() < 0.35) {
      await client.query('SELECT now()')
      state.touched = true
      await sleep(random() * (long ? 1500 : 60))
    }
    const statements = 1 + Math.floor(random() * 4)
    for (let n = 0; n < statements; n++) {
      const nested = random() < 0.4
      if (nested) {
        await client.query('SAVEPOINT s')
        this.counts.nested++
      }
      await change(client, random)
      state.touched = true
      if (nested) await client.query(random() < 0.3 ? 'ROLLBACK TO SAVEPOINT s' : 'RELEASE SAVEPOINT s')
      await sleep(random() * (long ? 600 : 15))
    }
    const end = random()
    if (end < 0.12) {
      state.ending = true
      await client.query('ROLLBACK')
      this.counts.rolledBack++
    } else if (end < 0.22 && this.#options.prepare) {
      await client.query(`PREPARE TRANSACTION '${gid}'`)
      this.counts.prepared++
      await sleep(random() * 1500)
      state.ending = true
      const commit = random() < 0.8
      await client.query(`${commit ? 'COMMIT' : 'ROLLBACK'} PREPARED '${gid}'`)
      if (commit && state.missed) this.counts.lateCommits++
    } else {
      state.ending = true
      await client.query('COMMIT')
      if (state.missed) this.counts.lateCommits++
    }
    this.#open.delete(state)
    this.counts.transactions++
    await sleep(random() * 20)
  }

  async #vacuum(): Promise<void> {
    const client = await this.#options.connect()
    try {
      await client.query(`SET lock_timeout = '150ms'`)
      for (let round = 0; !this.#stopped; round++) {
        const statement = round % 3 === 2 ? 'VACUUM (FULL, FREEZE) w' : 'VACUUM (FREEZE) w'
        await client.query(statement).then(
          () => this.counts.vacuums++,
          // 55P03: a writer held the table for too long.
          (error: unknown) => {
            if ((error as { code?: string }).code !== '55P03') throw error
          },
        )
        await sleep(120)
      }
    } finally {
      await client.end()
    }
  }
}

async function change(client: pg.Client, random: () => number): Promise<void> {
  const pick = `(SELECT id FROM w WHERE v % 7 = ${Math.floor(random() * 7)} ORDER BY random() LIMIT 1 FOR UPDATE SKIP LOCKED)`
  const kind = random()
  if (kind < 0.5)
    await client.query(`INSERT INTO w (v, note) VALUES ($1, 'n')`, [Math.floor(random() * 1000)])
  else if (kind < 0.92) await client.query(`UPDATE w SET v = v + 1 WHERE id = ${pick}`)
  else await client.query(`DELETE FROM w WHERE id = ${pick}`)
}

/** Park and Miller's generator: the same seed gives the same writers. */
export function makeRandom(seed: number): () => number {
  let state = (seed % 2_147_483_646) + 1
  return () => {
    state = (state * 16_807) % 2_147_483_647
    return (state - 1) / 2_147_483_646
  }
}
