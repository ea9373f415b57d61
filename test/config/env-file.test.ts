import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { parseEnvFile, readEnvironment } from '../../src/config/env-file.js'

test('names, quotes, comments and escapes are read as in other tools', () => {
  const text = [
    '# comment',
    '',
    'PLAIN=a b # comment',
    'HASH=a#b',
    'export EXPORTED = yes',
    "SINGLE='a # ${B} \\n'  # comment",
    'DOUBLE="a\\nb \\"c\\" \\$D"',
    'EMPTY=',
    'CRLF=1\r',
  ].join('\n')
  expect(parseEnvFile(text, '.env')).toEqual({
    PLAIN: 'a b',
    HASH: 'a#b',
    EXPORTED: 'yes',
    SINGLE: 'a # ${B} \\n',
    DOUBLE: 'a\nb "c" $D',
    EMPTY: '',
    CRLF: '1',
  })
})

test('a line that is no assignment is an error with its number and without its content', () => {
  for (const line of ['geheim', '1A=geheim', "A='geheim", 'A="geheim']) {
    expect(() => parseEnvFile(`OK=1\n${line}\n`, '.env'), line).toThrow(
      expect.objectContaining({
        code: 'CONFIG_INVALID',
        message: expect.stringMatching(/^\.env:2:(?!.*geheim)/) as string,
      }),
    )
  }
})

test('the environment wins over .env, and a directory without one adds nothing', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'trunkline-env-'))
  try {
    const env = { A: 'environment' }
    expect(await readEnvironment(directory, env)).toEqual(env)
    await writeFile(join(directory, '.env'), 'A=file\nB=file\n')
    expect(await readEnvironment(directory, env)).toEqual({ A: 'environment', B: 'file' })
  } finally {
    await rm(directory, { recursive: true })
  }
})
