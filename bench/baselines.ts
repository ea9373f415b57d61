/** What jobs are held against, and how programs are looked for. */
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { copyStatement, selectPattern } from './data-sets.js'
import type { DataSet } from './data-sets.js'
import type { Baseline, Presence } from './job.js'
import type { Command } from './measure.js'

export const childScript = (name: string): string =>
  fileURLToPath(new URL(`children/${name}`, import.meta.url))

/** `program --version`, of which the first line is kept. */
export function probeProgram(program: string): Presence {
  const { status, stdout } = spawnSync(program, ['--version'], { encoding: 'utf8' })
  if (status !== 0) return { absent: `${program} is not installed` }
  return { version: stdout.trim().split('\n')[0] ?? program }
}

export const drainCommand = (set: DataSet, connection: Readonly<Record<string, string>>): Command => ({
  file: process.execPath,
  args: [childScript('drain.mjs'), selectPattern(set)],
  env: connection,
  shown: `node bench/children/drain.mjs ${selectPattern(set)}`,
  keepOutput: true,
})

const psql = (sql: string, connection: Readonly<Record<string, string>>): Command => ({
  file: 'psql',
  args: ['-X', '-q', '-c', sql],
  env: connection,
  shown: `psql -c '${sql}' > /dev/null`,
})

/** One COPY after the other; from standard input, because that many statements are too long for an argument. */
const psqlEach = (set: DataSet, connection: Readonly<Record<string, string>>): Command => ({
  file: 'psql',
  args: ['-X', '-q'],
  input: Array.from({ length: set.tables }, (_, index) => `${copyStatement(set, index)};\n`).join(''),
  env: connection,
  shown: `psql < copy-each-table-of-${set.name}.sql > /dev/null`,
})

const hasPsql = 'version' in probeProgram('psql')

/** As fast as one connection can be: the server's bytes, received and dropped. */
export const copyBaseline: Baseline = {
  title: hasPsql
    ? 'psql COPY BINARY to /dev/null'
    : 'COPY BINARY received and dropped by node (psql is not installed)',
  probe: async () => Promise.resolve(hasPsql ? probeProgram('psql') : { version: `node ${process.version}` }),
  command: ({ set, connection }) => {
    if (!hasPsql) return drainCommand(set, connection)
    return set.tables > 1 ? psqlEach(set, connection) : psql(copyStatement(set, 0), connection)
  },
}

/** The least a server does to look at every row: what a run that finds nothing to copy is held against. */
export const countBaseline: Baseline = {
  title: 'serial SELECT count(*) by psql',
  probe: async () => Promise.resolve(probeProgram('psql')),
  command: ({ set, connection }) =>
    psql(`SELECT count(*) FROM ${set.name}`, {
      ...connection,
      PGOPTIONS: '-c max_parallel_workers_per_gather=0',
    }),
}

export const bareNode: Baseline = {
  title: 'node that does nothing',
  probe: async () => Promise.resolve({ version: `node ${process.version}` }),
  command: () => ({ file: process.execPath, args: ['--eval', '0'], shown: 'node --eval 0' }),
}
