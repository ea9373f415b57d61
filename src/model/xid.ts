/**
 * Transaction ids and log positions: 64-bit numbers, text only at the edge, compared nowhere but here.
 *
 * An xid8 is PostgreSQL's 64-bit transaction id (epoch · 2³² + the 32-bit xid that rows carry).
 * A log position (LSN) is written by the server as two hexadecimal halves, `16/B374D848`.
 */
import { TrunklineError } from './error.js'

declare const xid8Brand: unique symbol
declare const lsnBrand: unique symbol
export type Xid8 = bigint & { readonly [xid8Brand]: true }
export type Lsn = bigint & { readonly [lsnBrand]: true }

/** A row's 32-bit xmin is ambiguous once this many transaction ids lie between two runs. */
export const MAX_XID_WINDOW = 2n ** 31n
const EPOCH = 2n ** 32n

export function parseXid8(text: string): Xid8 {
  if (!/^\d{1,20}$/.test(text)) throw malformed('transaction id', text)
  const value = BigInt(text)
  if (value >= 2n ** 64n) throw malformed('transaction id', text)
  return value as Xid8
}

export function formatXid8(xid: Xid8): string {
  return xid.toString()
}

export function parseLsn(text: string): Lsn {
  const match = /^([0-9A-Fa-f]{1,8})\/([0-9A-Fa-f]{1,8})$/.exec(text)
  if (!match) throw malformed('log position', text)
  return ((BigInt(`0x${match[1]}`) << 32n) | BigInt(`0x${match[2]}`)) as Lsn
}

export function formatLsn(lsn: Lsn): string {
  return `${(lsn >> 32n).toString(16).toUpperCase()}/${(lsn & 0xffff_ffffn).toString(16).toUpperCase()}`
}

/** How many transaction ids the window [horizon, xmax) spans; rows in it are read by an incremental run. */
export function xidWindow(horizon: Xid8, xmax: Xid8): bigint {
  return xmax - horizon
}

/** True when a 32-bit xmin can be placed in the window without ambiguity. */
export function isWindowUsable(horizon: Xid8, xmax: Xid8): boolean {
  const window = xidWindow(horizon, xmax)
  return window >= 0n && window < MAX_XID_WINDOW
}

/** The 64-bit id of a 32-bit `xmin` known to lie in [horizon, horizon + 2³²). */
export function widenXid(horizon: Xid8, xmin: bigint): Xid8 {
  const distance = (xmin - (horizon % EPOCH) + EPOCH) % EPOCH
  return (horizon + distance) as Xid8
}

/** Which of 2³²-sized epochs the id belongs to; append mode is exactly-once within one. */
export function epochOf(xid: Xid8): bigint {
  return xid / EPOCH
}

function malformed(what: string, text: string): TrunklineError {
  return new TrunklineError('STATE_MALFORMED', `${JSON.stringify(text)} is not a ${what}`, {
    hint: 'The saved state or the server sent something unexpected; `trunkline state show` prints what is saved.',
  })
}
