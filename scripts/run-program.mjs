// @ts-check
import { spawn } from 'node:child_process'
import { constants } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))

/**
 * Runs node in the project folder on our terminal until it ends, and returns its exit code. Ctrl-C is the child's to answer:
 * we only wait for it.
 * @param {readonly string[]} args
 * @param {NodeJS.ProcessEnv} [env]
 * @returns {Promise<number>}
 */
export function runNode(args, env = process.env) {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { cwd: root, env, stdio: 'inherit' })
    const wait = () => undefined
    const forward = () => void child.kill('SIGTERM')
    process.on('SIGINT', wait)
    process.on('SIGTERM', forward)
    child.on('error', reject)
    child.on('close', (code, signal) => {
      process.off('SIGINT', wait)
      process.off('SIGTERM', forward)
      resolve(code ?? 128 + (signal === null ? 1 : constants.signals[signal]))
    })
  })
}

/**
 * Runs a TypeScript program of the project.
 * @param {string} file relative to the project
 * @param {readonly string[]} args
 * @returns {Promise<number>}
 */
export function runTypeScript(file, args) {
  return runNode(['--import', 'tsx', join(root, file), ...args])
}
