/** docs/reference/destinations.md: what each destination offers, asked of the destinations themselves. */
import { readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { expect, test } from 'vitest'
import { openDestination } from '../../src/connectors.js'
import type { Destination } from '../../src/destination/contract.js'
import { destinationCases } from '../../src/testing/conformance.js'

const PAGE = path.resolve(import.meta.dirname, '../../docs/reference/destinations.md')
const MARKS = ['<!-- offers -->', '<!-- end of offers -->'] as const

/** As it is written, and where none of it is touched by asking. */
const DESTINATIONS: readonly (readonly [title: string, text: string])[] = [
  ['`duckdb:`', 'duckdb:nowhere.duckdb'],
  ['`postgresql:`', 'postgresql://nobody@localhost/nowhere'],
  ['`parquet:`', 'parquet:nowhere'],
  ['`arrow:`', 'arrow:nowhere'],
  ['`csv:`', 'csv:nowhere'],
  ['`jsonl:`', 'jsonl:nowhere'],
]

interface Behaviour {
  readonly title: string
  readonly offered: (destination: Destination) => boolean
}

const BEHAVIOURS: readonly Behaviour[] = [
  {
    title: 'whole loads that replace the last one (`replace`)',
    offered: ({ capabilities }) => capabilities.landings.has('replace'),
  },
  {
    title: 'rows that replace those of their key (`upsert`)',
    offered: ({ capabilities }) => capabilities.landings.has('upsert'),
  },
  {
    title: 'rows that are added (`append`)',
    offered: ({ capabilities }) => capabilities.landings.has('append'),
  },
  { title: 'mirrors; deletes, hard or soft', offered: ({ capabilities }) => capabilities.deletes },
  { title: 'comparing every value (`--verify`)', offered: ({ capabilities }) => capabilities.verify },
  {
    title: 'long first loads go on where they were interrupted',
    offered: ({ capabilities }) => capabilities.resume,
  },
  {
    title: 'many unchanged tables in one commit',
    offered: (destination) => destination.confirmUnchanged !== undefined,
  },
  {
    title: '`A` and `a` are two names',
    offered: ({ capabilities }) => capabilities.foldName('A') !== capabilities.foldName('a'),
  },
]

async function renderTable(): Promise<string> {
  const opened = await Promise.all(DESTINATIONS.map(([, text]) => openDestination(text)))
  try {
    const rows = [
      ['', ...DESTINATIONS.map(([title]) => title)],
      ['---', ...DESTINATIONS.map(() => ':-:')],
      ...BEHAVIOURS.map(({ title, offered }) => [
        title,
        ...opened.map((destination) => (offered(destination) ? 'yes' : '–')),
      ]),
    ]
    return rows.map((row) => `| ${row.join(' | ')} |`).join('\n')
  } finally {
    for (const destination of opened) await destination.close()
  }
}

test('the page of destinations says what they say of themselves', async () => {
  const table = await renderTable()
  const text = await readFile(PAGE, 'utf8')
  const [start, end] = MARKS.map((mark) => text.indexOf(mark))
  expect(Math.min(start ?? -1, end ?? -1)).toBeGreaterThan(0)
  const before = text.slice(0, (start ?? 0) + MARKS[0].length)
  const present = text.slice(before.length, end)
  const cells = (rows: string): string[][] =>
    rows
      .trim()
      .split('\n')
      .filter((row) => !/^[|\s:-]*$/.test(row))
      .map((row) => row.split('|').map((cell) => cell.trim()))
  // Written anew where that is asked for, and never otherwise.
  if (process.env['TRUNKLINE_WRITE_PAGES'] === '1') {
    await writeFile(PAGE, `${before}\n\n${table}\n\n${text.slice(end)}`)
  } else {
    expect(cells(present)).toEqual(cells(table))
  }
})

test('the suite has cases of every topic that the page names', async () => {
  const text = await readFile(PAGE, 'utf8')
  const topics = new Map<string, number>()
  for (const { topic } of destinationCases) topics.set(topic, (topics.get(topic) ?? 0) + 1)
  const named = [...text.matchAll(/^\| (\w+) +\| (\d+) +\|/gm)].map(([, topic = '', count]) => [
    topic,
    Number(count),
  ])
  expect(named).toEqual([...topics])
})
