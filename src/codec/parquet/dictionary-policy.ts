/**
 * Whether a dictionary makes a column chunk smaller, judged early by some of its values.
 *
 * If values are drawn at random from K kinds, n of them show K·(1 − e^(−n/K)) kinds; so what was seen says how many kinds there are,
 * and that says how many the whole chunk will show. Values in runs show fewer early than later: so it is asked again as more have
 * come, and at the end, when nothing is guessed.
 */

/** The first question, then at four times as many each; few enough to cost little, enough to show repeats among 10⁵ kinds. */
export const FIRST_QUESTION = 2048
export const NEXT_QUESTION = 4
/** Less is not worth what looking values up costs, here and in readers. */
const LEAST_GAIN = 0.9

export interface DictionaryCase {
  readonly seen: number
  readonly distinct: number
  /** Bytes of the distinct values. */
  readonly dictionaryBytes: number
  /** Bytes a value takes without a dictionary, on average. */
  readonly directBytes: number
  /** Values that the chunk will have, `seen` or more. */
  readonly expected: number
}

export function dictionaryPays(known: DictionaryCase): boolean {
  const { seen, distinct, dictionaryBytes, directBytes, expected } = known
  if (seen === 0) return false
  const kinds = expected > seen ? expectedKinds(seen, distinct, expected) : distinct
  const entries = kinds * (dictionaryBytes / distinct)
  const indices = (expected * Math.max(1, Math.ceil(Math.log2(Math.max(2, kinds))))) / 8
  return entries + indices < LEAST_GAIN * expected * directBytes
}

/** How many kinds `expected` values will show where `seen` have shown `distinct`. */
function expectedKinds(seen: number, distinct: number, expected: number): number {
  if (distinct >= seen) return expected
  let low = distinct
  let high = distinct * seen
  // The estimate rises with the number of kinds; 40 halvings are more than doubles can tell apart.
  for (let step = 0; step < 40; step++) {
    const middle = (low + high) / 2
    if (middle * -Math.expm1(-seen / middle) < distinct) low = middle
    else high = middle
  }
  return high * -Math.expm1(-expected / high)
}
