/**
 * Reads the text format of Prometheus as strictly as `promtool check metrics` does:
 * https://prometheus.io/docs/instrumenting/exposition_formats/ and its linter's rules for names and help.
 */

export interface Family {
  readonly name: string
  readonly type: string
  readonly samples: readonly Sample[]
}

export interface Sample {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

const SAMPLE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$/
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(,|$)/y

/** @throws what is wrong with it, with the line */
export function parseExposition(text: string): ReadonlyMap<string, Family> {
  if (!text.endsWith('\n')) throw new Error('the last line does not end')
  const families = new Map<string, { name: string; help: boolean; type: string; samples: Sample[] }>()
  const seen = new Set<string>()
  let current: string | null = null
  for (const line of text.slice(0, -1).split('\n')) {
    if (line === '') continue
    const comment = /^# (HELP|TYPE) (\S+) (.+)$/.exec(line)
    if (comment) {
      const [, kind, name = '', rest = ''] = comment
      const family = families.get(name) ?? { name, help: false, type: '', samples: [] }
      if (families.has(name) && current !== name)
        throw new Error(`the lines of ${name} do not stand together`)
      if (kind === 'HELP' ? family.help : family.type !== '') throw new Error(`${name} has two ${kind} lines`)
      if (kind === 'TYPE' && family.samples.length > 0) throw new Error(`${name} has its type after a sample`)
      if (kind === 'HELP') family.help = true
      else family.type = rest
      families.set(name, family)
      current = name
      continue
    }
    const sample = parseSample(line)
    const key = `${sample.name} ${JSON.stringify(Object.entries(sample.labels).sort())}`
    if (seen.has(key)) throw new Error(`twice: ${line}`)
    seen.add(key)
    const family = current === null ? undefined : families.get(current)
    if (family === undefined || !belongs(sample.name, family)) throw new Error(`out of place: ${line}`)
    family.samples.push(sample)
  }
  for (const family of families.values()) lint(family)
  return families
}

function parseSample(line: string): Sample {
  const match = SAMPLE.exec(line)
  if (match === null) throw new Error(`not a sample: ${line}`)
  const [, name = '', labelText = '', value = ''] = match
  const labels: Record<string, string> = {}
  LABEL.lastIndex = 0
  while (LABEL.lastIndex < labelText.length) {
    const at = LABEL.lastIndex
    const label = LABEL.exec(labelText)
    if (label === null) throw new Error(`not a label at ${at}: ${line}`)
    const [, key = '', text = ''] = label
    if (key in labels) throw new Error(`the label ${key} twice: ${line}`)
    labels[key] = text
  }
  if (!/^([+-]?(\d+(\.\d+)?(e[+-]?\d+)?|Inf)|NaN)$/i.test(value)) throw new Error(`not a value: ${line}`)
  return { name, labels, value: Number(value.replace('Inf', 'Infinity')) }
}

function belongs(sample: string, { name, type }: { name: string; type: string }): boolean {
  if (type === 'histogram') return [`${name}_bucket`, `${name}_sum`, `${name}_count`].includes(sample)
  return sample === name
}

function lint(family: { name: string; help: boolean; type: string; samples: readonly Sample[] }): void {
  const { name, help, type, samples } = family
  const fail = (why: string): never => {
    throw new Error(`${name} ${why}`)
  }
  if (!help) fail('has no help')
  if (!['counter', 'gauge', 'histogram', 'summary', 'untyped'].includes(type)) fail(`has the type ${type}`)
  if (type === 'counter' && !name.endsWith('_total')) fail('is a counter without _total')
  if (type !== 'counter' && name.endsWith('_total')) fail('ends in _total and is no counter')
  if (type !== 'histogram' && /_(bucket|sum|count)$/.test(name)) fail('is named as part of a histogram')
  if (/_(gauge|counter|histogram|summary)(_|$)/.test(name)) fail('has its type in its name')
  if (/_(milliseconds|ms|minutes|hours|kb|mb|megabytes|percent)(_|$)/.test(name))
    fail('is not in a base unit')
  if (!/^[a-z][a-z0-9_]*$/.test(name)) fail('is not in snake case')
  if (type === 'histogram') lintHistogram(samples, fail)
}

function lintHistogram(samples: readonly Sample[], fail: (why: string) => never): void {
  const series = new Map<string, Sample[]>()
  for (const sample of samples) {
    const { le: _, ...rest } = sample.labels
    const key = JSON.stringify(Object.entries(rest).sort())
    series.set(key, [...(series.get(key) ?? []), sample])
  }
  for (const own of series.values()) {
    const buckets = own.filter(({ name }) => name.endsWith('_bucket'))
    const bounds = buckets.map(({ labels }) => Number((labels['le'] ?? '').replace('+Inf', 'Infinity')))
    const values = buckets.map(({ value }) => value)
    const ascending = (numbers: readonly number[]): boolean =>
      numbers.every((number, index) => index === 0 || number >= (numbers[index - 1] ?? NaN))
    if (bounds.at(-1) !== Infinity || !ascending(bounds)) fail('has buckets out of order or without +Inf')
    if (!ascending(values)) fail('has buckets that fall')
    if (own.find(({ name }) => name.endsWith('_count'))?.value !== values.at(-1))
      fail('has a count unlike its last bucket')
    if (!own.some(({ name }) => name.endsWith('_sum'))) fail('has no sum')
  }
}
