import { describeDestination } from '../conformance.js'
import { makeDuckDbPlace } from './duckdb-place.js'

describeDestination('DuckDB', () => makeDuckDbPlace())
describeDestination('DuckDB with publish=atomic', () => makeDuckDbPlace({ publish: 'atomic' }))
