/**
 * Which file a run works in, and how its work becomes what readers open.
 *
 * `direct`: the file itself. `atomic`: `<file>.trunkline-work`, a copy of the published file, which takes its place by a rename
 * when the run is over. Readers of the published file are never kept out and keep what they have opened. Commits are durable in
 * the work file at once: after a crash the next run goes on in it, unless the published file has changed since it was copied
 * (`<file>.trunkline-work.json` says which one it was).
 */
import { constants, chmod, copyFile, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { TrunklineError } from '../../model/error.js'
import { type ShapeOf, literal, nullable, object, text } from '../../model/shape.js'
import type { Database } from './database.js'
import { createFile, syncPath } from './database.js'
import type { FileClaim } from './file-claim.js'
import { claimFile } from './file-claim.js'
import type { DestinationFile } from './inspect-file.js'
import { assertDuckDb } from './inspect-file.js'

export interface Workspace {
  /** What is attached; the run's scratch folder is made beside it. */
  readonly file: string
  /** It holds what a run that died has committed or saved, and nobody has published. */
  readonly unpublished: boolean
  /** After the file is detached and before the database is closed. @throws FENCED when the published file has changed. */
  publish(changed: boolean): Promise<void>
  release(): void
}

export async function openDirect(database: Database, target: DestinationFile): Promise<Workspace> {
  const claim = await claimFile(target.path, 'write', target.path)
  try {
    await assertDuckDb(target, 'write')
    if (!target.exists) await createFile(target.path)
    await database.attach(target.path)
  } catch (error) {
    claim.release()
    throw error
  }
  return { file: target.path, unpublished: false, publish: () => Promise.resolve(), release: claim.release }
}

const LOCK_CATALOG = '_trunkline_lock'
const PUBLISHED_CATALOG = '_trunkline_published'

/** Which published file a work file was copied from. */
const baseShape = object({
  v: literal(1),
  /** Null: there was none. */
  file: nullable(object({ ino: text, size: text, mtimeNs: text })),
})
type Base = ShapeOf<typeof baseShape>

export async function openAtomic(database: Database, target: DestinationFile): Promise<Workspace> {
  const published = target.path
  const work = `${published}.trunkline-work`
  const baseFile = `${work}.json`
  const claim = await claimFile(work, 'write', published)
  try {
    const reading = await claimFile(published, 'read', null)
    let base: Base
    let unpublished = false
    try {
      if (reading.alone) await assertDuckDb(target, 'write')
      await lockOut(database, published)
      base = await identify(published)
      const known = await readBase(baseFile)
      unpublished = known !== null && sameBase(known, base) && (await identify(work)).file !== null
      if (!unpublished) {
        base = await copyPublished(database, published, work)
        await writeDurably(baseFile, base)
      }
    } finally {
      reading.release()
    }
    await database.attach(work, { runNoteOf: published })
    return atomicWorkspace({ published, work, baseFile, base, claim, unpublished })
  } catch (error) {
    claim.release()
    throw error
  }
}

function atomicWorkspace(files: {
  readonly published: string
  readonly work: string
  readonly baseFile: string
  readonly base: Base
  readonly claim: FileClaim
  readonly unpublished: boolean
}): Workspace {
  const { published, work, baseFile, base, claim, unpublished } = files
  return {
    file: work,
    unpublished,
    release: claim.release,
    async publish(changed) {
      if (changed) {
        if (!sameBase(base, await identify(published))) {
          throw new TrunklineError(
            'FENCED',
            `${published} was changed by another process while this run worked on its copy; the copy was not published.`,
            {
              hint: 'Let nothing else write the published file; run again to bring it up to date.',
              context: { path: published },
            },
          )
        }
        const mode = base.file === null ? 0o600 : (await stat(published)).mode & 0o777
        await chmod(work, mode)
        await syncPath(work)
        // What the old log holds is in the copy. It goes first: left beside the new file, DuckDB would apply it again.
        await rm(`${published}.wal`, { force: true })
        await rename(work, published)
      } else {
        await rm(work, { force: true })
      }
      await rm(baseFile, { force: true })
      await syncPath(path.dirname(published))
      // Last, and only by who holds it: see lockOut.
      await rm(lockPath(published), { force: true })
    },
  }
}

function lockPath(published: string): string {
  return `${published}.trunkline-lock`
}

/**
 * Takes a lock that the operating system gives back by itself when the process ends: DuckDB's own, on an empty file beside the
 * published one. The holder removes that file at the end, so after taking the lock we check that it is still the file we locked.
 */
async function lockOut(database: Database, published: string): Promise<void> {
  const lock = lockPath(published)
  for (;;) {
    if ((await identify(lock)).file === null) await createFile(lock)
    const before = await identify(lock)
    await database.attach(lock, { as: LOCK_CATALOG, runNoteOf: published })
    const after = await identify(lock)
    if (before.file !== null && before.file.ino === after.file?.ino) return
    await database.detach(LOCK_CATALOG)
  }
}

/** Copies the published file and its log, while holding it open for reading so that nobody writes it. */
async function copyPublished(database: Database, published: string, work: string): Promise<Base> {
  await rm(`${work}.wal`, { force: true })
  await rm(work, { force: true })
  if ((await identify(published)).file === null) {
    await createFile(work)
    return { v: 1, file: null }
  }
  await database.attach(published, { readOnly: true, as: PUBLISHED_CATALOG })
  try {
    const base = await identify(published)
    await copyFile(published, work, constants.COPYFILE_FICLONE)
    await chmod(work, 0o600)
    if ((await identify(`${published}.wal`)).file !== null) {
      await copyFile(`${published}.wal`, `${work}.wal`, constants.COPYFILE_FICLONE)
      await chmod(`${work}.wal`, 0o600)
    }
    return base
  } finally {
    await database.detach(PUBLISHED_CATALOG)
  }
}

async function identify(file: string): Promise<Base> {
  try {
    const found = await stat(file, { bigint: true })
    return {
      v: 1,
      file: { ino: String(found.ino), size: String(found.size), mtimeNs: String(found.mtimeNs) },
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return { v: 1, file: null }
    throw error
  }
}

function sameBase(left: Base, right: Base): boolean {
  return (
    left.file?.ino === right.file?.ino &&
    left.file?.size === right.file?.size &&
    left.file?.mtimeNs === right.file?.mtimeNs
  )
}

async function readBase(file: string): Promise<Base | null> {
  try {
    return baseShape(JSON.parse(await readFile(file, 'utf8')), '')
  } catch {
    return null
  }
}

async function writeDurably(file: string, base: Base): Promise<void> {
  await writeFile(`${file}.new`, `${JSON.stringify(base)}\n`, { mode: 0o600 })
  await syncPath(`${file}.new`)
  await rename(`${file}.new`, file)
  await syncPath(path.dirname(file))
}
