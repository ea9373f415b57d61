/**
 * The demo: a real PostgreSQL with a small shop in it, copied into shop.duckdb, changed, and copied again.
 *
 * It uses the command line tool the way anybody would, as a child process, and then checks its work with nothing but
 * SQL on both sides.
 */
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { readFile, rm } from 'node:fs/promises'
import path from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { DuckDBInstance } from '@duckdb/node-api'
import type pg from 'pg'
import type { RunReport } from 'trunkline'
import { startServer } from '../scripts/servers/server.js'

const HERE = path.dirname(fileURLToPath(import.meta.url))
const CLI = path.join(HERE, '..', 'dist', 'cli', 'main.js')
const FILE = 'shop.duckdb'
const TABLES = ['customers', 'orders', 'order_items', 'events']

const bold = (text: string): string => style('1', text)
const faint = (text: string): string => style('2', text)
const good = (text: string): string => style('32', text)

async function main(): Promise<void> {
  step('Starting a PostgreSQL 18 of our own and filling a small shop')
  await using server = await startServer({ major: 18 })
  const admin = await server.connect('postgres')
  await admin.query('CREATE DATABASE shop')
  await admin.query("CREATE ROLE reader LOGIN PASSWORD 'reader'")
  await admin.end()
  const shop = await server.connect('shop')
  await shop.query(await readFile(path.join(HERE, 'shop.sql'), 'utf8'))
  await shop.query(
    'GRANT USAGE ON SCHEMA public TO reader; GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader',
  )
  note(
    `${(await sourceRows(shop)).toLocaleString('en')} rows in ${TABLES.length} tables, one of them in 12 partitions; the role can only SELECT`,
  )

  await removeOldCopy()
  const url = `postgresql://reader@${server.host}:${server.port}/shop`

  step('First sync: everything, as of one instant')
  const first = await trunkline(['sync', url, FILE])

  step('A day passes in the shop')
  const late = await server.connect('shop')
  await late.query('BEGIN')
  const lateRow = await insertLateOrder(late)
  note(
    `a session opens a transaction, inserts order ${lateRow.id} at ${lateRow.updated_at}, and does not commit yet`,
  )
  await shop.query(await readFile(path.join(HERE, 'changes.sql'), 'utf8'))
  note('1,500 new orders, 300 updates (200 of them touch no timestamp), two days deleted, a new column')

  step('Second sync: only what changed')
  const second = await trunkline(['sync', url, FILE])
  const cursor = await newestInCopy()
  await late.query('COMMIT')
  await late.end()
  note(`now the late transaction commits. The newest row in the copy says ${cursor}: a tool that asks for`)
  note(`"updated_at > ${cursor}" never sees order ${lateRow.id}`)

  step('Third sync, and a comparison of every value')
  const third = await trunkline(['sync', url, FILE, '--verify'])

  step('Is it right?')
  await compare(shop, third, lateRow.id)
  await shop.end()
  summarize([first, second, third])
}

/** Inserts an order in the open transaction: its timestamps are those of the transaction's begin. */
async function insertLateOrder(session: pg.Client): Promise<{ id: string; updated_at: string }> {
  const result = await session.query<{ id: string; updated_at: string }>(
    `INSERT INTO orders (customer_id, status, total, paid, note, placed_at, updated_at)
     VALUES (1, 'placed', 99.95, true, 'committed late', now(), now())
     RETURNING id::text, to_char(updated_at AT TIME ZONE 'UTC', 'HH24:MI:SS.US') AS updated_at`,
  )
  const row = result.rows[0]
  if (!row) throw new Error('the late order was not inserted')
  return row
}

async function compare(shop: pg.Client, report: RunReport, lateId: string): Promise<void> {
  const instance = await DuckDBInstance.create(FILE, { access_mode: 'READ_ONLY' })
  const copy = await instance.connect()
  const ask = async (sql: string): Promise<unknown> => (await copy.runAndReadAll(sql)).getRows()[0]?.[0]
  let equal = true
  for (const table of TABLES) {
    const source = Number((await shop.query<{ n: string }>(`SELECT count(*) AS n FROM ${table}`)).rows[0]?.n)
    const landed = Number(await ask(`SELECT count(*) FROM public.${table}`))
    const verified = report.streams.find((stream) => stream.stream === `public.${table}`)?.verified
    const same = source === landed && verified?.equal === true
    equal &&= same
    const differences = verified ? verified.missing + verified.unexpected : NaN
    note(
      `${table.padEnd(12)} ${source.toLocaleString('en').padStart(9)} rows in PostgreSQL  ` +
        `${landed.toLocaleString('en').padStart(9)} in ${FILE}  ${differences} differences  ${same ? good('equal') : 'DIFFERENT'}`,
    )
  }
  const late = Number(await ask(`SELECT count(*) FROM public.orders WHERE id = ${lateId}`))
  note(`order ${lateId}, committed late: ${late === 1 ? good('here') : 'MISSING'}`)
  copy.closeSync()
  instance.closeSync()
  if (!equal || late !== 1)
    throw new Error('source and destination differ: this must never happen, please report it')
}

async function newestInCopy(): Promise<string> {
  const instance = await DuckDBInstance.create(FILE, { access_mode: 'READ_ONLY' })
  const copy = await instance.connect()
  const reader = await copy.runAndReadAll(
    "SELECT strftime(max(updated_at) AT TIME ZONE 'UTC', '%H:%M:%S.%f') FROM public.orders",
  )
  copy.closeSync()
  instance.closeSync()
  return String(reader.getRows()[0]?.[0])
}

function summarize(reports: readonly RunReport[]): void {
  step('In short')
  const names = ['everything', 'what changed', 'late row, verified']
  for (const [index, report] of reports.entries()) {
    const megabytes = report.bytesRead / 1e6
    note(
      `${(names[index] ?? '').padEnd(19)} ${report.rowsRead.toLocaleString('en').padStart(9)} rows  ` +
        `${report.seconds.toFixed(1).padStart(5)} s  ${(megabytes / report.seconds).toFixed(1).padStart(6)} MB/s  ` +
        `peak memory ${(report.peakMemoryBytes / 2 ** 20).toFixed(0)} MiB`,
    )
  }
  process.stdout.write(
    `\nThe copy is in ${bold(FILE)}. Try, with the DuckDB shell:\n\n` +
      `  duckdb ${FILE} "SELECT status, count(*), sum(total) FROM public.orders GROUP BY ALL ORDER BY 2 DESC"\n\n` +
      `or copy a database of your own:  npx trunkline sync postgresql://user@host/database my.duckdb\n`,
  )
}

/** Runs the command line tool: its progress goes to our terminal, its report comes back. */
async function trunkline(args: readonly string[]): Promise<RunReport> {
  process.stdout.write(faint(`  $ trunkline ${args.join(' ')}\n`))
  const child = spawn(process.execPath, [CLI, ...args, '--json'], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, PGPASSWORD: 'reader' },
  })
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text))
  const code = await new Promise<number | null>((resolve, reject) =>
    child.on('error', reject).on('close', resolve),
  )
  if (code !== 0) throw new Error(`trunkline ended with exit code ${code}`)
  const events = output.split('\n').filter((line) => line !== '')
  const last = JSON.parse(events.at(-1) ?? 'null') as { kind?: string; report?: RunReport } | null
  if (last?.kind !== 'run_finished' || !last.report) throw new Error('trunkline printed no report')
  return last.report
}

async function sourceRows(shop: pg.Client): Promise<number> {
  let rows = 0
  for (const table of TABLES) {
    rows += Number((await shop.query<{ n: string }>(`SELECT count(*) AS n FROM ${table}`)).rows[0]?.n)
  }
  return rows
}

async function removeOldCopy(): Promise<void> {
  for (const file of [FILE, `${FILE}.wal`]) {
    if (!existsSync(file)) continue
    await rm(file)
    if (file === FILE) note(`removed the ${FILE} of an earlier demo`)
  }
}

function step(title: string): void {
  process.stdout.write(`\n${bold(title)}\n`)
}

function note(text: string): void {
  process.stdout.write(`  ${text}\n`)
}

function style(code: string, text: string): string {
  return process.stdout.isTTY && process.env['NO_COLOR'] === undefined ? `\x1b[${code}m${text}\x1b[0m` : text
}

await main()
