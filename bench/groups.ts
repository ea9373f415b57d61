/** The experiments of the benchmark. Each is complete in itself: what is compared was run in the same rounds. */

interface Group {
  readonly title: string
  readonly text: string
  /** Where nothing else is asked for: what is compared closely needs more than what differs by far. */
  readonly rounds: number
}

export const GROUPS = {
  control: {
    rounds: 2,
    title: 'What the numbers are worth',
    text: 'The baseline against itself shows the noise; node-postgres shows what receiving alone costs Node.',
  },
  readers: {
    rounds: 3,
    title: 'One, two and four readers',
    text: 'Each round runs the baseline and then every number of readers, so that both ratios are of neighbours. Automatic is what a sync does that is not told a number.',
  },
  destinations: {
    rounds: 3,
    title: 'Every destination',
    text: 'A table to each kind of destination, with one reader and with two, beside COPY to nowhere in every round. To PostgreSQL the target is a database of the server that is read; rows pass as they are unless something looks into them, and psql piped to psql makes no primary key.',
  },
  peers: {
    rounds: 1,
    title: 'Beside other programs',
    text: 'The same job by each program that could be installed, in the same rounds.',
  },
  shapes: {
    rounds: 2,
    title: 'Wide rows, long text, many small tables',
    text: '`many_small` is a schema of 2,000 tables of 100 rows; its baseline is one psql that runs one COPY after the other.',
  },
  methods: {
    rounds: 3,
    title: 'COPY, cursor, query',
    text: 'Rows asked for by COPY, through a cursor by FETCH of 10,000 rows, and by one query, decoded and dropped by one reader in batches of 10,000 rows, in the same rounds.',
  },
  scaling: {
    rounds: 2,
    title: 'More rows',
    text: 'All sizes of a table in the same round; time for each row and peak memory as ratios to those at 1 M rows. Start-up is in them: it weighs most at 1 M.',
  },
  conditions: {
    rounds: 2,
    title: 'TLS and distance',
    text: 'The baseline goes by the same path. The delay is made by a proxy that holds the bytes of each direction for half a round trip and limits nothing else; it runs on the same two cores and is in none of the processor times.',
  },
  again: {
    rounds: 3,
    title: 'Runs after the first',
    text: 'Held against a serial `SELECT count(*)` of the table, the least that looks at every row.',
  },
  start: { rounds: 5, title: 'Start-up', text: '' },
  impact: {
    rounds: 2,
    title: 'What the source feels',
    text: 'pgbench at a fixed rate while the table is copied over and over. Latency counts from when a transaction was due. The copying program runs on the same two cores as the server, which on a machine of its own it would not.',
  },
} as const satisfies Readonly<Record<string, Group>>

export type GroupName = keyof typeof GROUPS

export const GROUP_NAMES = Object.keys(GROUPS) as readonly GroupName[]
