/** Stops a run before and after each of its effects, one run for each, and looks at what is there then and after the next run. */
import { expect } from 'vitest'
import type { Destination } from '../../../src/destination/contract.js'
import { TrunklineError } from '../../../src/model/error.js'
import { presentOrders, savedState } from '../../../src/testing/landings.js'
import type { Place } from '../../../src/testing/place.js'
import { contentOf, runTo, versionOf, type CrashMode, type Version } from './history.js'
import { Mortality, mortal } from './mortality.js'

export interface Candidate {
  /** A place where nothing is yet, or one that holds version 1 already, which is then not landed any more. */
  makePlace(mode: CrashMode): Promise<Place>
  readonly prepared?: boolean
  /** A destination all of whose effects pass the mortality. */
  createMortal(place: Place, mortality: Mortality): Destination
  /** What ends with a process by itself: connections, locks. */
  bury?(place: Place): Promise<void>
  /** After a crash readers may see the version before the one that is committed, until the next run. */
  readonly readersMayLag?: boolean
  /** Without it, every point; else those from the first in such steps: for a look that costs less. */
  readonly every?: number
}

/** @returns how many effects the run has: before and after each of them it was stopped */
export async function enumerateCrashPoints(candidate: Candidate, mode: CrashMode): Promise<number> {
  for (let at = 1; ; at += candidate.every ?? 1) {
    const place = await candidate.makePlace(mode)
    try {
      if (candidate.prepared !== true) await runTo(place.create(), { mode, to: 1, runId: 'first' })
      const { dead, effects } = await runAndDie(candidate, place, { mode, at })
      const point = `${mode}, dead at effect ${at}`
      await lookBetween(candidate, place, mode, point)
      await goOn(place, mode)
      expect(await presentOrders(place), `${point}, after the next run`).toEqual(contentOf(mode, 3))
      expect(versionOf(await savedState(place)), point).toBe(3)
      expect((await savedState(place))?.partial ?? null, point).toBeNull()
      if (!dead) return effects
    } finally {
      await place.remove()
    }
  }
}

async function runAndDie(
  candidate: Candidate,
  place: Place,
  { mode, at }: { readonly mode: CrashMode; readonly at: number },
): Promise<Mortality> {
  const mortality = new Mortality(at)
  const destination = candidate.createMortal(place, mortality)
  mortal.current = mortality
  try {
    await runTo(destination, { mode, to: 2, runId: 'mortal' })
  } catch (error) {
    // Whatever the destination makes of it: only a death may end this run.
    if (!mortality.dead) throw error
  } finally {
    mortal.current = null
  }
  await candidate.bury?.(place)
  return mortality
}

/** Readers see one version, and it is that of the checkpoint. */
async function lookBetween(
  candidate: Candidate,
  place: Place,
  mode: CrashMode,
  point: string,
): Promise<void> {
  const version = versionOf(await savedState(place))
  expect([1, 2], point).toContain(version)
  const found = await presentOrders(place)
  const allowed: Version[] = candidate.readersMayLag === true && version === 2 ? [1, 2] : [version]
  expect(
    allowed.map((each) => contentOf(mode, each)),
    `${point}: what readers see`,
  ).toContainEqual(found)
}

/** The next run. A server may need a moment to find out that the dead one's session has ended. */
async function goOn(place: Place, mode: CrashMode): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      await runTo(place.create(), { mode, to: 3, runId: 'next' })
      return
    } catch (error) {
      const locked = error instanceof TrunklineError && error.code === 'DESTINATION_LOCKED'
      if (!locked || attempt === 200) throw error
      await new Promise((resolve) => setTimeout(resolve, 25))
    }
  }
}
