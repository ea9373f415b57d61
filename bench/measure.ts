/** Runs one command as a child process and measures it from outside: what it does itself is not asked, so any tool can be measured. */
import { spawn } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { familyCpuSeconds, readTreeMemory, reapedCpuSeconds } from './processes.js'

export interface Command {
  readonly file: string
  readonly args: readonly string[]
  /** Added to the environment. */
  readonly env?: Readonly<Record<string, string>>
  /** As a person would type it, for the report: no paths of this machine. */
  readonly shown: string
  /** What it reads from standard input; default: nothing. */
  readonly input?: string
  /** Standard output is thrown away (opened as /dev/null, read by nobody) unless it is wanted. */
  readonly keepOutput?: boolean
}

/** What cannot be read on this system is null. The client is the process with all its descendants that it waited for. */
export interface Measurement {
  readonly wallSeconds: number
  readonly clientCpuSeconds: number | null
  readonly serverCpuSeconds: number | null
  /** Of the process and its descendants together. */
  readonly peakRssBytes: number | null
  readonly output: string
}

export interface ServerUnderTest {
  readonly pid: number
  /** Resolves when no session is left but our own. */
  awaitIdle(): Promise<void>
}

/** The kernel keeps the peak of each process, so of a program of one only growth in its last moments can be missed. */
const RSS_POLL_MS = 20

/** Many times what any job takes: a command that hangs ends the benchmark instead of stopping it for good. */
const MAX_SECONDS = 1800

/** @throws Error with the end of standard error when the command fails. */
export async function measure(command: Command, server: ServerUnderTest | null): Promise<Measurement> {
  const serverBefore = server === null ? null : await familyCpuSeconds(server.pid)
  const clientBefore = await reapedCpuSeconds()
  const started = process.hrtime.bigint()
  const child = spawn(command.file, command.args, {
    env: { ...process.env, ...command.env },
    stdio: [
      command.input === undefined ? 'ignore' : 'pipe',
      command.keepOutput === true ? 'pipe' : 'ignore',
      'pipe',
    ],
  })
  // A program that ends without reading says why in other ways.
  child.stdin?.on('error', () => undefined).end(command.input)
  let output = ''
  let errors = ''
  child.stdout?.on('data', (chunk: Buffer) => (output += chunk.toString()))
  child.stderr?.on('data', (chunk: Buffer) => (errors = (errors + chunk.toString()).slice(-4000)))
  let peakRssBytes: number | null = null
  let ended: bigint | null = null
  const exit = new Promise<number | string | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', () => (ended = process.hrtime.bigint()))
    child.once('close', (code, signal) => resolve(code ?? signal))
  })
  const watch = (async (): Promise<void> => {
    while (ended === null && child.pid !== undefined) {
      const memory = await readTreeMemory(child.pid)
      if (memory !== null) peakRssBytes = Math.max(memory.now, memory.peakOfOne, peakRssBytes ?? 0)
      await sleep(RSS_POLL_MS)
    }
  })()
  const limit = setTimeout(() => child.kill('SIGKILL'), MAX_SECONDS * 1000)
  const status = await exit
  clearTimeout(limit)
  await watch
  if (status !== 0) throw new Error(`${command.shown} ended with ${String(status)}:\n${errors}`)
  const wallSeconds = Number((ended ?? process.hrtime.bigint()) - started) / 1e9
  const clientAfter = await reapedCpuSeconds()
  await server?.awaitIdle()
  const serverAfter = server === null ? null : await familyCpuSeconds(server.pid)
  return {
    wallSeconds,
    clientCpuSeconds: difference(clientBefore, clientAfter),
    serverCpuSeconds: difference(serverBefore, serverAfter),
    peakRssBytes,
    output,
  }
}

function difference(before: number | null, after: number | null): number | null {
  return before === null || after === null ? null : after - before
}
