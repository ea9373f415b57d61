import { describe, expect, test } from 'vitest'
import { compileText, errorOf, loadOf, problemsOf, type Around } from './compile-text.js'

/** The SQL that a query becomes. */
function sqlOf(sql: string, around: Around = {}): string | undefined {
  const [step] = compileText(`CREATE TABLE t AS ${sql};`, around).steps
  return step?.kind === 'create' ? step.sql.text : undefined
}

describe('variables', () => {
  test('the command line beats the profile, the profile SET, SET the environment', () => {
    const text = "SET a = 'set'; CREATE TABLE t AS SELECT ${a};"
    const value = (around: Around): unknown => compileText(text, around).steps[0]
    const environment = { a: 'environment' }
    expect(sqlOf('SELECT ${a}', { environment })).toBe("SELECT 'environment'")
    expect(value({ environment })).toMatchObject({ sql: { text: "SELECT 'set'" } })
    const profileVariables = { a: 'profile' }
    expect(value({ environment, profileVariables })).toMatchObject({ sql: { text: "SELECT 'profile'" } })
    expect(value({ environment, profileVariables, variables: { a: 'given' } })).toMatchObject({
      sql: { text: "SELECT 'given'" },
    })
  })

  test('SET strips quotes, and takes effect from there on', () => {
    const text = `SET a = 1; CREATE TABLE t AS SELECT \${a}; SET a = "it's"; SET b = 'x\${a}'; CREATE TABLE u AS SELECT \${a}, \${b};`
    expect(compileText(text).steps).toMatchObject([
      { sql: { text: 'SELECT 1' } },
      { sql: { text: "SELECT 'it''s', 'xit''s'" } },
    ])
  })

  test.each([
    ['SELECT ${n}', 'SELECT 42'],
    ['SELECT 1-${negative}', 'SELECT 1-(-5)'],
    ['SELECT ${flag}, ${nothing}', 'SELECT TRUE, null'],
    ['SELECT ${quoted}', "SELECT 'it''s'"],
    ['SELECT ${hostile}', "SELECT '''; DROP TABLE t; --'"],
    ["SELECT 'in ${hostile}'", "SELECT 'in ''; DROP TABLE t; --'"],
    ['SELECT "${name}" FROM t', 'SELECT "a""b" FROM t'],
    ['SELECT $n', 'SELECT 42'],
    ["SELECT '$n', '$${n}'", "SELECT '$n', '${n}'"],
    ['SELECT 1 -- ${unknown}\n + 2', 'SELECT 1 -- ${unknown}\n + 2'],
    ["SELECT ${a|7}, ${b|text}, ${c|'two words}'}, ${d|}", "SELECT 7, 'text', 'two words}', ''"],
  ])('in SQL: %s', (sql, expected) => {
    const variables = {
      n: '42',
      negative: '-5',
      flag: 'TRUE',
      nothing: 'null',
      quoted: "'it''s'",
      hostile: "'; DROP TABLE t; --",
      name: 'a"b',
    }
    expect(sqlOf(sql, { variables })).toBe(expected)
  })

  test('are replaced in keys, values and lists of JSON, and outside of quotes by what they look like', () => {
    const text = `SOURCE s TYPE POSTGRES PARAMS {
      "\${prefix}name": "\${DB_USER}", "host": "\${HOST|localhost}", "database": "d", "port": \${PORT|5433},
      "table": "t_\${year}", "primary_key": ["\${key}"], "password": "pa$word\\u0021"};
      LOAD t FROM s;`
    const variables = { prefix: 'user', year: '2024', key: 'id' }
    const { source, spec } = loadOf(
      compileText(text, { variables, environment: { DB_USER: 'reader', word: 'x' } }),
    )
    expect(source.options).toMatchObject({
      user: 'reader',
      host: 'localhost',
      port: '5433',
      password: 'pa$word!',
    })
    expect(spec.selection.select).toEqual(['public.t_2024'])
  })

  test('what a variable holds is not looked into again', () => {
    expect(sqlOf("SELECT '${a}'", { variables: { a: '${b}', b: 'c' } })).toBe("SELECT '${b}'")
  })

  test('one that is not set is an error with its place', () => {
    const error = errorOf('SET a = "x";\nCREATE TABLE t AS SELECT 1,\n  ${nowhere};')
    expect(error.code).toBe('CONFIG_UNSET_VARIABLE')
    expect(error.problems).toMatchObject([
      { line: 3, column: 3, message: 'The variable nowhere is not set.', excerpt: ['  ${nowhere};', '  ^'] },
    ])
    expect(problemsOf('SOURCE s TYPE POSTGRES PARAMS {"host": "a ${x} b"};')).toEqual([
      '1:43 The variable x is not set.',
    ])
  })

  test.each(['${', '${}', '${a', '${a|', '${a b}', '${1}', '${a|${b}}', "${a|'b}"])(
    '%s is malformed',
    (reference) => {
      expect(problemsOf(`CREATE TABLE t AS SELECT ${reference};`)).toContain(
        '1:26 A `${…}` is not a variable.',
      )
    },
  )

  test('prototype names are no variables', () => {
    expect(problemsOf('SET a = ${constructor};')).toEqual(['1:9 The variable constructor is not set.'])
  })

  test('no error tells what a variable holds', () => {
    const variables = { secret: 'hunter2' }
    const error = errorOf(
      'IF ${secret} THEN SET a = 1; ENDIF; SOURCE s TYPE POSTGRES PARAMS {"port": "${secret}"};',
      {
        variables,
      },
    )
    expect(JSON.stringify([error.message, error.problems])).not.toContain('hunter2')
  })
})

describe('IF', () => {
  const taken = (condition: string, variables: Record<string, string> = {}): unknown => {
    const text = `IF ${condition} THEN CREATE TABLE yes AS SELECT 1; ELSE CREATE TABLE no AS SELECT 1; ENDIF;`
    const [step] = compileText(text, { variables }).steps
    return step?.kind === 'create' ? step.table : null
  }

  test.each([
    ["${env} == 'prod'", 'yes'],
    ["$env == 'prod'", 'yes'],
    ['\'${env}\' == "prod"', 'yes'],
    ["${env} != 'prod'", 'no'],
    ['${n} > 9', 'yes'],
    ["${n} > '9'", 'yes'],
    ['${n} <= 9', 'no'],
    ['${n} == 10.0', 'yes'],
    ['${n} < -1', 'no'],
    ["'a' < 'b'", 'yes'],
    ['TRUE', 'yes'],
    ['not True', 'no'],
    ['${flag}', 'yes'],
    ['${flag} == true', 'yes'],
    ['${missing|false}', 'no'],
    ['${missing|} or NOT (false AND ${env})', 'yes'],
    ["false and true or ${env} == 'prod'", 'yes'],
    ['NULL', 'no'],
    ['0', 'no'],
  ])('%s: %s', (condition, expected) => {
    expect(taken(condition, { env: 'prod', n: '10', flag: 'TRUE' })).toBe(expected)
  })

  test.each(['ENDIF;', 'END IF;', 'END IF', 'endif'])('may be closed with %s', (end) => {
    expect(compileText(`IF true THEN CREATE TABLE a AS SELECT 1; ${end}`).steps).toHaveLength(1)
  })

  test('takes the first branch that holds, and nests', () => {
    const text = `
      IF \${n} == 1 THEN CREATE TABLE one AS SELECT 1;
      ELSEIF \${n} == 2 THEN CREATE TABLE two AS SELECT 1;
      ELSE IF \${n} == 3 THEN
        IF \${m} THEN CREATE TABLE three_m AS SELECT 1; ELSE CREATE TABLE three AS SELECT 1; END IF;
      ELSE CREATE TABLE other AS SELECT 1;
      END IF;`
    const tableFor = (n: string, m: string): unknown => {
      const [step] = compileText(text, { variables: { n, m } }).steps
      return step?.kind === 'create' ? step.table : null
    }
    expect([tableFor('1', 'true'), tableFor('2', 'true'), tableFor('3', 'true')]).toEqual([
      'one',
      'two',
      'three_m',
    ])
    expect([tableFor('3', 'false'), tableFor('4', 'true')]).toEqual(['three', 'other'])
  })

  test('a branch that is not taken needs no variables, but must be well-formed', () => {
    const pipeline = compileText('IF false THEN CREATE TABLE a AS SELECT ${unset}; ENDIF;')
    expect(pipeline.steps).toEqual([])
    expect(problemsOf('IF false THEN LOAD x; ENDIF;')).toEqual(['1:21 Expected FROM after the table name'])
  })

  test.each([
    ['IF ${a} = 1 THEN ENDIF;', "1:9 Use '==' for equality, not '='"],
    ['IF a == 1 THEN ENDIF;', '1:4 Expected a variable, a string or a number, found a'],
    ['IF THEN ENDIF;', '1:4 Expected a condition before THEN'],
    ['IF true SET a = 1; ENDIF;', '1:9 Expected THEN after the condition'],
    ['IF true THEN SET a = 1;', '1:1 IF is not closed.'],
    ['IF (true THEN ENDIF;', "1:9 Expected ')'"],
    ['SET a = 1; ENDIF;', '1:12 ENDIF without IF'],
    ['IF true THEN ELSE ELSE ENDIF;', '1:19 Expected ENDIF, found ELSE'],
    ["IF 'prod' THEN ENDIF;", '1:4 The condition is neither true nor false.'],
  ])('%s', (text, problem) => {
    expect(problemsOf(text)[0]).toBe(problem)
  })
})
