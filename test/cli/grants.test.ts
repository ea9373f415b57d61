import { expect, test } from 'vitest'
import { quoteSqlName, writeGrants } from '../../src/cli/grants.js'

test('names are quoted where they must be, and control characters are written, not sent', () => {
  expect(quoteSqlName('orders')).toBe('orders')
  expect(quoteSqlName('Orders')).toBe('"Orders"')
  expect(quoteSqlName('user')).toBe('"user"')
  expect(quoteSqlName('a"b; drop')).toBe('"a""b; drop"')
  expect(quoteSqlName('a\u001b\\"')).toBe('U&"a\\001b\\\\"""')
})

test('the script grants reading and nothing else', () => {
  const script = writeGrants({
    database: 'shop',
    role: 'reader',
    create: true,
    schemas: ['public'],
    tables: [{ schema: 'public', table: 'orders' }],
  })
  expect(script.match(/^GRANT .*$/gm)).toEqual([
    'GRANT CONNECT ON DATABASE shop TO reader;',
    'GRANT USAGE ON SCHEMA public TO reader;',
    'GRANT SELECT ON public.orders TO reader;',
  ])
  expect(script).toContain('NOSUPERUSER')
  expect(script).not.toMatch(/PASSWORD '/)
})
