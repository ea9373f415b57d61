/** Other programs on the same work as Trunkline. How to install them: install.mjs. */
import type { Job } from '../job.js'
import { FILE_JOBS } from './file-jobs.js'
import { POSTGRES_JOBS } from './postgres-jobs.js'
import { ROW_JOBS } from './row-jobs.js'

export const PEER_JOBS: readonly Job[] = [...ROW_JOBS, ...FILE_JOBS, ...POSTGRES_JOBS]
