/** The certificates that `make.sh` made. */
import { chmodSync, cpSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { makeTemporaryFolder } from '../../temporary-folder.js'

const FOLDER = import.meta.dirname

export type ServerCertificate =
  'server' | 'name' | 'common-name' | 'dns-address' | 'expired' | 'revoked' | 'stranger'
export const SERVER_CERTIFICATES: readonly ServerCertificate[] = [
  'server',
  'name',
  'common-name',
  'dns-address',
  'expired',
  'revoked',
  'stranger',
]

export function certificateFile(name: string): string {
  return join(FOLDER, name)
}

/** For `startServer({ files })`. */
export function serverFiles(): Record<string, string> {
  const names = SERVER_CERTIFICATES.flatMap((name) => [`${name}.crt`, `${name}.key`])
  return Object.fromEntries(
    [...names, 'right-ca.crt'].map((name) => [name, readFileSync(certificateFile(name), 'utf8')]),
  )
}

/** Keys of the client in a folder of their own: a checkout makes every file readable by all. */
export function clientKeys(): { readonly key: string; readonly encrypted: string; readonly open: string } {
  const folder = makeTemporaryFolder('keys')
  const copy = (from: string, to: string, mode: number): string => {
    const path = join(folder, to)
    cpSync(certificateFile(from), path)
    chmodSync(path, mode)
    return path
  }
  return {
    key: copy('client.key', 'client.key', 0o600),
    encrypted: copy('client-encrypted.key', 'client-encrypted.key', 0o600),
    open: copy('client.key', 'open.key', 0o644),
  }
}
