import { basename } from 'node:path'
import { expect, test } from 'vitest'
import { listFiles, projectFolder, readText } from './source-files.js'

const files = listFiles('')
const texts = files.filter((path) => /\.(ts|mjs|js|json|md|sql|ya?ml|sh)$|^\.ci\/|^\.npmrc$/.test(path))
const code = files.filter((path) => /\.(ts|mjs|js)$/.test(path))

test('no file is a bucket: utils, helpers, common, misc, types', () => {
  const bucket = /(^|-)(utils?|helpers?|common|misc)(-|\.)|^types\./
  expect(code.filter((path) => bucket.test(basename(path)))).toEqual([])
})

test('files are named in kebab-case', () => {
  expect(
    code.filter(
      (path) => !/^[a-z0-9]+(-[a-z0-9]+)*(\.(pg\.)?(test|config))?\.(ts|mjs|js)$/.test(basename(path)),
    ),
  ).toEqual([])
})

test('no file holds a path of this machine', () => {
  const places = [projectFolder.replace(/\/$/, ''), process.env['HOME'] ?? '']
  // `/root` and `/app` are words that a document may well use; a folder two levels down is a place.
  const tellTale = places.filter((place) => place.split('/').length > 2)
  expect(texts.filter((path) => tellTale.some((place) => readText(path).includes(place)))).toEqual([])
})

test('the lock file names no registry', () => {
  expect(readText('package-lock.json')).not.toMatch(/"resolved":/)
})

test('dependencies are pinned to one version', () => {
  const manifest = JSON.parse(readText('package.json')) as Record<string, Record<string, string>>
  const loose = Object.entries({ ...manifest['dependencies'], ...manifest['devDependencies'] }).filter(
    ([, version]) => !/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version),
  )
  expect(loose).toEqual([])
})

test('no test is skipped, focused or still to be written', () => {
  const marks = /\b(?:test|it|describe)\.(?:skip|only|todo|fails)\b|\.only\(|\bxit\(|\bxdescribe\(/
  const own = 'test/house/house-rules.test.ts'
  expect(
    code.filter((path) => path !== own && path.startsWith('test/') && marks.test(readText(path))),
  ).toEqual([])
})

test('nothing is left to do in the sources', () => {
  expect(
    code.filter((path) => path.startsWith('src/') && /\b(TODO|FIXME|XXX|HACK)\b/.test(readText(path))),
  ).toEqual([])
})

test('a source longer than 500 lines says why in its first comment', () => {
  const unexplained = code.filter((path) => {
    const text = readText(path)
    if (!path.startsWith('src/') || text.split('\n').length <= 500) return false
    return !/^\/\*\*[^]*?\b(long|length|lines)\b[^]*?\*\//.test(text)
  })
  expect(unexplained).toEqual([])
})
