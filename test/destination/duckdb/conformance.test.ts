import { describeDestination } from '../describe-destination.js'
import { makeDuckDbPlace } from './duckdb-place.js'

await describeDestination('DuckDB', () => makeDuckDbPlace())
