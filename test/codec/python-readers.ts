/** What pyarrow and polars find in files, where this machine's Python has them. */
import { execFile } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { ColumnType, Field } from '../../src/model/column-type.js'
import { canonicalFloat, type Canonical } from './canonical-rows.js'

const run = promisify(execFile)
const script = fileURLToPath(new URL('read-columns.py', import.meta.url))
const PYTHON = process.env['TRUNKLINE_TEST_PYTHON'] ?? 'python3'

/** Most that a test waits for such a process, however busy the machine. */
export const PYTHON_TIMEOUT_MS = 300_000

/** Which of `pyarrow` and `polars` this machine's Python has. */
export async function pythonReaders(): Promise<readonly string[]> {
  const found: string[] = []
  for (const name of ['pyarrow', 'polars']) {
    const works = await run(PYTHON, ['-c', `import ${name}`]).then(
      () => true,
      () => false,
    )
    if (works) found.push(name)
  }
  return found
}

export interface WrittenFile {
  readonly file: string
  readonly fields: readonly Field[]
}

/** By pyarrow or polars, all files in one process: it takes seconds to begin. */
export async function readByPython(reader: string, files: readonly WrittenFile[]): Promise<Canonical[][][]> {
  const plan = `${files[0]!.file}.${reader}.json`
  await writeFile(
    plan,
    JSON.stringify(
      files.map(({ file, fields }) => ({ file, fields: fields.map(({ name, type }) => ({ name, type })) })),
    ),
  )
  const { stdout } = await run(PYTHON, [script, reader, plan], { maxBuffer: 1 << 30 })
  const tables = JSON.parse(stdout) as unknown[][][]
  return tables.map((rows, table) =>
    rows.map((row) => row.map((value, index) => fromPython(files[table]!.fields[index]!.type, value))),
  )
}

/** Floats come as the bytes of a double. */
function fromPython(type: ColumnType, value: unknown): Canonical {
  if (value === null) return null
  if (type.kind === 'list') return (value as unknown[]).map((element) => fromPython(type.element, element))
  if (type.kind === 'float') return canonicalFloat(Buffer.from(value as string, 'hex').readDoubleBE())
  return value as string | boolean
}
