/** Folders of tests. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll } from 'vitest'

const made: string[] = []

/** After the hooks of the file that imports this, which may still use what is in them. */
afterAll(() => {
  for (const folder of made.splice(0)) rmSync(folder, { recursive: true, force: true, maxRetries: 3 })
})

/** An empty folder `trunkline-NAME-…` below the system's for temporary files, removed when the tests of the file have ended. */
export function makeTemporaryFolder(name: string): string {
  const folder = mkdtempSync(join(tmpdir(), `trunkline-${name}-`))
  made.push(folder)
  return folder
}
