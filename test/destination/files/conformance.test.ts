import { createCsvFormat } from '../../../src/destination/files/csv-format.js'
import { createJsonlFormat } from '../../../src/destination/files/jsonl-format.js'
import { describeDestination } from '../describe-destination.js'
import { makeFilesPlace } from './files-place.js'

const csv = await createCsvFormat({})
const jsonl = await createJsonlFormat({})

await describeDestination('CSV files', () => makeFilesPlace(csv))
await describeDestination('JSON Lines files', () => makeFilesPlace(jsonl, { jsonByValue: true }))
