/** Rows as Arrow IPC files or streams, which are read back here as DuckDB reads them by an extension only. */
import { createArrowEncoder } from '../../codec/arrow-ipc.js'
import { loadCompressor } from '../../codec/compression/compressor.js'
import { loadZstdExpander } from '../../codec/compression/zstd.js'
import { chooseOption, refuseUnknownOptions, type FormatOptions } from '../../codec/stated-options.js'
import type { Field } from '../../model/column-type.js'
import { readArrowFile } from './arrow-files.js'
import { lossOf, type FileFormat } from './file-format.js'
import { foldName } from './landed-fields.js'

export const ARROW_OPTIONS = ['framing', 'compression'] as const

/** @throws CONFIG_UNKNOWN_KEY, CONFIG_INVALID */
export async function createArrowFormat(options: FormatOptions): Promise<FileFormat> {
  refuseUnknownOptions('arrow', options, ARROW_OPTIONS)
  const framing = chooseOption('arrow', options, 'framing', { file: 'file', stream: 'stream' } as const)
  const compression = chooseOption('arrow', options, 'compression', { none: 'none', zstd: 'zstd' } as const)
  const compress = compression === 'none' ? null : await loadCompressor(compression)
  return {
    name: 'arrow',
    suffix: framing === 'file' ? '.arrow' : '.arrows',
    losses: arrowLosses,
    encoder: (fields, metadata) => createArrowEncoder(fields, { framing, metadata, compress }),
    scanSql: () => null,
    // Whatever the options are now: older files of a table may have been written under others.
    async *read(fields, file) {
      yield* readArrowFile(file, { fields, foldName, expand: await loadZstdExpander() })
    },
  }
}

function arrowLosses(fields: readonly Field[]): readonly string[] {
  return [
    ...lossOf(
      fields,
      ({ kind }) => kind === 'date' || kind === 'timestamp',
      'Infinity is the end of the range, which readers take for a date.',
    ),
    ...lossOf(
      fields,
      ({ kind }) => kind === 'time',
      '24:00:00 is a time that readers which check values refuse.',
    ),
    ...lossOf(
      fields,
      ({ kind }) => kind === 'interval',
      'An interval with more than 292 years of hours, minutes and seconds is refused (VALUE_UNREPRESENTABLE).',
    ),
  ]
}
