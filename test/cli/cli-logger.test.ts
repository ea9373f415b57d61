import { describe, expect, test } from 'vitest'
import { createCliLogger } from '../../src/cli/cli-logger.js'
import type { Terminal } from '../../src/cli/terminal.js'
import type { Wording } from '../../src/model/sync-spec.js'

const same = (text: string): string => text
const style = { dim: same, red: same, yellow: same }

function say(wording: Wording, flags: Partial<Pick<Terminal, 'verbose' | 'quiet'>> = {}): readonly string[] {
  const lines: string[] = []
  const terminal = { style, verbose: false, quiet: false, ...flags } as unknown as Terminal
  const logger = createCliLogger(terminal, (line) => lines.push(line), wording)
  logger.debug({}, 'd')
  logger.info({ stream: 'public.t' }, 'i')
  logger.warn({}, 'w')
  logger.error({}, 'e')
  return lines
}

describe('the log', () => {
  test('has levels of its own, and keeps to itself what is merely told', () => {
    expect(say('native')).toEqual(['warning: w', 'error: e'])
    expect(say('native', { verbose: true })).toEqual([
      'debug: d',
      'info: public.t: i (stream=public.t)',
      'warning: w',
      'error: e',
    ])
  })

  test('has the levels of the Connector SDK where it is asked for, and tells more', () => {
    expect(say('connector_sdk')).toEqual(['INFO public.t: i', 'WARNING w', 'SEVERE e'])
    expect(say('connector_sdk', { quiet: true })).toEqual(['WARNING w', 'SEVERE e'])
    expect(say('connector_sdk', { verbose: true })[0]).toBe('FINE d')
  })
})
