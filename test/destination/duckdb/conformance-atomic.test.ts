import { describeDestination } from '../describe-destination.js'
import { makeDuckDbPlace } from './duckdb-place.js'

// Where it writes is all that differs: what becomes of the work of a run, and who sees it.
await describeDestination('DuckDB with publish=atomic', () => makeDuckDbPlace({ publish: 'atomic' }), [
  'state',
  'resuming',
  'ownership',
  'endings',
])
