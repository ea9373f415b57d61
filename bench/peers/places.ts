/** Where install.mjs has put other programs, and which of them are there. */
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Presence } from '../job.js'
import type { Command } from '../measure.js'

/** A folder of .bench/peers: a Python environment of requirements/<name>.txt, or Node's packages. */
export type EnvironmentName = 'tools' | 'dlt' | 'ingestr' | 'sling' | 'tap-postgres' | 'target-jsonl' | 'node'

interface Environment {
  readonly versions: Readonly<Record<string, string>>
  readonly failed: Readonly<Record<string, string>>
}

const folder = fileURLToPath(new URL('../../.bench/peers', import.meta.url))

export const installedProgram = (environment: EnvironmentName, program: string): string =>
  join(folder, environment, 'bin', program)

/** The folder of a Python package. @throws Error where it is not installed, which the probe has said before. */
export function pythonPackage(environment: EnvironmentName, name: string): string {
  const libraries = join(folder, environment, 'lib')
  const minors = Array.from({ length: 30 }, (_, minor) =>
    join(libraries, `python3.${String(minor)}`, 'site-packages', name),
  )
  const found = minors.find((path) => existsSync(path))
  if (found === undefined) throw new Error(`${name} is not in ${libraries}`)
  return found
}

export const peerScript = (name: string): string =>
  fileURLToPath(new URL(`children/${name}`, import.meta.url))

/** The versions of the packages that a job needs, the one that is measured first. */
export async function probePackages(
  environment: EnvironmentName,
  ...packages: readonly string[]
): Promise<Presence> {
  const install = `node bench/peers/install.mjs ${environment}`
  const text = await readFile(join(folder, 'installed.json'), 'utf8').catch(() => '{}')
  const installed = (JSON.parse(text) as Readonly<Record<string, Environment>>)[environment]
  if (installed === undefined) return { absent: `not installed: ${install}` }
  const versions: string[] = []
  for (const name of packages) {
    const version = installed.versions[name]
    if (version === undefined) {
      return {
        absent: `${name} could not be installed: ${installed.failed[name] ?? `it is not there; ${install}`}`,
      }
    }
    versions.push(`${name} ${version}`)
  }
  return { version: versions.join(', ') }
}

/** A child script of this folder, run by the Python of an environment. `shown` are its arguments without paths. */
export function python(
  environment: EnvironmentName,
  script: string,
  args: readonly string[],
  shown: readonly string[] = args,
): Command {
  return {
    file: installedProgram(environment, 'python'),
    // Without a folder of compiled scripts in the source tree.
    args: ['-B', peerScript(script), ...args],
    shown: `python bench/peers/children/${script} ${shown.join(' ')}`,
    keepOutput: true,
  }
}

export function node(script: string, args: readonly string[], shown: readonly string[] = args): Command {
  return {
    file: process.execPath,
    args: [peerScript(script), ...args],
    shown: `node bench/peers/children/${script} ${shown.join(' ')}`,
    keepOutput: true,
  }
}

/** A pipeline, which fails where any of its programs does. Its words come from the environment, so that none needs quotes. */
export function pipeline(script: string, env: Readonly<Record<string, string>>, shown: string): Command {
  return { file: 'bash', args: ['-o', 'pipefail', '-c', script], env, shown }
}
