/** Rows as Arrow IPC files or streams, which are read back here as DuckDB reads them by an extension only. */
import { createArrowEncoder } from '../../codec/arrow-ipc.js'
import { loadCompressor } from '../../codec/compression/compressor.js'
import { loadZstdExpander } from '../../codec/compression/zstd.js'
import { chooseOption, refuseUnknownOptions, type FormatOptions } from '../../codec/stated-options.js'
import type { Field } from '../../model/column-type.js'
import { readArrowFile } from './arrow-files.js'
import type { FileFormat } from './file-format.js'
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
  const kinds = new Set(fields.map(({ type }) => (type.kind === 'list' ? type.element.kind : type.kind)))
  const losses: string[] = []
  if (kinds.has('date') || kinds.has('timestamp')) {
    losses.push('infinity of dates and timestamps is the end of their range, which readers take for a date')
  }
  if (kinds.has('time')) losses.push('24:00:00 is a time that readers which check values refuse')
  return losses
}
