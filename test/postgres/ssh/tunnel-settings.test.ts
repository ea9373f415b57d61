import { describe, expect, test } from 'vitest'
import { resolveConnection } from '../../../src/postgres/resolve-connection.js'
import { resolveSshTunnel } from '../../../src/postgres/ssh/tunnel-settings.js'

const surroundings = { env: {}, homeDir: '/home/me', userName: 'me' }

describe('the settings of a tunnel', () => {
  test('are those of ssh where only its address is stated', () => {
    expect(
      resolveSshTunnel(
        { tunnel: 'ssh://bastion' },
        { ...surroundings, env: { SSH_AUTH_SOCK: '/run/agent' } },
      ),
    ).toEqual({
      host: 'bastion',
      port: 22,
      user: 'me',
      key: null,
      passphrase: null,
      password: null,
      passwordCommand: null,
      agent: '/run/agent',
      usualKeys: ['/home/me/.ssh/id_ed25519', '/home/me/.ssh/id_ecdsa', '/home/me/.ssh/id_rsa'],
      knownHosts: ['/home/me/.ssh/known_hosts', '/etc/ssh/ssh_known_hosts'],
    })
  })

  test('come from the environment where they are not stated', () => {
    const env = {
      TRUNKLINE_SSH_TUNNEL: 'ssh://env@env.example:2222',
      TRUNKLINE_SSH_KEY: '-----BEGIN OPENSSH PRIVATE KEY-----\nx',
      TRUNKLINE_SSH_PASSWORD: 'secret',
    }
    expect(resolveSshTunnel({}, { ...surroundings, env })).toMatchObject({
      host: 'env.example',
      port: 2222,
      user: 'env',
      key: { kind: 'text' },
      password: 'secret',
    })
    expect(
      resolveSshTunnel(
        { tunnel: 'ssh://u@[::1]:2', key: '~/keys/k', knownHosts: '/k' },
        { ...surroundings, env },
      ),
    ).toMatchObject({
      host: '::1',
      port: 2,
      user: 'u',
      key: { kind: 'file', path: '/home/me/keys/k' },
      knownHosts: ['/k'],
    })
  })

  test('are none where no tunnel is asked for', () => {
    expect(resolveSshTunnel({}, surroundings)).toBeNull()
  })

  test.each([
    ['no address', { tunnel: 'bastion' }],
    ['another protocol', { tunnel: 'https://bastion' }],
    ['a path', { tunnel: 'ssh://bastion/canary' }],
    ['a password', { tunnel: 'ssh://u:canary@bastion' }],
    ['something behind it', { tunnel: 'ssh://bastion?x=canary' }],
    ['a key without a tunnel', { key: 'canary' }],
  ])('with %s are refused, and nothing of them is quoted', (_, input) => {
    const resolve = (): unknown => resolveSshTunnel(input, surroundings)
    expect(resolve).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }))
    expect(resolve).toThrow(/^(?!.*canary)/s)
  })

  test('are not printed, and lead to a host as the other end sees it', async () => {
    const input = { url: 'postgresql://reader@/shop', env: {}, homeDir: '', userName: 'me' }
    const settings = await resolveConnection({ ...input, ssh: { tunnel: 'ssh://u@b', password: 'canary' } })
    expect(settings.hosts).toEqual([{ host: 'localhost', hostaddr: null, port: 5432 }])
    expect(settings.sshTunnel).toMatchObject({ password: 'canary' })
    expect(JSON.stringify(settings)).not.toContain('canary')
    await expect(
      resolveConnection({ ...input, url: 'postgresql://reader@%2Frun/shop', ssh: { tunnel: 'ssh://u@b' } }),
    ).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
  })
})
