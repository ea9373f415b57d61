/** Where the reader's worker file is: beside this module, or by the package's own export where the code was not built. */
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { TrunklineError } from '../model/error.js'

/** @throws MODULE_MISSING in a program bundled into one file that did not say where it put the reader. */
export function findReaderFile(given: URL | undefined): URL {
  if (given !== undefined) return given
  const beside = new URL('./reader-worker.js', import.meta.url)
  if (existsSync(fileURLToPath(beside))) return beside
  try {
    const exported = createRequire(import.meta.url).resolve('trunkline/reader-worker')
    if (existsSync(exported)) return pathToFileURL(exported)
  } catch {
    // Reported below.
  }
  throw new TrunklineError('MODULE_MISSING', 'The file of the reader thread is not there.', {
    hint: 'In a bundled program, bundle trunkline/reader-worker into a file of its own and pass its URL as readerWorker; in a checkout, run `npm run build`.',
  })
}
