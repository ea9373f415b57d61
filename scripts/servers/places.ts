/**
 * Where servers run and as whom. PostgreSQL refuses to run as root, so root spawns it under another user, who has to be able
 * to reach the binaries and the data: both then live under a folder of the system's temporary one.
 */
import { existsSync, readFileSync } from 'node:fs'
import {
  chmod,
  chown,
  constants,
  copyFile,
  lchown,
  lstat,
  mkdir,
  readdir,
  readlink,
  rename,
  rm,
  stat,
  symlink,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'

/** The user that servers run as; null: the one we are. */
export interface ServerUser {
  readonly uid: number
  readonly gid: number
}

/** `postgres` if the machine has it, else `nobody`; null unless we are root. initdb wants the user to be in the password file. */
export function serverUser(): ServerUser | null {
  if (process.getuid?.() !== 0) return null
  const lines = readFileSync('/etc/passwd', 'utf8').split('\n')
  for (const name of ['postgres', 'nobody']) {
    const fields = lines.find((line) => line.startsWith(`${name}:`))?.split(':')
    // macOS writes nobody as -2.
    if (fields) return { uid: Number(fields[2]) >>> 0, gid: Number(fields[3]) >>> 0 }
  }
  throw new Error(
    'PostgreSQL does not run as root, and this machine has neither a user postgres nor nobody: run as an ordinary user.',
  )
}

/**
 * A private folder for everything of ours, in a temporary folder that `user` can reach; short, for the sake of socket paths.
 * TRUNKLINE_SERVERS_TMPDIR names another one than the system's, which a test run may have put into memory.
 */
export async function runtimeRoot(user: ServerUser | null): Promise<string> {
  const uid = process.getuid?.() ?? 0
  const temporary = process.env['TRUNKLINE_SERVERS_TMPDIR'] ?? tmpdir()
  const candidates = [...new Set([temporary, '/tmp', '/var/tmp'])]
  for (const candidate of candidates) {
    if (!existsSync(candidate) || !(await canTraverse(candidate, user))) continue
    const root = join(candidate, `trunkline-pg-${uid}`)
    // The longest socket path is `<root>/run/<12 characters>/.s.PGSQL.65535`, and 103 bytes is what macOS allows.
    if (Buffer.byteLength(root) > 103 - 35) continue
    await mkdir(root, { recursive: true })
    const found = await lstat(root)
    if (!found.isDirectory() || found.uid !== uid) continue
    await makeFolder(root)
    return root
  }
  throw new Error(
    `No temporary folder that the server's user can reach and whose path is short enough for a socket: tried ${candidates.join(', ')}.`,
  )
}

/** `native`, or a copy of it under `root` where `user` cannot reach it. */
export async function reachableBinaries(
  native: string,
  root: string,
  user: ServerUser | null,
): Promise<string> {
  if (
    user === null ||
    ((await canTraverse(native, user)) && (await canRead(join(native, 'bin', 'postgres'), user)))
  )
    return native
  const folder = join(root, 'bin', basename(dirname(native)))
  await makeFolder(dirname(folder))
  if (existsSync(folder)) return folder
  const staging = `${folder}.${process.pid}.tmp`
  await copyTree(native, staging, { owner: user })
  await rename(staging, folder).catch(async (error: unknown) => {
    await rm(staging, { recursive: true, force: true })
    if (!existsSync(folder)) throw error
  })
  return folder
}

/** A folder that others can pass through but not list, whatever the umask. */
export async function makeFolder(path: string): Promise<void> {
  await mkdir(path, { recursive: true })
  await chmod(path, 0o711)
}

export interface CopyOptions {
  readonly owner: ServerUser | null
  /** Relative path with `/`; false: left out. A folder left out is not made either. */
  readonly keep?: (path: string) => boolean
}

/**
 * Copies a folder, sharing blocks where the file system can. Files that vanish meanwhile are left out: this also copies the
 * data folder of a running server.
 */
export async function copyTree(from: string, to: string, options: CopyOptions, path = ''): Promise<void> {
  const source = join(from, path)
  const target = join(to, path)
  const { mode } = await stat(source)
  await mkdir(target, { recursive: true })
  for (const entry of await readdir(source, { withFileTypes: true })) {
    const child = path === '' ? entry.name : `${path}/${entry.name}`
    if (options.keep && !options.keep(child)) continue
    try {
      if (entry.isDirectory()) {
        await copyTree(from, to, options, child)
      } else if (entry.isSymbolicLink()) {
        await symlink(await readlink(join(from, child)), join(to, child))
        if (options.owner) await lchown(join(to, child), options.owner.uid, options.owner.gid)
      } else if (entry.isFile()) {
        await copyFile(join(from, child), join(to, child), constants.COPYFILE_FICLONE)
        if (options.owner) await chown(join(to, child), options.owner.uid, options.owner.gid)
      }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
  }
  await chmod(target, mode)
  if (options.owner) await chown(target, options.owner.uid, options.owner.gid)
}

async function canTraverse(folder: string, user: ServerUser | null): Promise<boolean> {
  for (let at = folder; ; at = dirname(at)) {
    if (!(await allows(at, user, 1))) return false
    if (dirname(at) === at) return true
  }
}

function canRead(file: string, user: ServerUser): Promise<boolean> {
  return allows(file, user, 4)
}

async function allows(path: string, user: ServerUser | null, bit: 1 | 4): Promise<boolean> {
  const { mode, uid, gid } = await stat(path)
  const of = user ?? { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 }
  const shift = uid === of.uid ? 6 : gid === of.gid ? 3 : 0
  return ((mode >> shift) & bit) !== 0
}
