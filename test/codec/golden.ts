/** Bytes that PostgreSQL 12, 15 and 18 send alike for one query, and what they mean. */
import type { ElementWire } from '../../src/codec/decoder-column.js'
import type { ElementType } from '../../src/model/column-type.js'
import type { ElementColumn } from './encode-copy.js'

export const GOLDEN_SQL = `SELECT * FROM (VALUES
  (true, 258::int2, -2::int4, 72623859790382856::int8, 4026531840::oid, -1.5::float4, 3.141592653589793::float8,
   1234567.89::numeric(9,2), -123456789012345.678::numeric(18,3), 12345678901234567890.1234567890::numeric(38,10),
   '2024-02-29'::date, '23:59:59.999999'::time, '2024-02-29 12:34:56.789012'::timestamp,
   '1969-12-31 23:59:59.999999+00'::timestamptz, '1 year 2 months -3 days 04:05:06.789'::interval,
   '00112233-4455-6677-8899-aabbccddeeff'::uuid, 'Größe 😀'::text, '\\x00ff80'::bytea, '{"a": [1, null, "ü"]}'::jsonb),
  (false, (-32768)::int2, NULL, -9223372036854775808, NULL, 'NaN', NULL, NULL, 0.001, -0.0000000001, 'infinity', '00:00:00',
   '-infinity', 'infinity', '-1 day', 'ffffffff-ffff-ffff-ffff-ffffffffffff', '', '', NULL),
  (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)) AS t`

export const GOLDEN_BYTES: Uint8Array = Uint8Array.from(
  Buffer.from(
    [
      '5047434f50590aff0d0a0000000000000000000013000000010100000002010200000004fffffffe0000000801020304',
      '0506070800000004f000000000000004bfc0000000000008400921fb54442d180000000e0003000100000002007b11d7',
      '22c4000000120005000340000003007b11d722c509291a7c00000018000800040000000a04d2162e23340d801ed204d2',
      '162e2328000000040000227900000008000000141dd75fff000000080002b5834172861400000008fffca2fec4c81fff',
      '00000010000000036c97ca88fffffffd0000000e0000001000112233445566778899aabbccddeeff0000000c4772c3b6',
      'c39f6520f09f98800000000300ff8000000017017b2261223a205b312c206e756c6c2c2022c3bc225d7d001300000001',
      '00000000028000ffffffff000000088000000000000000ffffffff000000047fc00000ffffffffffffffff0000000a00',
      '01ffff00000003000a0000000a0001fffd4000000a0064000000047fffffff0000000800000000000000000000000880',
      '00000000000000000000087fffffffffffffff000000100000000000000000ffffffff0000000000000010ffffffffff',
      'ffffffffffffffffffffff0000000000000000ffffffff0013ffffffffffffffffffffffffffffffffffffffffffffff',
      'ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff',
      'ffffffffffffff',
    ].join(''),
    'hex',
  ),
)

const column = (name: string, wire: ElementWire, type: ElementType): ElementColumn => ({
  name,
  type,
  wire,
  nullable: true,
  unrepresentable: 'error',
})

export const GOLDEN_COLUMNS: readonly ElementColumn[] = [
  column('flag', 'bool', { kind: 'bool' }),
  column('small', 'int2', { kind: 'int', bits: 16 }),
  column('medium', 'int4', { kind: 'int', bits: 32 }),
  column('large', 'int8', { kind: 'int', bits: 64 }),
  column('object', 'oid', { kind: 'int', bits: 64 }),
  column('single', 'float4', { kind: 'float', bits: 32 }),
  column('double', 'float8', { kind: 'float', bits: 64 }),
  column('price', 'numeric', { kind: 'decimal', precision: 9, scale: 2 }),
  column('amount', 'numeric', { kind: 'decimal', precision: 18, scale: 3 }),
  column('total', 'numeric', { kind: 'decimal', precision: 38, scale: 10 }),
  column('day', 'date', { kind: 'date' }),
  column('at_time', 'time', { kind: 'time' }),
  column('local', 'timestamp', { kind: 'timestamp', utc: false }),
  column('instant', 'timestamp', { kind: 'timestamp', utc: true }),
  column('span', 'interval', { kind: 'interval' }),
  column('id', 'uuid', { kind: 'uuid' }),
  column('name', 'text', { kind: 'text' }),
  column('content', 'bytea', { kind: 'binary' }),
  column('document', 'jsonb', { kind: 'json' }),
]

export const GOLDEN_TEXTS: readonly (readonly (string | null)[])[] = [
  [
    't',
    '258',
    '-2',
    '72623859790382856',
    '4026531840',
    '-1.5',
    '3.141592653589793',
    '1234567.89',
    '-123456789012345.678',
    '12345678901234567890.1234567890',
    '2024-02-29',
    '23:59:59.999999',
    '2024-02-29 12:34:56.789012',
    '1969-12-31 23:59:59.999999+00',
    'P1Y2M-3DT4H5M6.789S',
    '00112233-4455-6677-8899-aabbccddeeff',
    'Größe 😀',
    '\\x00ff80',
    '{"a": [1, null, "ü"]}',
  ],
  [
    'f',
    '-32768',
    null,
    '-9223372036854775808',
    null,
    'NaN',
    null,
    null,
    '0.001',
    '-0.0000000001',
    'infinity',
    '00:00:00',
    '-infinity',
    'infinity',
    'P-1D',
    'ffffffff-ffff-ffff-ffff-ffffffffffff',
    '',
    '\\x',
    null,
  ],
  Array.from({ length: 19 }, () => null),
]
