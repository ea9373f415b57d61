/** What pyarrow and polars find in files, where this machine's Python has them. */
import { execFile } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { ColumnType, Field } from '../../src/model/column-type.js'
import { canonicalFloat, type Canonical } from './canonical-rows.js'

const run = promisify(execFile)
const script = fileURLToPath(new URL('read-columns.py', import.meta.url))
export const PYTHON = process.env['TRUNKLINE_TEST_PYTHON'] ?? 'python3'

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

/** By pyarrow or polars, in a process of its own. `output`: a file for what it found. */
export async function readByPython(
  reader: string,
  file: string,
  fields: readonly Field[],
): Promise<Canonical[][]> {
  const plan = `${file}.fields.json`
  await writeFile(plan, JSON.stringify(fields.map(({ name, type }) => ({ name, type }))))
  const { stdout } = await run(PYTHON, [script, reader, file, plan], { maxBuffer: 1 << 30 })
  const rows = JSON.parse(stdout) as unknown[][]
  return rows.map((row) => row.map((value, index) => fromPython(fields[index]!.type, value)))
}

/** Floats come as the bytes of a double. */
function fromPython(type: ColumnType, value: unknown): Canonical {
  if (value === null) return null
  if (type.kind === 'list') return (value as unknown[]).map((element) => fromPython(type.element, element))
  if (type.kind === 'float') return canonicalFloat(Buffer.from(value as string, 'hex').readDoubleBE())
  return value as string | boolean
}
