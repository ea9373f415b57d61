/** Whatever a file holds: it compiles, or the error says where. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { PipelineError } from '../../src/pipeline/pipeline-error.js'
import { compileText, type Around } from './compile-text.js'
import { EXAMPLES } from './document-examples.js'

const AROUND: Around = {
  variables: { DB_HOST: 'h', DB_USER: 'u', DB_PASSWORD: 'p', a: '1' },
  files: { 'a.sf': 'SET a = 2; IF ${a} THEN LOAD t FROM s; ENDIF;', 'b.sf': 'INCLUDE "a.sf" AS x;' },
}

/** Nothing but a PipelineError whose places are in the text. */
function compileOrExplain(text: string): void {
  try {
    compileText(text, AROUND)
  } catch (error) {
    if (!(error instanceof PipelineError)) throw error
    expect(error.problems.length).toBeGreaterThan(0)
    for (const { file, line, column, excerpt, message } of error.problems) {
      expect(message).not.toBe('')
      expect(excerpt[1].trimStart()).toBe('^')
      if (file !== 'shop.sf') continue
      const lines = text.split(/\r\n|\r|\n/)
      expect(line).toBeLessThanOrEqual(lines.length)
      expect(column).toBeLessThanOrEqual([...(lines[line - 1] ?? '')].length + 1)
    }
  }
}

const PIECES = [
  ...[
    'SOURCE',
    'LOAD',
    'CREATE',
    'OR',
    'REPLACE',
    'TABLE',
    'AS',
    'EXPORT',
    'TO',
    'TYPE',
    'OPTIONS',
    'PARAMS',
  ],
  ...[
    'INCLUDE',
    'SET',
    'IF',
    'THEN',
    'ELSE',
    'ELSEIF',
    'END',
    'ENDIF',
    'MODE',
    'UPSERT',
    'KEY',
    'APPEND',
    'FROM',
  ],
  ...['SELECT', 'not', 'and', 'true', 'null', 'POSTGRES', 'csv', 'a', 's', 't', '1', '-1.5e3', 'é', '🐘'],
  ...[
    ';',
    ',',
    ':',
    '{',
    '}',
    '[',
    ']',
    '(',
    ')',
    '=',
    '==',
    '<',
    '<>',
    '.',
    '-',
    '--',
    '/*',
    '*/',
    '\\',
    '$',
    '$$',
    '$a',
  ],
  ...[
    "'",
    '"',
    "'a'",
    '"a"',
    '"a.sf"',
    '"b.sf"',
    '"host": "h"',
    '${a}',
    '${b}',
    '${b|1}',
    '${',
    '$${',
    "E'\\'",
    '\u0000',
  ],
  ...['\n', '\r', '\r\n', '\t', '\u00a0', '\u2028', '\ud83d'],
  'SOURCE s TYPE POSTGRES PARAMS {"host": "h", "database": "d", "username": "u", "table": "t"};',
]

describe('no input does anything but compile or be explained', () => {
  test('pieces of the language in any order', () => {
    const text = fc
      .array(fc.tuple(fc.constantFrom(...PIECES), fc.constantFrom(' ', '', '\n')), { maxLength: 40 })
      .map((pieces) => pieces.flat().join(''))
    fc.assert(fc.property(text, compileOrExplain), { numRuns: 1500 })
  })

  test('any characters', () => {
    fc.assert(fc.property(fc.string({ unit: 'binary', maxLength: 100 }), compileOrExplain), { numRuns: 200 })
  })

  test('a file with one character changed', () => {
    const whole = Object.values(EXAMPLES).join('')
    const change = fc.tuple(fc.nat(whole.length - 1), fc.constantFrom(...PIECES, ''))
    fc.assert(
      fc.property(change, ([at, piece]) => {
        compileOrExplain(whole.slice(0, at) + piece + whole.slice(at + 1))
      }),
      { numRuns: 300 },
    )
  })

  test('a file that ends anywhere', () => {
    const text = `${EXAMPLES.query}IF \${a} == '1' THEN CREATE TABLE x AS SELECT 'a' "b" $$c$$; ELSE SET b = "d"; END IF;
      EXPORT SELECT 1 TO "out.csv" TYPE csv OPTIONS {"header": true}; /* e */ -- f`
    for (let end = 0; end <= text.length; end++) compileOrExplain(text.slice(0, end))
  })

  test.each([
    ['JSON', (n: number) => `SOURCE s TYPE POSTGRES PARAMS {"a": ${'['.repeat(n)}`],
    ['objects', (n: number) => `SOURCE s TYPE POSTGRES PARAMS ${'{"a":'.repeat(n)}`],
    ['conditions', (n: number) => `IF ${'('.repeat(n)}true`],
    ['negations', (n: number) => `IF ${'not '.repeat(n)}true THEN ENDIF;`],
    ['IF', (n: number) => 'IF true THEN '.repeat(n)],
    ['comments', (n: number) => '/*'.repeat(n)],
    ['references', (n: number) => `SET a = ${'${a|'.repeat(n)}`],
    ['mistakes', (n: number) => 'LOAD;\n'.repeat(n)],
    ['mistakes in IF', (n: number) => `IF true THEN ${'LOAD; '.repeat(n)}`],
    ['quotes', (n: number) => `CREATE TABLE a AS SELECT ${"'a' ".repeat(n)}`],
  ])('%s without end', (_, text) => {
    compileOrExplain(text(3000))
    expect(() => compileText(text(3000))).toThrow(PipelineError)
  })

  test('files that include each other over and over', () => {
    const files: Record<string, string> = { '30.sf': '' }
    for (let n = 0; n < 30; n++) {
      files[`${n}.sf`] = `INCLUDE "${n + 1}.sf" AS a${n}; INCLUDE "${n + 1}.sf" AS b${n};`
    }
    expect(() => compileText('INCLUDE "0.sf" AS start;', { files })).toThrow(PipelineError)
  })
})
