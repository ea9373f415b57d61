/** Where the password of one new connection comes from: a callback, a command, the settings, the password file. */
import { spawn } from 'node:child_process'
import { TrunklineError } from '../model/error.js'
import type { ConnectionSettings, HostAddress } from './connection-settings.js'
import { readPassfile } from './passfile.js'

const PASSWORD_COMMAND_TIMEOUT_MS = 30_000
/** A password longer than this is the wrong command's output. */
const MAX_OUTPUT_BYTES = 64 * 1024

export interface PasswordSource {
  /** Asked when a server wants a password. @throws AUTH_FAILED when none is known. */
  passwordFor(host: HostAddress): Promise<string>
}

/**
 * Runs the callback or the command at once, so that a slow vault does not eat the time of the login.
 *
 * @throws CONFIG_INVALID when the command fails.
 */
export async function openPasswordSource(
  settings: ConnectionSettings,
  askPassword: (() => string | Promise<string>) | undefined,
  signal: AbortSignal | undefined,
): Promise<PasswordSource> {
  const stated =
    askPassword !== undefined
      ? await askPassword()
      : settings.passwordCommand !== null
        ? await runPasswordCommand(settings.passwordCommand, signal)
        : settings.password
  return {
    async passwordFor(host) {
      const password = stated ?? (await passwordFromFile(settings, host))
      // libpq takes an empty password for none.
      if (password !== null && password !== '') return password
      throw new TrunklineError('AUTH_FAILED', 'The server asks for a password and none is known.', {
        hint: 'Give one by PGPASSWORD, ~/.pgpass, password_command, or in the connection URL.',
        context: { host: host.host },
      })
    },
  }
}

async function passwordFromFile(settings: ConnectionSettings, host: HostAddress): Promise<string | null> {
  if (settings.passfile === null) return null
  return readPassfile(settings.passfile, {
    host: host.host === '' ? (host.hostaddr ?? '') : host.host,
    port: host.port,
    database: settings.database,
    user: settings.user,
  })
}

/**
 * The first line that the command prints. What it prints to stderr is kept out of messages: it may hold a token.
 *
 * @throws CONFIG_INVALID with the exit code; the signal's reason.
 */
export async function runPasswordCommand(command: string, signal?: AbortSignal): Promise<string> {
  signal?.throwIfAborted()
  return new Promise((resolve, reject) => {
    // A group of its own, so that whatever the shell started ends with it.
    const child = spawn(command, { shell: true, stdio: ['ignore', 'pipe', 'ignore'], detached: true })
    const chunks: Buffer[] = []
    let bytes = 0
    let settled = false
    const kill = (): void => {
      try {
        if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
      } catch {
        child.kill('SIGKILL')
      }
    }
    const settle = (error: Error | null): void => {
      if (settled) return
      settled = true
      clearTimeout(timer)
      signal?.removeEventListener('abort', onAbort)
      if (error !== null) {
        kill()
        reject(error)
        return
      }
      resolve(Buffer.concat(chunks).toString('utf8').split(/\r?\n/, 1)[0] ?? '')
    }
    const onAbort = (): void => {
      const reason: unknown = signal?.reason
      settle(reason instanceof Error ? reason : new TrunklineError('ABORTED', 'The connection was aborted.'))
    }
    const timer = setTimeout(() => {
      settle(failed(`did not end within ${PASSWORD_COMMAND_TIMEOUT_MS / 1000} seconds`))
    }, PASSWORD_COMMAND_TIMEOUT_MS)
    signal?.addEventListener('abort', onAbort, { once: true })
    child.stdout.on('data', (chunk: Buffer) => {
      bytes += chunk.length
      if (bytes > MAX_OUTPUT_BYTES) settle(failed('printed far more than a password'))
      else chunks.push(chunk)
    })
    child.on('error', () => {
      settle(failed('could not be started'))
    })
    child.on('close', (code, signalName) => {
      if (code !== 0) {
        settle(failed(code === null ? `was ended by ${String(signalName)}` : `ended with exit code ${code}`))
      } else if (bytes === 0) settle(failed('printed nothing'))
      else settle(null)
    })
  })
}

function failed(how: string): TrunklineError {
  return new TrunklineError('CONFIG_INVALID', `The password command ${how}.`, {
    hint: 'Run the command by hand in a shell: it must print the password as its first line and exit with 0.',
  })
}
