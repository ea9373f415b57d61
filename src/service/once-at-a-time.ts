/** An answer that is good for a while, and asked for by one at a time: whoever comes meanwhile gets the same. */

export function keptFor<Answer>(ageMs: number, ask: () => Promise<Answer>): () => Promise<Answer> {
  let kept: { readonly answer: Promise<Answer>; endsAtMs: number } | null = null
  return () => {
    if (kept !== null && performance.now() < kept.endsAtMs) return kept.answer
    const asked = { answer: ask(), endsAtMs: Infinity }
    kept = asked
    asked.answer.then(
      () => {
        asked.endsAtMs = performance.now() + ageMs
      },
      () => {
        if (kept === asked) kept = null
      },
    )
    return asked.answer
  }
}
