import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { build } from 'esbuild'
import { expect, it } from 'vitest'
import { GOLDEN_TEXTS } from './golden.js'

it('decodes where the runtime forbids generated code', async () => {
  const { outputFiles } = await build({
    stdin: {
      contents: `
        import { decodeAll, textsOf } from './capture.js'
        import { GOLDEN_BYTES, GOLDEN_COLUMNS } from './golden.js'
        let forbidden = false
        try { new Function('') } catch (error) { forbidden = error instanceof EvalError }
        console.log(JSON.stringify({ forbidden, texts: textsOf(decodeAll(GOLDEN_COLUMNS, GOLDEN_BYTES, { codeGeneration: 'always' })) }))`,
      resolveDir: import.meta.dirname,
      loader: 'ts',
    },
    bundle: true,
    write: false,
    platform: 'node',
    format: 'esm',
    banner: {
      js: `import { createRequire } from 'node:module'; const require = createRequire(import.meta.url)`,
    },
    external: ['pg'],
  })
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ['--disallow-code-generation-from-strings', '--input-type=module', '-e', outputFiles[0]!.text],
    { cwd: import.meta.dirname },
  )
  expect(JSON.parse(stdout)).toEqual({ forbidden: true, texts: GOLDEN_TEXTS })
})
