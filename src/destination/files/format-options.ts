/** Options of a kind of file as a destination's text states them, `csv:DIR?header=false`: checked and named. */
import { loadCompressor, type Compress } from '../../codec/compression/compressor.js'
import { closestKey } from '../../model/closest-name.js'
import { TrunklineError } from '../../model/error.js'

export type FormatOptions = Readonly<Record<string, string>>

/** @throws CONFIG_UNKNOWN_KEY with the list of those there are */
export function refuseUnknownOptions(format: string, options: FormatOptions, known: readonly string[]): void {
  for (const key of Object.keys(options)) {
    if (known.includes(key)) continue
    const suggestion = closestKey(key, known)
    const meant = suggestion === null ? '' : `Did you mean \`${suggestion}\`? `
    throw new TrunklineError('CONFIG_UNKNOWN_KEY', `${format}: unknown option \`${key}\`.`, {
      hint: `${meant}Options: ${known.join(', ')}.`,
    })
  }
}

/** What the option's value stands for; the first of `values` where it is not stated. @throws CONFIG_INVALID */
export function chooseOption<Value>(
  format: string,
  options: FormatOptions,
  key: string,
  values: Readonly<Record<string, Value>> & { readonly [first: string]: Value },
): Value {
  const names = Object.keys(values)
  const stated = options[key] ?? names[0] ?? ''
  if (Object.hasOwn(values, stated)) return values[stated]!
  throw new TrunklineError('CONFIG_INVALID', `${format}: ${key} cannot be what it is told to be.`, {
    hint: `${key} is one of: ${names.join(' ')}.`,
  })
}

/** What compresses whole files of text piece by piece, and what their names end with. */
export interface TextCompression {
  readonly name: 'none' | 'gzip' | 'zstd'
  readonly suffix: '' | '.gz' | '.zst'
  readonly compress: Compress | null
}

/** @throws CONFIG_INVALID */
export async function readTextCompression(format: string, options: FormatOptions): Promise<TextCompression> {
  const name = chooseOption(format, options, 'compression', {
    none: 'none',
    gzip: 'gzip',
    zstd: 'zstd',
  } as const)
  if (name === 'none') return { name, suffix: '', compress: null }
  return { name, suffix: name === 'gzip' ? '.gz' : '.zst', compress: await loadCompressor(name) }
}
