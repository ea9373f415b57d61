/** Questions on the terminal, on stderr so that stdout stays data. */
import { createInterface } from 'node:readline/promises'
import { TrunklineError } from '../model/error.js'

export interface Questions extends Disposable {
  /** The answer, or `fallback` for an empty one. */
  ask(question: string, fallback: string): Promise<string>
  confirm(question: string): Promise<boolean>
}

export function openQuestions(signal: AbortSignal): Questions {
  const readline = createInterface({ input: process.stdin, output: process.stderr })
  // In raw mode Ctrl-C arrives here and not as a signal.
  readline.on('SIGINT', () => process.kill(process.pid, 'SIGINT'))
  const ask = async (question: string, fallback: string): Promise<string> => {
    const shown = fallback === '' ? `${question}: ` : `${question} [${fallback}]: `
    const closed = new Promise<never>((_, reject) => {
      readline.once('close', () => {
        reject(new TrunklineError('ABORTED', 'No answer: the input ended.'))
      })
    })
    const answered = readline.question(shown, { signal }).catch((error: unknown) => {
      throw signal.aborted ? signal.reason : error
    })
    const answer = await Promise.race([answered, closed])
    return answer.trim() === '' ? fallback : answer.trim()
  }
  return {
    ask,
    confirm: async (question) => /^y(es)?$/i.test(await ask(`${question} (yes/no)`, 'no')),
    [Symbol.dispose]: () => {
      readline.close()
    },
  }
}
