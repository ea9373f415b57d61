import { expect, test } from 'vitest'
import {
  holdsPassword,
  isConnectionString,
  isLocal,
  requireSslMode,
} from '../../src/config/connection-input.js'

test('URLs and keyword strings are connection strings; names are not', () => {
  for (const text of ['postgresql://h/d', 'postgres://u@h', 'host=db dbname=x', ' service = x']) {
    expect(isConnectionString(text), text).toBe(true)
  }
  for (const text of ['shop', 'mysql://h/d', './x.duckdb', ''])
    expect(isConnectionString(text), text).toBe(false)
})

test('a password is found in every form in which it can stand in a connection string', () => {
  for (const text of [
    'postgresql://u:geheim@h/d',
    'postgresql://u:ge%3Aheim@h:1/d?sslmode=require',
    'postgresql://u@h/d?password=geheim',
    'postgresql://u@h/d?a=b&sslpassword=x',
    'host=h password=geheim',
    "host=h password = 'a b'",
  ]) {
    expect(holdsPassword(text), text).toBe(true)
  }
  for (const text of [
    'postgresql://u@h:5432/d',
    'postgresql://h/d?passfile=x',
    'host=h passfile=/a',
    'postgresql://u:@h/d',
  ]) {
    expect(holdsPassword(text), text).toBe(false)
  }
})

test('loopback and sockets are this machine; a name that only begins like them is not', () => {
  for (const host of ['localhost', '127.0.0.1', '127.8.8.8', '::1', '/tmp', '@abstract', '', 'a.localhost']) {
    expect(isLocal(host), host).toBe(true)
  }
  for (const host of ['db', '127.0.0.1.example.com', 'localhost.example.com', '10.0.0.1', '::2']) {
    expect(isLocal(host), host).toBe(false)
  }
})

const host = (name: string, hostaddr: string | null = null) => ({ host: name, hostaddr })

test('sslmode must be stated for any host that is not this machine', () => {
  expect(() => {
    requireSslMode({ hosts: [host('localhost'), host('db')], sslmodeStated: false }, 'trunkline.yaml:3:3')
  }).toThrow(
    expect.objectContaining({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining('host db') as string,
    }),
  )
  expect(() => {
    requireSslMode({ hosts: [host('localhost', '10.0.0.1')], sslmodeStated: false }, 'x')
  }).toThrow('sslmode')
  requireSslMode({ hosts: [host('db')], sslmodeStated: true }, 'x')
  requireSslMode({ hosts: [host('localhost'), host('/tmp')], sslmodeStated: false }, 'x')
})
