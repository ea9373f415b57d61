/** Adds a number as Parquet's variable-length integer: seven bits a byte, the lowest first. */
export function pushVarint(out: number[], value: number): void {
  let rest = value
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) out.push((rest % 0x80) | 0x80)
  out.push(rest)
}

/** Adds a signed number: its sign in the lowest bit. */
export function pushZigzag(out: number[], value: number): void {
  pushVarint(out, value < 0 ? -2 * value - 1 : 2 * value)
}
