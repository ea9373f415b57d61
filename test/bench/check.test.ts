import { describe, expect, it } from 'vitest'
import { checksumQuery, compareChecksums } from '../../bench/check.js'
import { describeDataSets } from '../../bench/data-sets.js'

const { narrow } = describeDataSets(1)
/** count(*), then for each of three columns: count, sum, sum by row. */
const checksum = ['10', '10', '55', '700', '10', '44', '800', '10', '33', '900']

describe('two checksums', () => {
  it('are equal when every part is', () => {
    expect(compareChecksums(narrow, checksum.join(' '), checksum.join(' '))).toBeNull()
  })

  it('that differ name the column, the part and both values', () => {
    const landed = checksum.with(6, '801').join(' ')
    expect(compareChecksums(narrow, checksum.join(' '), landed)).toBe(
      'narrow, account: sum by row: 800 at the source, 801 landed',
    )
  })

  it.each(checksum.map((_, index) => index))('differ when part %d does', (index) => {
    const landed = checksum.with(index, '0').join(' ')
    expect(compareChecksums(narrow, checksum.join(' '), landed)).not.toBeNull()
  })

  it('differ when nothing landed', () => {
    expect(compareChecksums(narrow, checksum.join(' '), '')).toContain('rows: 10 at the source')
  })

  it('cannot be compared when the source gave something else', () => {
    expect(() => compareChecksums(narrow, '1 2', '1 2')).toThrow(RangeError)
  })
})

describe('the query of a checksum', () => {
  it('names every column of every data set, in both dialects', () => {
    for (const set of Object.values(describeDataSets(1))) {
      for (const dialect of ['postgres', 'duckdb'] as const) {
        const query = checksumQuery(set, dialect, 'public.t')
        for (const { name } of set.columns) expect(query).toContain(`count(${name})`)
      }
    }
  })
})
