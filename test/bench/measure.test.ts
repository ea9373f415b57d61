import { describe, expect, it } from 'vitest'
import { measure } from '../../bench/measure.js'
import { canReadProcesses } from '../../bench/processes.js'

const MIB = 1024 * 1024
/** Holds that much memory in a child of its own and busies itself a little. */
const child = `
  const held = Buffer.alloc(120 * ${MIB}, 1)
  const until = process.cpuUsage().user + 300_000
  while (process.cpuUsage().user < until) held[0] += 1
  setTimeout(() => undefined, 200)`
const node = (script: string) => ({ file: process.execPath, args: ['--eval', script], shown: 'node' })

describe('a measurement', () => {
  it.skipIf(!canReadProcesses)('counts what the children of the program use', async () => {
    const parent = `require('child_process').spawnSync(process.execPath, ['--eval', ${JSON.stringify(child)}])`
    const { peakRssBytes, clientCpuSeconds, serverCpuSeconds } = await measure(node(parent), null)
    expect(peakRssBytes).toBeGreaterThan(120 * MIB)
    expect(clientCpuSeconds).toBeGreaterThanOrEqual(0.3)
    expect(serverCpuSeconds).toBeNull()
  })

  it('keeps what the program says, where that is wanted, and gives it what it reads', async () => {
    const copy = node('process.stdin.pipe(process.stdout)')
    expect((await measure({ ...copy, input: 'some text', keepOutput: true }, null)).output).toBe('some text')
    expect((await measure({ ...copy, input: 'some text' }, null)).output).toBe('')
  })

  it('fails with the command as it is shown and the last words of the program', async () => {
    const failing = node('console.error("no such thing"); process.exit(3)')
    await expect(measure(failing, null)).rejects.toThrow('node ended with 3:\nno such thing')
  })
})
