import { utils } from 'ssh2'
import { describe, expect, test } from 'vitest'
import {
  findKnownKeys,
  fingerprintOf,
  judgeHostKey,
  typeOfKey,
} from '../../../src/postgres/ssh/known-hosts.js'

function makeKey(): { readonly line: string; readonly key: Buffer } {
  const { public: line } = utils.generateKeyPairSync('ed25519')
  return { line, key: Buffer.from(line.split(' ')[1] ?? '', 'base64') }
}

const ours = makeKey()
const other = makeKey()
const bastion = { host: 'bastion.example', port: 22 }

function judge(text: string, name = bastion, key = ours.key): string {
  return judgeHostKey(findKnownKeys(text, name, 'known_hosts'), key).kind
}

describe('a server is known', () => {
  test.each([
    ['by its name', `bastion.example ${ours.line}`],
    ['in a list of names', `10.0.0.1,bastion.example,x ${ours.line} a comment`],
    ['in capital letters', `BASTION.example ${ours.line}`],
    ['by a pattern', `*.example ${ours.line}`],
    ['by a pattern of single characters', `bastio?.example ${ours.line}`],
    ['beside lines that say nothing', `# a comment\n\n|2|x\nnonsense\r\nbastion.example ${ours.line}\r\n`],
    ['beside another key of its own', `bastion.example ${other.line}\nbastion.example ${ours.line}`],
  ])('%s', (_, text) => {
    expect(judge(text)).toBe('known')
  })

  test('by its port, where that is not 22', () => {
    const text = `[bastion.example]:2222 ${ours.line}`
    expect(judge(text, { host: 'bastion.example', port: 2222 })).toBe('known')
    expect(judge(text)).toBe('unknown')
    expect(judge(`bastion.example ${ours.line}`, { host: 'bastion.example', port: 2222 })).toBe('unknown')
  })

  test('by a hash of its name, as ssh-keygen -H makes it', () => {
    const hashed = [
      `|1|a6fIzyL8JBeqVgaC9MVIBCetJyk=|mHU9/lCcO3B4i5nDxXJ7CMsf4oI= ${ours.line}`,
      `|1|iSrfZEggGJxtfqknY2zirv9WcSU=|tn5ikJ6dqjLOjp2p3ytxt2+wzvo= ${other.line}`,
    ].join('\n')
    expect(judge(hashed)).toBe('known')
    expect(judge(hashed, { host: 'bastion.example', port: 2222 }, other.key)).toBe('known')
    expect(judge(hashed, { host: 'another.example', port: 22 })).toBe('unknown')
  })
})

describe('a server is not trusted', () => {
  test.each([
    ['when no line is about it', `other.example ${ours.line}`, 'unknown'],
    ['when the file is empty', '', 'unknown'],
    ['when a pattern leaves it out', `!bastion.example,*.example ${ours.line}`, 'unknown'],
    ['when the file has another key for it', `bastion.example ${other.line}`, 'changed'],
    ['when its key is revoked', `bastion.example ${ours.line}\n@revoked * ${ours.line}`, 'revoked'],
    ['by a certificate authority, which is not supported', `@cert-authority * ${ours.line}`, 'unknown'],
    ['by a dot that stands for any character', `bastionXexample ${ours.line}`, 'unknown'],
    [
      'by a line whose type is not that of the key',
      `bastion.example ssh-rsa ${ours.line.split(' ')[1]}`,
      'unknown',
    ],
  ])('%s', (_, text, verdict) => {
    expect(judge(text)).toBe(verdict)
  })

  test('and the line that says otherwise is named', () => {
    const keys = findKnownKeys(`# first\nbastion.example ${other.line}`, bastion, '/etc/known')
    expect(judgeHostKey(keys, ours.key)).toEqual({ kind: 'changed', place: '/etc/known:2' })
  })
})

test('types and fingerprints are those of ssh-keygen -l', () => {
  const key = Buffer.from('AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl', 'base64')
  expect(typeOfKey(key)).toBe('ssh-ed25519')
  // As github.com publishes it.
  expect(fingerprintOf(key)).toBe('SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU')
})
