/** Our own program as it is measured: the command line, built. */
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import type { Presence } from './job.js'
import type { Command } from './measure.js'

const main = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url))

export async function probeTrunkline(): Promise<Presence> {
  if (!existsSync(main)) return { absent: 'dist/ is not built: npm run build' }
  const manifest = JSON.parse(await readFile(new URL('../package.json', import.meta.url), 'utf8')) as {
    version: string
  }
  return { version: `trunkline ${manifest.version}` }
}

/** `shown`: the arguments as the report shows them. */
export const trunkline = (
  args: readonly string[],
  shown: string,
  env: Readonly<Record<string, string>> = {},
): Command => ({
  file: process.execPath,
  args: [main, ...args],
  env: { NO_COLOR: '1', ...env },
  shown: `trunkline ${shown}`,
})
