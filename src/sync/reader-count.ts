/**
 * How many readers are in use, where nobody said: begins with one (two, where there are cores for it and much to read), tries
 * one more or one less where that promises something, measures, and keeps what was faster. Pure.
 *
 * A second reader helps while the server's side of a COPY is what takes the time, and costs where anything else does: on two
 * cores, with the server beside us, it takes from DuckDB what it gives to reading. Which of them it is cannot be known
 * beforehand (is the server on this machine? how fast is the line?), so:
 *
 * - One more is tried after some samples in which there was more to read than readers, streams mostly waited for batches (not for
 *   the destination), and part of a core of this machine was idle. A load that is over before never pays for a second reader.
 * - One less is tried when streams mostly waited for the destination.
 * - A trial lets the new reader connect, then compares the bytes per second with those before. More readers must be clearly
 *   faster, fewer must not be slower; otherwise it goes back, and waits twice as long until the next trial.
 */
import {
  READER_FIRST_REST,
  READER_GAIN,
  READER_IDLE_CORES,
  READER_LARGE_BYTES,
  READER_LONGEST_REST,
  READER_LOSS,
  READER_MANY_CORES,
  READER_SAMPLES,
  READER_SETTLING,
} from '../model/thresholds.js'

/** What one interval of reading was like. */
export interface ReaderSample {
  readonly bytesPerSecond: number
  /** All the time there was a split that waited for a reader; otherwise the rate says nothing about readers. */
  readonly short: boolean
  /** Of the time of the streams that are read, the share in which they did not wait for the destination. */
  readonly readShare: number
  /** Of this machine, on average; null where it is not known. */
  readonly idleCores: number | null
}

export interface ReaderCount {
  readonly readers: number
  /** The latest samples at this number. */
  readonly samples: readonly ReaderSample[]
  /** What it was before the trial that is under way. */
  readonly trial: { readonly from: number; readonly bytesPerSecond: number; readonly settling: number } | null
  /** Samples to let pass before the next trial, and how many after a next failure. */
  readonly rest: number
  readonly nextRest: number
}

export interface ReaderBounds {
  readonly most: number
}

/** `fullBytes`: what is to be read in full, as far as it is known. */
export function firstReaderCount(input: {
  readonly most: number
  readonly cores: number
  readonly fullBytes: number
}): ReaderCount {
  const two = input.cores >= READER_MANY_CORES && input.fullBytes >= READER_LARGE_BYTES
  return settled(Math.max(1, Math.min(input.most, two ? 2 : 1)), 0, READER_FIRST_REST)
}

/** The number after another sample. */
export function nextReaderCount(
  count: ReaderCount,
  sample: ReaderSample,
  { most }: ReaderBounds,
): ReaderCount {
  if (count.readers > most) return settled(Math.max(1, most), 0, count.nextRest)
  if (!sample.short) return count.trial === null ? { ...count, samples: [] } : count
  if (count.trial !== null && count.trial.settling > 0) {
    return { ...count, trial: { ...count.trial, settling: count.trial.settling - 1 } }
  }
  const samples = [...count.samples, sample].slice(-READER_SAMPLES)
  const rest = Math.max(0, count.rest - 1)
  if (samples.length < READER_SAMPLES) return { ...count, samples, rest }
  if (count.trial !== null) return judgeTrial(count, samples)
  const to = count.rest > 0 ? count.readers : proposeReaders(count.readers, samples, most)
  if (to === count.readers) return { ...count, samples, rest }
  const trial = { from: count.readers, bytesPerSecond: medianRate(samples), settling: READER_SETTLING }
  return { ...count, readers: to, samples: [], trial }
}

function proposeReaders(readers: number, samples: readonly ReaderSample[], most: number): number {
  const waitsForBatches = samples.every(({ readShare }) => readShare >= 0.6)
  const hasIdleCore = samples.every(({ idleCores }) => idleCores === null || idleCores >= READER_IDLE_CORES)
  if (waitsForBatches && hasIdleCore && readers < most) return readers + 1
  const waitsForDestination = samples.every(({ readShare }) => readShare <= 0.4)
  if (waitsForDestination && readers > 1) return readers - 1
  return readers
}

function judgeTrial(count: ReaderCount, samples: readonly ReaderSample[]): ReaderCount {
  if (count.trial === null) return count
  const { from, bytesPerSecond } = count.trial
  const needed = count.readers > from ? READER_GAIN : READER_LOSS
  if (medianRate(samples) >= bytesPerSecond * needed) return settled(count.readers, 0, READER_FIRST_REST)
  return settled(from, count.nextRest, Math.min(count.nextRest * 2, READER_LONGEST_REST))
}

function settled(readers: number, rest: number, nextRest: number): ReaderCount {
  return { readers, samples: [], trial: null, rest, nextRest }
}

function medianRate(samples: readonly ReaderSample[]): number {
  const rates = samples.map(({ bytesPerSecond }) => bytesPerSecond).sort((a, b) => a - b)
  return rates[Math.floor(rates.length / 2)] ?? 0
}
