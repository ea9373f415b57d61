import { rmSync } from 'node:fs'
import { expect, test } from 'vitest'
import { makeFolder, runCli } from '../../cli/run-cli.js'
import { onNewestServer } from '../../server/servers.js'
import { rowsOf } from './pg-to-pg.js'

onNewestServer('The command line', (server) => {
  test('copies from PostgreSQL to PostgreSQL, again, and shows the state there', async () => {
    const [source, target] = [await server.createDatabase(), await server.createDatabase()]
    await source.sql(`CREATE TABLE notes (id int PRIMARY KEY, tags text[], at inet);
                      INSERT INTO notes VALUES (1, '{a,NULL}', '10.0.0.1/8'), (2, NULL, NULL)`)
    const cwd = makeFolder()
    try {
      const sync = ['sync', source.url, target.url, '--name', 'shop']
      const first = await runCli([...sync, '--target-schema', 'copy', '--yes'], { cwd })
      expect(first).toMatchObject({ code: 0 })
      expect(first.stdout).toContain('SELECT * FROM copy.notes')
      await source.sql('DELETE FROM notes WHERE id = 1; INSERT INTO notes VALUES (3)')
      const second = await runCli([...sync, '--target-schema', 'copy', '--verify'], { cwd })
      expect(second).toMatchObject({ code: 0 })
      expect(await rowsOf(target, 'notes', { schema: 'copy' })).toEqual(await rowsOf(source, 'notes'))
      const state = await runCli(['state', 'show', target.url], { cwd })
      expect(state).toMatchObject({ code: 0 })
      expect(state.stdout).toContain('public.notes')
      const status = await runCli(['status', target.url, '--max-age', '2h'], { cwd })
      expect(status).toMatchObject({ code: 0 })
      const away = await runCli(['status', 'postgresql://nobody:guessme@127.0.0.1:1/none'], { cwd })
      expect(away).toMatchObject({ code: 75 })
      expect(away.stderr).toContain('DESTINATION_UNREACHABLE')
      expect(away.stderr + away.stdout).not.toContain('guessme')
    } finally {
      rmSync(cwd, { recursive: true })
    }
  })
})
