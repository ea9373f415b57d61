import { describe, expect, it } from 'vitest'
import { JOBS } from '../../bench/jobs.js'
import { parseOptions, usage } from '../../bench/options.js'

const parse = (...args: string[]) => parseOptions(args, JOBS)
const groupsOf = (options: ReturnType<typeof parse>): readonly string[] => [
  ...new Set(options?.jobs.map(({ group }) => group)),
]

describe('the options', () => {
  it('choose everything when nothing is said', () => {
    const options = parse()
    expect(options?.jobs).toEqual(JOBS)
    expect(options?.groups.has('impact')).toBe(true)
    expect(options).toMatchObject({ tables: null, everything: false, pairs: null, scale: 1, save: false })
  })

  it('choose by group and by name', () => {
    expect(groupsOf(parse('--group', 'shapes,again'))).toEqual(['shapes', 'again'])
    const options = parse('--group', 'scaling', '--job', 'duckdb')
    expect(options?.jobs.map(({ group, name }) => `${group} ${name}`)).toEqual(['scaling duckdb'])
    expect(options?.groups.has('impact')).toBe(false)
    expect(parse('--job', 'duckdb')?.groups.has('impact')).toBe(false)
  })

  it('take the table that must be named where sizes are asked for', () => {
    expect(parse('--group', 'scaling')?.everything).toBe(true)
    expect(parse('--group', 'readers')?.everything).toBe(false)
  })

  it('make a quick look of everything', () => {
    expect(parse('--quick')).toMatchObject({ everything: true, pairs: 1, scale: 0.02 })
    expect(parse('--quick', '--pairs', '2')).toMatchObject({ pairs: 2, scale: 0.02 })
  })

  it('do not publish what was measured on small tables', () => {
    expect(() => parse('--quick', '--save')).toThrow('--out')
  })

  it.each([
    ['--group', 'speed'],
    ['--job', 'nothing'],
    ['--table', 'nothing'],
  ])('refuse %s %s', (option, value) => {
    expect(() => parse(option, value)).toThrow(value)
  })

  it('are all in the help, with every group', () => {
    expect(parse('--help')).toBeNull()
    const text = usage(JOBS)
    for (const word of ['readers', 'scaling', 'impact', '--quick', '--out', 'many_small']) {
      expect(text).toContain(word)
    }
  })
})
