// @ts-check
/** `npm run demo`: sets up, then copies a shop out of a PostgreSQL of its own into shop.duckdb, twice. */
import { build } from './build.mjs'
import { runTypeScript } from './run-program.mjs'
import { installServers } from './servers/install.mjs'
import { main, setup } from './setup.mjs'

await main(async () => {
  await setup()
  await installServers([18])
  await build()
  process.exitCode = await runTypeScript('demo/main.ts', process.argv.slice(2))
})
