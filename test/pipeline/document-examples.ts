/** The pipelines that the SQLFlow connector's document shows, as they stand there. */
import { readFileSync } from 'node:fs'

function read(name: string): string {
  return readFileSync(new URL(`../../examples/pipelines/${name}.sf`, import.meta.url), 'utf8')
}

export const EXAMPLES = {
  legacy: read('older-names'),
  recommended: read('recommended'),
  mixed: read('mixed-names'),
  basic: read('basic'),
  incremental: read('incremental'),
  query: read('custom-query'),
  production: read('production'),
} as const
