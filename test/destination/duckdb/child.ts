/** Child processes of the tests of this folder. */
import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

export interface Child {
  readonly process: ChildProcess
  readonly lines: string[]
  /** Resolves with the first line that starts so; rejects when the process ends before. */
  waitFor(start: string): Promise<string>
  /** SIGKILL, and until it is gone. */
  kill(): Promise<void>
}

export function startChild(args: readonly string[]): Child {
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  const lines: string[] = []
  const listeners = new Set<() => void>()
  let errors = ''
  child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()))
  createInterface({ input: child.stdout }).on('line', (line) => {
    lines.push(line)
    for (const listener of listeners) listener()
  })
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  return {
    process: child,
    lines,
    waitFor: (start) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          const found = lines.find((line) => line.startsWith(start))
          if (found === undefined) return
          listeners.delete(look)
          resolve(found)
        }
        listeners.add(look)
        void ended.then(() => reject(new Error(`the child ended without saying ${start}: ${errors}`)))
        look()
      }),
    async kill() {
      child.kill('SIGKILL')
      await ended
    },
  }
}

const script = fileURLToPath(new URL('run-forever.ts', import.meta.url))

/** Runs {@link script} until it is killed. */
export function startRuns(file: string, publish: 'direct' | 'atomic', rows: number): Child {
  return startChild(['--import', 'tsx', script, file, publish, String(rows)])
}

/** A DuckDB that knows nothing of us and holds the file. */
export function holdFile(file: string): Child {
  const code = `
    const { DuckDBInstance } = await import('@duckdb/node-api')
    const instance = await DuckDBInstance.create(process.argv[1])
    const connection = await instance.connect()
    console.log('held')
    setInterval(() => connection, 1000)`
  return startChild(['--input-type=module', '-e', code, file])
}
