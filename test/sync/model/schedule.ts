/** Random histories of the model: writers of every kind, leaves that come and go, crashes of the server, and runs between. */
import fc from 'fast-check'
import type { ModelDatabase, ModelLeaf, ModelTransaction } from './database.js'

export type Action =
  | {
      readonly kind: 'insert' | 'update' | 'delete'
      readonly writer: number
      readonly id: number
      readonly v: number
    }
  | { readonly kind: 'rekey'; readonly writer: number; readonly id: number; readonly to: number }
  | {
      readonly kind:
        'savepoint' | 'release' | 'rollbackTo' | 'prepare' | 'commit' | 'lazyCommit' | 'rollback' | 'idle'
      readonly writer: number
    }
  | { readonly kind: 'attach' | 'detach' }
  | { readonly kind: 'rewrite' }

export interface Round {
  /** Between the runs. */
  readonly before: readonly Action[]
  /** During the run: the n-th step of the run does the n-th, once around. */
  readonly during: readonly Action[]
  /** The server crashes before the run. */
  readonly crash: boolean
}

const WRITERS = 4
const IDS = 14
export const TABLE = 't'

const writer = fc.integer({ min: 0, max: WRITERS - 1 })
const id = fc.integer({ min: 1, max: IDS })
const v = fc.integer({ min: 0, max: 9 })

const action: fc.Arbitrary<Action> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('insert' as const), writer, id, v }) },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('update' as const), writer, id, v }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('delete' as const), writer, id, v }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('rekey' as const), writer, id, to: id }) },
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constantFrom(
        'savepoint' as const,
        'release' as const,
        'rollbackTo' as const,
        'prepare' as const,
        'commit' as const,
        'commit' as const,
        'lazyCommit' as const,
        'rollback' as const,
        'idle' as const,
        'idle' as const,
      ),
      writer,
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('attach' as const, 'detach' as const) }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'rewrite' as const }) },
)

const round: fc.Arbitrary<Round> = fc.record({
  before: fc.array(action, { maxLength: 14 }),
  during: fc.array(action, { maxLength: 10 }),
  crash: fc.integer({ min: 0, max: 7 }).map((value) => value === 7),
})

export const schedule: fc.Arbitrary<readonly Round[]> = fc.array(round, { minLength: 2, maxLength: 6 })

/** Plays actions; keeps the transactions that are open and the leaves that are detached. */
export class Player {
  readonly #db: ModelDatabase
  readonly #writers: (ModelTransaction | null)[] = Array.from({ length: WRITERS }, () => null)
  readonly #detached: ModelLeaf[] = []
  /** Transactions that were open at the last snapshot and had begun to write or taken their time; and ended by commit since. */
  lateCommits = 0
  #openAtSnapshot = new Set<ModelTransaction>()

  constructor(db: ModelDatabase) {
    this.#db = db
  }

  /** Call it when a run takes its snapshot. */
  markSnapshot(): void {
    this.#openAtSnapshot = new Set(
      this.#writers.filter((transaction): transaction is ModelTransaction => transaction !== null),
    )
  }

  crash(): void {
    this.#db.crash()
    this.#writers.forEach((transaction, index) => {
      if (transaction !== null && transaction.ended) this.#writers[index] = null
    })
  }

  /** `locked`: a run holds its locks, so the table's shape does not change except that a leaf may join. */
  play(action: Action, locked: boolean): void {
    switch (action.kind) {
      case 'attach':
        this.#attach()
        return
      case 'detach':
        if (!locked && this.#idle()) this.#detach()
        return
      case 'rewrite':
        // VACUUM FULL: other files, the same rows with the same ids.
        if (!locked) for (const leaf of this.#db.table(TABLE).leaves) leaf.filenode += 100_000
        return
      default:
        this.#write(action)
    }
  }

  #write(action: Exclude<Action, { readonly kind: 'attach' | 'detach' | 'rewrite' }>): void {
    let transaction = this.#writers[action.writer] ?? null
    if (transaction?.prepared === true) {
      if (action.kind !== 'commit' && action.kind !== 'rollback') return
    } else if (transaction === null) {
      transaction = this.#db.begin()
      this.#writers[action.writer] = transaction
    }
    switch (action.kind) {
      case 'insert':
        transaction.insert(TABLE, { id: BigInt(action.id), v: BigInt(action.v) })
        return
      case 'update':
        transaction.update(TABLE, BigInt(action.id), { v: BigInt(action.v) })
        return
      case 'delete':
        transaction.delete(TABLE, BigInt(action.id))
        return
      case 'rekey':
        // Leaves hold disjoint keys, so a key is only ever given to a row of the same leaf, and never twice.
        transaction.rekey(TABLE, BigInt(action.id), BigInt(action.to))
        return
      case 'savepoint':
        transaction.savepoint()
        return
      case 'release':
        transaction.release()
        return
      case 'rollbackTo':
        transaction.rollbackToSavepoint()
        return
      case 'prepare':
        transaction.prepare()
        return
      case 'idle':
        return
      case 'commit':
      case 'lazyCommit':
        if (this.#openAtSnapshot.has(transaction)) this.lateCommits++
        transaction.commit({ flush: action.kind === 'commit' })
        this.#writers[action.writer] = null
        return
      case 'rollback':
        transaction.rollback()
        this.#writers[action.writer] = null
    }
  }

  /** Attaching takes a lock that a reader's does not stop. */
  #attach(): void {
    const leaf = this.#detached.pop()
    if (leaf !== undefined) this.#db.table(TABLE).leaves.push(leaf)
  }

  #detach(): void {
    const { leaves } = this.#db.table(TABLE)
    if (leaves.length < 2) return
    const leaf = leaves.pop()
    if (leaf !== undefined) this.#detached.push(leaf)
  }

  #idle(): boolean {
    return this.#writers.every((transaction) => transaction === null)
  }
}
