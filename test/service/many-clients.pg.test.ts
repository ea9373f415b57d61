/**
 * Many clients at once, half of them slow, some that vanish. Bigger: TRUNKLINE_TEST_CLIENTS (50) clients over a table of
 * TRUNKLINE_TEST_CLIENT_ROWS (30,000) rows of about a kilobyte, each client asking TRUNKLINE_TEST_CLIENT_ROUNDS (1) times.
 */
import { get, request } from 'node:http'
import { expect, test } from 'vitest'
import { makeFolder, parseLines, runCli, type CliResult } from '../cli/run-cli.js'
import { onNewestServer } from '../server/servers.js'
import { parseExposition } from './exposition.js'
import { TOKEN, fullTable } from './open-service.js'

const CLIENTS = Number(process.env['TRUNKLINE_TEST_CLIENTS'] ?? 50)
const ROWS = Number(process.env['TRUNKLINE_TEST_CLIENT_ROWS'] ?? 8000)
const ROUNDS = Number(process.env['TRUNKLINE_TEST_CLIENT_ROUNDS'] ?? 1)
const EXTRACTIONS = 10
/** Above what the service takes alone; what ten slow clients may hold is a few megabytes each. */
const MOST_ABOVE_BYTES = 150 * 1024 * 1024
const SLOW_PAUSE_MS = 20

type Kind = 'fast' | 'slow' | 'vanishing'

interface Outcome {
  readonly kind: Kind
  readonly complete: boolean
  readonly rows: number
  readonly refusals: number
}

onNewestServer('Many clients', (server) => {
  test('memory stays flat, every connection comes back, and the metrics are right', async () => {
    const database = await server.createDatabase()
    const role = await database.createRole()
    await database.sql(
      `CREATE TABLE t AS SELECT i AS id, repeat(md5(i::text), 32) AS x FROM generate_series(1, ${ROWS}) AS i;
       GRANT SELECT ON t TO ${role.name}`,
    )
    const service = await serve(role.url)
    const agent = { url: service.url }
    expect((await extractOnce(agent.url, 'fast')).rows).toBe(ROWS)
    const alone = (await metricsOf(agent.url)).memory

    let highest = 0
    let watching = true
    const watch = (async () => {
      while (watching) {
        highest = Math.max(highest, (await metricsOf(agent.url)).memory)
        await new Promise((resolve) => setTimeout(resolve, 100))
      }
    })()
    const kinds = Array.from({ length: CLIENTS }, (_, index): Kind =>
      index % 5 === 4 ? 'vanishing' : index % 2 === 0 ? 'slow' : 'fast',
    )
    const outcomes = (await Promise.all(kinds.map((kind) => extractRounds(agent.url, kind)))).flat()
    watching = false
    await watch

    const staying = outcomes.filter(({ kind }) => kind !== 'vanishing')
    expect(staying.filter(({ complete, rows }) => !complete || rows !== ROWS)).toEqual([])
    const refusals = outcomes.reduce((sum, outcome) => sum + outcome.refusals, 0)
    expect(refusals).toBeGreaterThan(0)
    expect(highest - alone).toBeLessThan(MOST_ABOVE_BYTES)

    for (;;) {
      const [row] = await database.sql<{ n: string }>(
        `SELECT count(*) AS n FROM pg_stat_activity
          WHERE datname = current_database() AND application_name LIKE 'trunkline%' AND state <> 'idle'`,
      )
      if (row?.n === '0') break
    }
    const left = outcomes.length - staying.length
    let metrics = await metricsOf(agent.url)
    while (metrics.inProgress !== 0) metrics = await metricsOf(agent.url)
    expect(metrics).toMatchObject({ complete: staying.length + 1, left, refused: refusals, failed: 0 })
    expect(metrics.rows).toBeGreaterThanOrEqual((staying.length + 1) * ROWS)
    expect(metrics.rows).toBeLessThanOrEqual((outcomes.length + 1) * ROWS)
    const [sessions] = await database.sql<{ n: string }>(
      `SELECT count(*) AS n FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'trunkline%'`,
    )
    expect(metrics.connections).toBe(Number(sessions?.n))

    service.stop()
    expect((await service.ended).code).toBe(0)
    const mib = (bytes: number): string => (bytes / 2 ** 20).toFixed(0)
    console.info(
      `${outcomes.length} extractions of ${ROWS} rows by ${CLIENTS} clients: ${staying.length} complete, ${left} left, ` +
        `${refusals} refused before; resident memory ${mib(alone)} MiB alone, ${mib(highest)} MiB at most`,
    )
  })
})

async function extractRounds(url: string, kind: Kind): Promise<Outcome[]> {
  const outcomes: Outcome[] = []
  for (let round = 0; round < ROUNDS; round++) {
    let refusals = 0
    for (;;) {
      const outcome = await extractOnce(url, kind)
      if (!outcome.refused) {
        outcomes.push({ kind, complete: outcome.complete, rows: outcome.rows, refusals })
        break
      }
      refusals++
      await new Promise((resolve) => setTimeout(resolve, 50 + Math.random() * 100))
    }
  }
  return outcomes
}

/** A slow one takes a piece and rests; one that vanishes goes after its first piece. */
function extractOnce(
  url: string,
  kind: Kind,
): Promise<{ readonly refused: boolean; readonly complete: boolean; readonly rows: number }> {
  return new Promise((resolve, reject) => {
    const body = JSON.stringify(fullTable('t'))
    const headers = {
      authorization: `Bearer ${TOKEN}`,
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(body),
    }
    const asked = request(`${url}/extract`, { method: 'POST', headers, agent: false }, (response) => {
      const refused = response.statusCode === 429
      let rows = 0
      response.on('data', (piece: Buffer) => {
        for (let at = piece.indexOf(10); at >= 0; at = piece.indexOf(10, at + 1)) rows++
        if (kind === 'vanishing' && !refused) asked.destroy()
        if (kind === 'slow' && rows % 3 === 0) {
          response.pause()
          setTimeout(() => response.resume(), SLOW_PAUSE_MS)
        }
      })
      response.on('error', () => undefined)
      response.on('close', () => {
        const complete = response.complete && response.trailers['trunkline-status'] === 'complete'
        resolve({ refused, complete, rows })
      })
    })
    asked.on('error', (error) => {
      if (kind !== 'vanishing') reject(error)
    })
    asked.end(body)
  })
}

interface Seen {
  readonly memory: number
  readonly rows: number
  readonly connections: number
  readonly inProgress: number
  readonly complete: number
  readonly left: number
  readonly failed: number
  readonly refused: number
}

async function metricsOf(url: string): Promise<Seen> {
  const text = await new Promise<string>((resolve, reject) => {
    get(`${url}/metrics`, { headers: { authorization: `Bearer ${TOKEN}` } }, (response) => {
      let read = ''
      response.setEncoding('utf8').on('data', (piece: string) => (read += piece))
      response.on('end', () => {
        resolve(read)
      })
    }).on('error', reject)
  })
  const families = parseExposition(text)
  const valueOf = (name: string, outcome?: string): number =>
    families.get(name)?.samples.find(({ labels }) => outcome === undefined || labels['outcome'] === outcome)
      ?.value ?? 0
  const ended = (outcome: string): number => valueOf('trunkline_extractions_total', outcome)
  return {
    memory: valueOf('process_resident_memory_bytes'),
    rows: valueOf('postgres_rows_extracted_total'),
    connections: valueOf('postgres_connections_active'),
    inProgress: valueOf('trunkline_extractions_in_progress'),
    complete: ended('complete'),
    left: ended('left'),
    failed: ended('failed'),
    refused: ended('refused'),
  }
}

/** A process of its own: its memory is the service's, and not that of the clients. */
function serve(
  source: string,
): Promise<{ readonly url: string; readonly ended: Promise<CliResult>; stop(): void }> {
  return new Promise((resolve, reject) => {
    const args = ['serve', source, '--json', '--port', '0', '--max-extractions', String(EXTRACTIONS)]
    const ended: Promise<CliResult> = runCli(args, {
      cwd: makeFolder(),
      env: { TRUNKLINE_TOKEN: TOKEN },
      onStdout: (text, child) => {
        if (!text.includes('\n')) return
        const [{ url = '' } = {}] = parseLines(text) as { url?: string }[]
        resolve({ url, ended, stop: () => void child.kill('SIGTERM') })
      },
    })
    ended.then(({ stderr }) => {
      reject(new Error(stderr))
    }, reject)
  })
}
