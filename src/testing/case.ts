/** One promise of the contract, as a thing that can be run at a place. */
import type { Landing } from '../model/sync-spec.js'
import type { Offer, Place } from './place.js'

/** What a case is about. */
export type Topic =
  | 'state'
  | 'generations'
  | 'upserts'
  | 'appends'
  | 'values'
  | 'names'
  | 'columns'
  | 'comparison'
  | 'resuming'
  | 'ownership'
  | 'endings'
  | 'refusals'

export interface ConformanceCase {
  readonly topic: Topic
  /** A sentence whose subject is the destination. */
  readonly name: string
  /** It applies where all of these are offered. */
  readonly needs: readonly Offer[]
  /** It applies where none of these is offered: what is not offered must be refused. */
  readonly lacks: readonly Offer[]
  /** On a place where nothing is yet. @throws AssertionError where the promise is not kept */
  run(place: Place): Promise<void>
}

export type UnsortedCase = Omit<ConformanceCase, 'topic'>

/** @param needs what has to be offered; with `!` in front, what must not be */
export function conformanceCase(
  name: string,
  needs: readonly (Offer | `!${Offer}`)[],
  run: (place: Place) => Promise<void>,
): UnsortedCase {
  return {
    name,
    needs: needs.filter((need): need is Offer => !need.startsWith('!')),
    lacks: needs.filter((need) => need.startsWith('!')).map((need) => need.slice(1) as Offer),
    run,
  }
}

/** The same promise for every way in which rows land. */
export function perLanding(
  name: string,
  needs: readonly Offer[],
  run: (place: Place, landing: Landing) => Promise<void>,
): readonly UnsortedCase[] {
  return (['replace', 'upsert', 'append'] as const).map((landing) =>
    conformanceCase(`${name}, by ${landing}`, [landing, ...needs], (place) => run(place, landing)),
  )
}

export function applies(testCase: ConformanceCase, offers: ReadonlySet<Offer>): boolean {
  return (
    testCase.needs.every((need) => offers.has(need)) && !testCase.lacks.some((offer) => offers.has(offer))
  )
}
