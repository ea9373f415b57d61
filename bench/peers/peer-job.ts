/** What all jobs of other programs have in common, and what those have in common that land in a file. */
import { rm } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { copyBaseline } from '../baselines.js'
import type { Job, JobContext } from '../job.js'
import type { Command } from '../measure.js'
import { type Alteration, checkLanded } from './landed.js'

/** The tables that other programs are measured on. */
export const TABLES: Job['on'] = { lineitem: null, events: null, narrow: null }

export const SOURCE = '"$SOURCE"'

type Common = 'group' | 'by' | 'on' | 'baseline'

export function peerJob(job: Omit<Job, Common> & Partial<Pick<Job, 'by' | 'on'>>): Job {
  return { group: 'peers', by: 'peer', on: TABLES, baseline: copyBaseline, ...job }
}

/** A program that gives the rows to its caller: the number it prints is what can be checked. */
export function rowsJob(
  job: Pick<Job, 'name' | 'title' | 'probe' | 'command'> & Partial<Pick<Job, 'by'>>,
): Job {
  return peerJob({
    ...job,
    task: 'rows in memory',
    checkedAs: 'number of rows',
    check: async ({ set }, output) => {
      const count = output.trim()
      return Promise.resolve(count === String(set.rows) ? null : `${count} rows came of ${String(set.rows)}`)
    },
  })
}

export interface FileJob
  extends Pick<Job, 'name' | 'title' | 'probe'>, Partial<Pick<Job, 'on' | 'reference' | 'by'>> {
  readonly task: 'table to DuckDB file' | 'table to Parquet file' | 'table to JSON Lines'
  readonly ending: 'duckdb' | 'parquet' | 'jsonl'
  readonly alters?: readonly Alteration[]
  readonly prepare?: (context: JobContext, path: string) => Promise<void>
  readonly command: (context: JobContext, path: string) => Command
  /** What DuckDB's FROM takes to read what landed at the path. */
  readonly relation: (context: JobContext, path: string) => string
}

/** A program that lands in a file of its own, which is checked and removed after each run. */
export function fileJob({ ending, alters = [], prepare, command, relation, ...job }: FileJob): Job {
  const landing = ({ folder, set }: JobContext): string => join(folder, `${job.name}-${set.name}.${ending}`)
  return peerJob({
    ...job,
    ...(alters.length === 0 ? {} : { checkedAs: `every column, where it came as: ${alters.join(', ')}` }),
    prepare: async (context) => {
      await removeLanded(landing(context))
      await prepare?.(context, landing(context))
    },
    command: (context) => command(context, landing(context)),
    check: async (context) => {
      const path = landing(context)
      const wrong = await checkLanded(context, {
        ...(ending === 'duckdb' ? { path } : {}),
        relation: relation(context, path),
        alters: new Set(alters),
        inJson: ending === 'jsonl',
      })
      // What is left lying about would still be written to disk while the next program is measured.
      if (wrong === null) await removeLanded(path)
      return wrong
    },
  })
}

/** Beside the file may be DuckDB's log, and a folder that the program works in. */
async function removeLanded(path: string): Promise<void> {
  for (const ending of ['', '.wal', '.work']) await rm(`${path}${ending}`, { recursive: true, force: true })
}

/** A file as the report shows it. */
export const shownFile = (path: string): string => basename(path)
