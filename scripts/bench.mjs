// @ts-check
/** `npm run bench -- [options]`: sets up, then measures; `npm run bench -- --help` says what. */
import { build } from './build.mjs'
import { runTypeScript } from './run-program.mjs'
import { installServers } from './servers/install.mjs'
import { main, setup } from './setup.mjs'

await main(async () => {
  await setup()
  await installServers([18])
  await build()
  process.exitCode = await runTypeScript('bench/main.ts', process.argv.slice(2))
})
