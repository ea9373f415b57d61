/**
 * `trunkline/testing`: what every destination promises, as cases that run anywhere. They need no test runner:
 *
 * ```ts
 * const { offered, notOffered } = await sortCases(makePlace)
 * for (const one of offered) test(one.name, () => runCase(one, makePlace))
 * ```
 *
 * Which cases apply follows from what the destination says that it can do (`capabilities`) and what its {@link Place} can show. A case
 * that does not apply is not a case that passed: `notOffered` lists them. What is not offered must be refused, and there are cases for that.
 */
import { applies, type ConformanceCase, type Topic, type UnsortedCase } from './case.js'
import { endingCases } from './ending-cases.js'
import { generationCases } from './generation-cases.js'
import { nameCases } from './name-cases.js'
import { ownerCases } from './owner-cases.js'
import { offersOf, type Offer, type Place } from './place.js'
import { refusalCases } from './refusal-cases.js'
import { resumeCases } from './resume-cases.js'
import { schemaCases } from './schema-cases.js'
import { stateCases } from './state-cases.js'
import { appendCases, upsertCases } from './upsert-cases.js'
import { hugeCases, valueCases } from './value-cases.js'
import { verifyCases } from './verify-cases.js'

export type { ConformanceCase, Topic } from './case.js'
export { makeBatch } from './make-batch.js'
export type { Offer, Place } from './place.js'
export { normalize } from './plain.js'
export type { NormalizeOptions, Plain, PlainElement } from './plain.js'
export { TYPE_SAMPLES } from './samples.js'
export type { TypeSamples } from './samples.js'

export interface SuiteOptions {
  /** Of each huge value; there are three in a row and two rows. 4 unless said otherwise. */
  readonly hugeMebibytes?: number
}

/** Everything a destination can be asked to show. */
export function makeDestinationCases(options: SuiteOptions = {}): readonly ConformanceCase[] {
  const topics: Readonly<Record<Topic, readonly UnsortedCase[]>> = {
    state: stateCases,
    generations: generationCases,
    upserts: upsertCases,
    appends: appendCases,
    values: [...valueCases, ...hugeCases(options.hugeMebibytes ?? 4)],
    names: nameCases,
    columns: schemaCases,
    comparison: verifyCases,
    resuming: resumeCases,
    ownership: ownerCases,
    endings: endingCases,
    refusals: refusalCases,
  }
  return Object.entries(topics).flatMap(([topic, cases]) =>
    cases.map((one) => ({ ...one, topic: topic as Topic })),
  )
}

/** The cases with their usual sizes. */
export const destinationCases: readonly ConformanceCase[] = makeDestinationCases()

export interface SortedCases {
  readonly offers: ReadonlySet<Offer>
  /** To be run, each at a place of its own. */
  readonly offered: readonly ConformanceCase[]
  /** What does not apply, as the destination does not say that it can do it. */
  readonly notOffered: readonly ConformanceCase[]
}

/** Asks the destination of one such place what it can do. The place is taken away again. */
export async function sortCases(
  makePlace: () => Promise<Place>,
  cases: readonly ConformanceCase[] = destinationCases,
): Promise<SortedCases> {
  const place = await makePlace()
  try {
    const offers = offersOf(place)
    return {
      offers,
      offered: cases.filter((one) => applies(one, offers)),
      notOffered: cases.filter((one) => !applies(one, offers)),
    }
  } finally {
    await place.remove()
  }
}

/** Runs a case at a place of its own, which is taken away afterwards. @throws AssertionError where the promise is not kept */
export async function runCase({ run }: ConformanceCase, makePlace: () => Promise<Place>): Promise<void> {
  const place = await makePlace()
  try {
    await run(place)
  } finally {
    await place.remove()
  }
}
